use std::{boxed::Box, cell::Cell, rc::Rc, string::ToString, vec, vec::Vec};

use xen_abi::io::xs_wire::Header;
use zerocopy::IntoBytes;

use super::*;
use crate::{
    exec::{Either, race, spawn, yield_now},
    fake::Machine,
};

const GUEST: Domid = Domid(1);

/// Runs against the fake machine's daemon, over the ring.
fn with_store<F: AsyncFn(Xenstore)>(f: F) {
    let machine = Machine::new();
    machine.domain(GUEST).run(async { f(Xenstore::connect().await.unwrap()).await });
}

/// Runs against a daemon that the test plays on the other end of a pipe.
fn with_pipe<F: AsyncFn(Xenstore, Pipe)>(f: F) {
    let machine = Machine::new();
    machine.domain(GUEST).run(async {
        let (ours, theirs) = pipe();
        f(Xenstore::over(Box::new(ours)), theirs).await;
    });
}

/// What has come at a pipe's other end, once everybody had a chance to send.
async fn received(pipe: &mut Pipe) -> Vec<wire::Message> {
    for _ in 0..4 {
        yield_now().await;
    }
    let mut assembler = wire::Assembler::default();
    let mut messages = Vec::new();
    let mut byte = [0];
    while pipe.read(&mut byte).unwrap() == 1 {
        messages.extend(assembler.push(&byte).unwrap());
    }
    messages
}

fn reply(kind: u32, req_id: u32, payload: &[u8]) -> Vec<u8> {
    let message = wire::Message::new(kind, req_id, 0, &[payload]).unwrap();
    message.bytes().copied().collect()
}

#[test]
fn what_is_written_is_read_listed_and_removed() {
    with_store(async |store| {
        store.write("data/a", b"1").await.unwrap();
        store.write_display("data/b", 22).await.unwrap();
        store.mkdir("data/c").await.unwrap();
        assert_eq!(store.read("data/a").await.unwrap(), b"1");
        assert_eq!(store.read_as::<u32>("data/b").await, Ok(22));
        assert_eq!(store.read_as::<u32>("data/c").await, Err(Error::Malformed));
        assert_eq!(store.directory("data").await.unwrap(), ["a", "b", "c"]);
        assert_eq!(store.read_string("/local/domain/1/data/a").await.unwrap(), "1");
        store.remove("data").await.unwrap();
        assert_eq!(store.read_if_there::<u32>("data/b").await, Ok(None));
        assert!(store.directory("data").await.unwrap_err().is_missing());
    });
}

#[test]
fn values_longer_than_the_ring_pass_in_parts() {
    with_store(async |store| {
        let long: Vec<u8> = (0..4000u32).map(|i| b'a' + (i % 26) as u8).collect();
        store.write("data", &long).await.unwrap();
        assert_eq!(store.read("data").await.unwrap(), long);
        assert_eq!(store.write("data", vec![0; 4096]).await, Err(Error::Invalid));
        assert_eq!(store.read("da\0ta").await, Err(Error::Invalid));
    });
}

#[test]
fn many_requests_at_once_get_their_own_answers() {
    with_store(async |store| {
        let tasks: Vec<_> = (0..100u32)
            .map(|i| {
                let store = store.clone();
                spawn(async move {
                    let path = format!("data/{i}");
                    store.write_display(&path, i).await.unwrap();
                    store.read_as::<u32>(&path).await.unwrap()
                })
            })
            .collect();
        for (i, task) in tasks.into_iter().enumerate() {
            assert_eq!(task.await.unwrap(), i as u32);
        }
    });
}

