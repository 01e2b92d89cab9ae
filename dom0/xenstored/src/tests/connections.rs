//! Bytes in pieces, broken rings, new starts.

use core::mem::offset_of;
use std::vec::Vec;

use xen_abi::Domid;
use xen_abi::io::xs_wire::{
    CONNECTED, DomainInterface, ERROR_NONE, ERROR_PROTO, ERROR_RINGIDX, Header, RECONNECT, msg,
};
use zerocopy::IntoBytes;

use super::bed::{Bed, DOM0, text};

const G1: Domid = Domid(1);
const G2: Domid = Domid(2);
const ERROR: usize = offset_of!(DomainInterface, error);
const CONNECTION: usize = offset_of!(DomainInterface, connection);

#[test]
fn an_introduced_domain_finds_its_ring_connected() {
    let bed = Bed::with_guests(1);
    let page = bed.page(G1);
    assert_eq!((page.get(ERROR), page.get(CONNECTION)), (ERROR_NONE, CONNECTED));
    assert_eq!(page.get(offset_of!(DomainInterface, server_features)), 3);
    assert!(page.notifications() > 0);
}

#[test]
fn messages_arrive_byte_by_byte_and_longer_than_the_ring() {
    let mut bed = Bed::with_guests(1);
    let value = "v".repeat(1900);
    let message = bed.message(msg::WRITE, 0, std::format!("data\0{value}").as_bytes());
    for byte in message.chunks(1) {
        bed.send_raw(G1, byte);
        bed.run();
    }
    assert_eq!(text(&bed.reply(G1).unwrap().payload), "OK|");
    assert_eq!(bed.read(G1, "data"), value);
}

#[test]
fn requests_in_one_go_are_answered_in_order() {
    let mut bed = Bed::with_guests(1);
    let mut bytes = Vec::new();
    for value in 0..40 {
        bytes.extend(bed.message(msg::WRITE, 0, std::format!("n\0{value}").as_bytes()));
        bytes.extend(bed.message(msg::READ, 0, b"n\0"));
    }
    for chunk in bytes.chunks(700) {
        bed.send_raw(G1, chunk);
        bed.run();
    }
    for value in 0..40 {
        assert_eq!(text(&bed.reply(G1).unwrap().payload), "OK|");
        assert_eq!(text(&bed.reply(G1).unwrap().payload), std::format!("{value}"));
    }
}

#[test]
fn indices_may_start_anywhere_and_wrap() {
    let mut bed = Bed::new();
    bed.create_guest(G1);
    bed.add_guest(G1);
    let page = bed.page(G1);
    for field in [
        offset_of!(DomainInterface, req_cons),
        offset_of!(DomainInterface, req_prod),
        offset_of!(DomainInterface, rsp_cons),
        offset_of!(DomainInterface, rsp_prod),
    ] {
        page.set(field, u32::MAX - 10);
    }
    let mut ring = crate::ring::Ring::new(page.clone());
    assert_eq!(page.put(&[7; 1024]), 1024);
    let mut bytes = [0; 2000];
    assert_eq!(ring.read(&mut bytes), Ok(1024));
    assert!(bytes[..1024].iter().all(|&byte| byte == 7) && bytes[1024] == 0);
    assert_eq!(ring.write(&[9; 2000]), Ok(1024));
    assert_eq!(ring.write(&[9; 2000]), Ok(0));
    assert_eq!(page.take(), [9; 1024]);
    assert_eq!(page.notifications(), bed.page(G1).notifications());
}

#[test]
fn a_payload_that_is_too_long_ends_the_connection() {
    let mut bed = Bed::with_guests(2);
    bed.ask(G1, msg::WATCH, "x|t|");
    bed.events(G1);
    let tx = bed.start(G1);
    bed.ask_in(tx, G1, msg::WRITE, "y|1");
    let header = Header { kind: msg::WRITE, req_id: 1, tx_id: 0, len: 4097 };
    bed.send_raw(G1, header.as_bytes());
    bed.run();
    assert_eq!(bed.page(G1).get(ERROR), ERROR_PROTO);
    let account = bed.daemon.accounts.get(G1);
    assert_eq!((account.watches, account.transactions, account.nodes), (0, 0, 1));
    bed.send(G1, msg::READ, "x|");
    bed.write(DOM0, "/local/domain/1/x", "");
    assert!(bed.events(G1).is_empty());
    assert_eq!(bed.write(G2, "x", "fine"), "OK|");
}