#[test]
fn a_watch_tells_of_changes_below_it_until_it_is_dropped() {
    with_store(async |store| {
        let mut watch = store.watch("data").await.unwrap();
        assert_eq!(watch.next().await.unwrap(), "data");
        store.write("data/x/y", b"").await.unwrap();
        assert_eq!(watch.next().await.unwrap(), "data/x/y");
        store.write("database", b"").await.unwrap();
        store.remove("data").await.unwrap();
        assert_eq!(watch.next().await.unwrap(), "data");
        drop(watch);
        let mut again = store.watch("/local/domain/1/data").await.unwrap();
        assert_eq!(again.next().await.unwrap(), "/local/domain/1/data");
        store.write("data", b"").await.unwrap();
        assert_eq!(again.next().await.unwrap(), "/local/domain/1/data");
    });
}

#[test]
fn a_transaction_is_repeated_until_nobody_interferes() {
    with_store(async |store| {
        let tries = Cell::new(0);
        let other = store.clone();
        store.write_display("n", 0).await.unwrap();
        let got = store
            .transaction(async |tx| {
                tries.set(tries.get() + 1);
                let n: u32 = tx.read_as("n").await?;
                if tries.get() < 3 {
                    other.write_display("n", n + 10).await?;
                }
                tx.write_display("n", n + 1).await?;
                Ok(n)
            })
            .await;
        assert_eq!((got, tries.get()), (Ok(20), 3));
        assert_eq!(store.read_as::<u32>("n").await, Ok(21));
    });
}

#[test]
fn a_transaction_that_fails_changes_nothing() {
    with_store(async |store| {
        let done: Result<()> = store
            .transaction(async |tx| {
                tx.write("x", b"").await?;
                Err(Error::Malformed)
            })
            .await;
        assert_eq!(done, Err(Error::Malformed));
        assert_eq!(store.exists("x").await, Ok(false));
    });
}

#[test]
fn there_is_one_connection_by_the_ring_at_a_time() {
    with_store(async |store| {
        assert_eq!(Xenstore::connect().await.map(drop), Err(Errno::EBUSY));
        store.write("n", "1").await.unwrap();
        drop(store);
        let again = Xenstore::connect().await.unwrap();
        assert_eq!(again.read_as::<u32>("n").await, Ok(1));
    });
}

#[test]
fn permissions_read_as_they_are_written() {
    for text in ["n0", "r17", "w3", "b32752"] {
        assert_eq!(text.parse::<Permission>().unwrap().to_string(), text);
    }
    for text in ["", "x1", "r", "r-1", "r70000"] {
        assert_eq!(text.parse::<Permission>(), Err(Error::Malformed));
    }
}

#[test]
fn a_reply_that_comes_byte_by_byte_is_put_together() {
    with_pipe(async |store, mut daemon| {
        let task = spawn(async move { store.read_string("x").await });
        let request = received(&mut daemon).await.remove(0);
        assert_eq!(request.payload, b"x\0");
        for byte in reply(msg::READ, request.header.req_id, b"value") {
            assert!(!task.is_finished());
            daemon.write(&[byte]).unwrap();
            yield_now().await;
            yield_now().await;
        }
        assert_eq!(task.await.unwrap().unwrap(), "value");
    });
}

#[test]
fn a_reply_that_claims_to_be_too_long_ends_the_connection() {
    with_pipe(async |store, mut daemon| {
        let reader = store.clone();
        let task = spawn(async move { reader.read("x").await });
        let request = received(&mut daemon).await.remove(0);
        let head = Header { kind: msg::READ, len: u32::MAX, ..request.header };
        daemon.write(head.as_bytes()).unwrap();
        assert_eq!(task.await.unwrap(), Err(Error::Closed));
        assert_eq!(store.read("y").await, Err(Error::Closed));
    });
}

#[test]
fn replies_of_another_kind_or_to_nothing_are_told_apart() {
    with_pipe(async |store, mut daemon| {
        let task = spawn(async move { store.read("x").await });
        let id = received(&mut daemon).await.remove(0).header.req_id;
        daemon.write(&reply(msg::READ, id + 77, b"stray")).unwrap();
        yield_now().await;
        yield_now().await;
        assert!(!task.is_finished());
        daemon.write(&reply(msg::WRITE, id, b"OK\0")).unwrap();
        assert_eq!(task.await.unwrap(), Err(Error::Closed));
    });
}

#[test]
fn errors_come_by_name_and_unknown_ones_as_eio() {
    with_pipe(async |store, mut daemon| {
        for (name, errno) in [(&b"EACCES\0"[..], Errno::EACCES), (b"EODD\0", Errno::EIO)] {
            let store = store.clone();
            let task = spawn(async move { store.read("x").await });
            let id = received(&mut daemon).await.remove(0).header.req_id;
            daemon.write(&reply(msg::ERROR, id, name)).unwrap();
            assert_eq!(task.await.unwrap(), Err(Error::Refused(errno)));
        }
    });
}

#[test]
fn a_request_given_up_does_not_take_the_answer_of_another() {
    with_pipe(async |store, mut daemon| {
        assert_eq!(race(store.read("first"), yield_now()).await, Either::Second(()));
        let task = spawn(async move { store.read("second").await });
        let ids: Vec<u32> = received(&mut daemon).await.iter().map(|m| m.header.req_id).collect();
        for (id, value) in ids.into_iter().zip([&b"1"[..], b"2"]) {
            daemon.write(&reply(msg::READ, id, value)).unwrap();
        }
        assert_eq!(task.await.unwrap().unwrap(), b"2");
    });
}

#[test]
fn a_daemon_that_goes_away_ends_requests_and_watches() {
    with_pipe(async |store, mut daemon| {
        let setting = store.clone();
        let task = spawn(async move { setting.watch("w").await });
        let id = received(&mut daemon).await.remove(0).header.req_id;
        daemon.write(&reply(msg::WATCH, id, b"OK\0")).unwrap();
        let mut watch = task.await.unwrap().unwrap();
        let waiting = spawn(async move { watch.next().await });
        yield_now().await;
        drop(daemon);
        assert_eq!(waiting.await.unwrap(), Err(Error::Closed));
        assert_eq!(store.read("x").await, Err(Error::Closed));
    });
}

#[test]
fn events_that_are_not_taken_are_bounded() {
    with_pipe(async |store, mut daemon| {
        let task = spawn(async move { store.watch("w").await });
        let request = received(&mut daemon).await.remove(0);
        daemon.write(&reply(msg::WATCH, request.header.req_id, b"OK\0")).unwrap();
        let mut watch = task.await.unwrap().unwrap();
        let token = wire::strings(&request.payload).unwrap().remove(1);
        for i in 0..1000 {
            let event = format!("w/{}\0{token}\0", i / 2);
            let bytes = reply(msg::WATCH_EVENT, 0, event.as_bytes());
            assert_eq!(daemon.write(&bytes), Ok(bytes.len()));
            yield_now().await;
            yield_now().await;
        }
        assert_eq!(watch.next().await.unwrap(), "w");
        let left = Rc::new(Cell::new(0));
        while let Either::First(path) = race(watch.next(), yield_now()).await {
            path.unwrap();
            left.set(left.get() + 1);
        }
        assert!(left.get() <= 256);
    });
}

#[test]
fn long_directories_are_read_in_parts_and_again_when_they_change() {
    with_pipe(async |store, mut daemon| {
        let task = spawn(async move { store.directory("d").await });
        let mut answer = async |kind, payload: &[u8]| {
            let request = received(&mut daemon).await.remove(0);
            daemon.write(&reply(kind, request.header.req_id, payload)).unwrap();
            request.payload
        };
        answer(msg::ERROR, b"E2BIG\0").await;
        assert_eq!(answer(msg::DIRECTORY_PART, b"5\0a\0b\0").await, b"d\x000\0");
        assert_eq!(answer(msg::DIRECTORY_PART, b"6\0x\0").await, b"d\x004\0");
        assert_eq!(answer(msg::DIRECTORY_PART, b"6\0a\0").await, b"d\x000\0");
        assert_eq!(answer(msg::DIRECTORY_PART, b"6\0b\0\0").await, b"d\x002\0");
        assert_eq!(task.await.unwrap().unwrap(), ["a", "b"]);
    });
}