#[test]
fn indices_that_make_no_sense_end_the_connection() {
    for (field, value) in [
        (offset_of!(DomainInterface, req_prod), 5000),
        (offset_of!(DomainInterface, req_prod), u32::MAX),
        (offset_of!(DomainInterface, rsp_cons), 1),
        (offset_of!(DomainInterface, rsp_cons), 0x8000_0000),
    ] {
        let mut bed = Bed::with_guests(2);
        let page = bed.page(G1);
        page.set(offset_of!(DomainInterface, req_cons), 0);
        page.set(field, value);
        let put = bed.message(msg::READ, 0, b"x\0");
        if field == offset_of!(DomainInterface, rsp_cons) {
            page.put(&put);
        }
        bed.daemon.doorbell().ring_domain(G1);
        for _ in 0..10 {
            bed.daemon.round(bed.now);
        }
        assert_eq!(page.get(ERROR), ERROR_RINGIDX, "{field} {value:#x}");
        page.set(offset_of!(DomainInterface, rsp_cons), page.get(offset_of!(DomainInterface, rsp_prod)));
        assert_eq!(bed.write(G2, "x", "fine"), "OK|");
    }
}

#[test]
fn the_store_does_not_believe_its_own_indices_in_the_page() {
    let mut bed = Bed::with_guests(1);
    bed.write(G1, "a", "1");
    let page = bed.page(G1);
    let cons = offset_of!(DomainInterface, req_cons);
    let right = page.get(cons);
    page.set(cons, right.wrapping_sub(600));
    bed.daemon.doorbell().ring_domain(G1);
    bed.run();
    assert_eq!(bed.reply(G1), None);
    page.set(cons, right);
    assert_eq!(bed.read(G1, "a"), "1");
}

#[test]
fn a_domain_can_start_its_ring_afresh() {
    for broken in [false, true] {
        let mut bed = Bed::with_guests(1);
        bed.write(G1, "keep", "1");
        bed.ask(G1, msg::WATCH, "x|t|");
        bed.start(G1);
        bed.events(G1);
        let page = bed.page(G1);
        let half = bed.message(msg::READ, 0, b"keep\0");
        bed.send_raw(G1, &half[..7]);
        bed.run();
        if broken {
            page.set(offset_of!(DomainInterface, req_prod), 12345);
            bed.daemon.doorbell().ring_domain(G1);
            bed.run();
            assert_eq!(page.get(ERROR), ERROR_RINGIDX);
        }
        page.set(CONNECTION, RECONNECT);
        bed.daemon.doorbell().ring_domain(G1);
        bed.run();
        assert_eq!((page.get(CONNECTION), page.get(ERROR)), (CONNECTED, ERROR_NONE));
        assert_eq!(page.get(offset_of!(DomainInterface, req_prod)), 0);
        assert_eq!(bed.read(G1, "keep"), "1");
        bed.write(G1, "x", "");
        assert!(bed.events(G1).is_empty());
        assert_eq!(bed.daemon.accounts.get(G1).transactions, 0);
    }
}

#[test]
fn a_program_that_goes_takes_its_watches_and_transactions_along() {
    let mut bed = Bed::new();
    let mut client = bed.daemon.connect_local();
    let mut bytes = bed.message(msg::WATCH, 0, b"/\0t\0");
    bytes.extend(bed.message(msg::TRANSACTION_START, 0, b"\0"));
    assert_eq!(client.write(&bytes), bytes.len());
    bed.run();
    let mut reply = [0; 256];
    assert!(client.read(&mut reply) > 16);
    assert_eq!((bed.daemon.accounts.get(DOM0).watches, bed.daemon.open_transactions), (1, 1));
    drop(client);
    bed.run();
    assert_eq!((bed.daemon.accounts.get(DOM0).watches, bed.daemon.open_transactions), (0, 0));
    assert_eq!(bed.daemon.connections.len(), 1);
}

#[test]
fn waiting_tasks_are_woken_when_something_comes() {
    use core::task::{Context, Poll};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    struct Count(AtomicUsize);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let (server, client) = (Arc::new(Count(0.into())), Arc::new(Count(0.into())));
    let (server_waker, client_waker) = (server.clone().into(), client.clone().into());
    let (mut server_cx, mut client_cx) =
        (Context::from_waker(&server_waker), Context::from_waker(&client_waker));

    let mut bed = Bed::new();
    let mut pipe = bed.daemon.connect_local();
    bed.run();
    assert_eq!(bed.daemon.poll_work(&mut server_cx), Poll::Pending);
    assert_eq!(pipe.poll_event(&mut client_cx), Poll::Pending);
    let message = bed.message(msg::READ, 0, b"/tool\0");
    assert_eq!(pipe.write(&message), message.len());
    assert_eq!(server.0.load(Ordering::Relaxed), 1);
    assert_eq!(bed.daemon.poll_work(&mut server_cx), Poll::Ready(()));
    bed.daemon.round(0);
    assert!(client.0.load(Ordering::Relaxed) >= 1);
    assert_eq!(pipe.poll_event(&mut client_cx), Poll::Ready(()));
    assert_eq!(pipe.poll_event(&mut client_cx), Poll::Pending);
    let mut buffer = [0; 64];
    assert_eq!(pipe.read(&mut buffer), 16);
}
