//! Both ends of a PV console, meeting as they would in two domains.

use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use console::back::{self, Limits, Page, Reader};
use console::front;
use embedded_io::{Read, ReadReady, Write};
use guest_sdk::abi::Domid;
use guest_sdk::byte_ring::{Consumer, Direction, Producer};
use guest_sdk::event::Port;
use guest_sdk::exec::{sleep, timeout, yield_now};
use guest_sdk::fake::{Domain, Machine};
use guest_sdk::grant::{Access, Grant, Mapping};
use guest_sdk::shared::Memory;
use guest_sdk::xenstore::Xenstore;

const DAEMON: Domid = Domid(0);
const GUEST: Domid = Domid(1);

/// Two domains with a console between them.
struct World {
    front: front::Console<Rc<Grant>>,
    back: back::Console<Rc<Page>>,
    guest: Domain,
    daemon: Domain,
    machine: Machine,
}

impl World {
    fn new(limits: Limits) -> Self {
        let machine = Machine::new();
        let (daemon, guest) = (machine.domain(DAEMON), machine.domain(GUEST));
        let (page, port) = lend(&guest);
        let back = join(&daemon, &page, &port, limits);
        Self { front: front::Console::new(page, port), back, guest, daemon, machine }
    }

    fn history(&self) -> String {
        String::from_utf8(self.back.history()).unwrap()
    }
}

/// A guest's page and port for a console.
fn lend(guest: &Domain) -> (Rc<Grant>, Port) {
    guest.within(|| {
        let page = Grant::of_zeroes(DAEMON, 1, Access::ReadWrite).unwrap();
        (Rc::new(page), Port::alloc_unbound(DAEMON).unwrap())
    })
}

/// The daemon's end of it, served.
fn join(daemon: &Domain, page: &Grant, port: &Port, limits: Limits) -> back::Console<Rc<Page>> {
    let back = daemon.within(|| {
        let page = Mapping::new(GUEST, page.grefs(), Access::ReadWrite).unwrap();
        let port = Port::bind_interdomain(GUEST, port.number()).unwrap();
        back::Console::new(Rc::new(Page::Lent(page)), port, limits)
    });
    let server = back.clone();
    drop(daemon.spawn(async move { server.serve().await }));
    back
}

async fn read_exactly(reader: &mut Reader<Rc<Page>>, len: usize) -> Vec<u8> {
    let (mut all, mut chunk) = (Vec::new(), [0; 300]);
    while all.len() < len {
        let n = reader.read(&mut chunk).await;
        all.extend_from_slice(&chunk[..n]);
    }
    all
}

async fn print(front: &mut front::Console<Rc<Grant>>, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let len = front.write_some(bytes).await.unwrap();
        bytes = &bytes[len..];
    }
}

fn text(len: usize) -> Vec<u8> {
    (0..len).map(|i| b'a' + (i % 26) as u8).collect()
}

#[test]
fn what_a_guest_prints_is_kept_and_read() {
    let mut world = World::new(Limits::default());
    world.guest.run(async {
        assert_eq!(world.front.write_some(b"hello\r\n").await, Ok(7));
        world.front.drained().await.unwrap();
    });
    assert_eq!(world.history(), "hello\r\n");
    let mut reader = world.back.attach();
    assert_eq!(world.daemon.run(read_exactly(&mut reader, 7)), b"hello\r\n");
    world.guest.run(world.front.write_some(b"more")).unwrap();
    assert_eq!(world.daemon.run(read_exactly(&mut reader, 4)), b"more");
}

#[test]
fn what_is_typed_reaches_the_guest() {
    let mut world = World::new(Limits::default());
    world.guest.within(|| assert_eq!(world.front.read_ready(), Ok(false)));
    world.daemon.run(world.back.write_all(b"ls\r")).unwrap();
    let mut line = [0; 8];
    world.guest.within(|| {
        assert_eq!(world.front.read_ready(), Ok(true));
        assert_eq!(world.front.read(&mut line), Ok(3));
    });
    assert_eq!(&line[..3], b"ls\r");
}

#[test]
fn more_than_the_rings_hold_passes_both_ways() {
    let World { mut front, back, guest, daemon, machine, .. } = World::new(Limits::default());
    let sent = text(20_000);
    let expected = sent.clone();
    let mut reader = back.attach();
    let echo = guest.spawn(async move {
        let (mut buffer, mut left) = ([0; 100], 20_000);
        while left > 0 {
            let len = front.read_some(&mut buffer).await.unwrap();
            print(&mut front, &buffer[..len]).await;
            left -= len;
        }
    });
    let typist = daemon.spawn(async move { back.write_all(&sent).await });
    let seen = daemon.run(read_exactly(&mut reader, 20_000));
    assert!(seen == expected);
    daemon.run(typist).unwrap().unwrap();
    guest.run(echo).unwrap();
    drop(reader);
    drop(machine);
}

#[test]
fn without_a_reader_the_oldest_output_goes() {
    let limits = Limits { kept: 4096, ..Limits::default() };
    let mut world = World::new(limits);
    world.guest.within(|| world.front.write_all(&text(50_000)).unwrap());
    world.guest.run(world.front.drained()).unwrap();
    let history = world.back.history();
    assert_eq!(history.len(), 4096);
    assert!(history == text(50_000)[50_000 - 4096..]);
}

#[test]
fn a_reader_holds_the_guest_back_and_loses_nothing() {
    let limits = Limits { kept: 4096, ..Limits::default() };
    let World { mut front, back, guest, daemon, machine, .. } = World::new(limits);
    let mut reader = back.attach();
    let printing = guest.spawn(async move { print(&mut front, &text(50_000)).await });
    let seen = daemon.run(async {
        sleep(Duration::from_secs(10)).await;
        assert!(!printing.is_finished(), "waits for the reader");
        read_exactly(&mut reader, 50_000).await
    });
    assert!(seen == text(50_000));
    guest.run(printing).unwrap();
    drop(reader);
    drop(machine);
}

#[test]
fn a_reader_that_leaves_lets_the_guest_go_on() {
    let limits = Limits { kept: 4096, ..Limits::default() };
    let World { mut front, back, guest, daemon, machine, .. } = World::new(limits);
    let reader = back.attach();
    let printing = guest.spawn(async move { print(&mut front, &text(50_000)).await });
    daemon.run(sleep(Duration::from_secs(1)));
    assert!(!printing.is_finished());
    daemon.within(|| drop(reader));
    guest.run(printing).unwrap();
    drop(back);
    drop(machine);
}

#[test]
fn a_guest_that_floods_gets_its_turns_and_no_more() {
    let limits = Limits { turns: 10, ..Limits::default() };
    let World { mut front, back, guest, daemon, machine, .. } = World::new(limits);
    let flood = guest.spawn(async move {
        loop {
            front.write_some(b"x").await.unwrap();
            yield_now().await;
        }
    });
    daemon.run(async {
        // Time passes only while the flood waits for room.
        sleep(Duration::from_millis(1000)).await;
    });
    let most = 6 * 10 * 2048;
    let printed = back.history().len();
    assert!(printed > 0 && printed <= most, "{printed} bytes in a second");
    guest.within(|| flood.abort());
    drop(machine);
}

/// A guest that handles its ring by hand.
struct RawGuest {
    page: Rc<Grant>,
    port: Port,
    back: back::Console<Rc<Page>>,
    machine: Machine,
    guest: Domain,
    daemon: Domain,
}

impl RawGuest {
    fn new() -> Self {
        let machine = Machine::new();
        let (daemon, guest) = (machine.domain(DAEMON), machine.domain(GUEST));
        let (page, port) = lend(&guest);
        let back = join(&daemon, &page, &port, Limits::default());
        Self { page, port, back, machine, guest, daemon }
    }

    /// Prints as a program does that takes up the ring as it is.
    fn print(&self, bytes: &[u8]) {
        self.guest.within(|| {
            let mut ring = Producer::new(self.page.clone(), Direction::CONSOLE_OUT);
            assert_eq!(ring.write(bytes), Ok(bytes.len()));
            self.port.notify().unwrap();
        });
        self.machine.settle();
    }

    fn set(&self, index: usize, value: u32) {
        self.page.shared().store_u32(index, value, Ordering::SeqCst);
        self.guest.within(|| self.port.notify()).unwrap();
        self.machine.settle();
    }
}

#[test]
fn indices_that_lie_harm_nobody() {
    let (out, input) = (Direction::CONSOLE_OUT, Direction::CONSOLE_IN);
    for index in [out.prod, out.cons, input.prod, input.cons] {
        for value in [1, 77, 2049, 1 << 20, 1 << 31, u32::MAX] {
            let world = RawGuest::new();
            world.print(b"before");
            world.set(index, value);
            world.daemon.within(|| world.back.try_write(b"typed").unwrap());
            world.set(index, value.wrapping_mul(3));
            assert!(world.back.history().starts_with(b"before"));
            assert!(world.back.history().len() <= 3 * 2048);
        }
    }
}

#[test]
fn a_guest_that_clears_its_page_is_taken_up_again() {
    let world = RawGuest::new();
    world.print(b"a first life, longer than the second");
    world.daemon.within(|| assert_eq!(world.back.try_write(b"never read"), Ok(10)));
    world.page.shared().zero(0, 4096);
    world.print(b"after");
    assert!(String::from_utf8(world.back.history()).unwrap().ends_with("the secondafter"));
    world.daemon.within(|| assert_eq!(world.back.try_write(b"typed"), Ok(5)));
    let mut typed = [0; 8];
    let mut ring = Consumer::new(world.page.clone(), Direction::CONSOLE_IN);
    assert_eq!(ring.read(&mut typed), Ok(5));
}

#[test]
fn a_closed_console_ends_for_everybody() {
    let world = World::new(Limits::default());
    let mut reader = world.back.attach();
    let writer = world.back.clone();
    let blocked = world.daemon.spawn(async move { writer.write_all(&text(5000)).await });
    world.machine.settle();
    world.back.close();
    world.daemon.run(async {
        assert_eq!(blocked.await.unwrap(), Err(back::Closed));
        assert_eq!(timeout(Duration::from_secs(1), reader.read(&mut [0; 8])).await, Ok(0));
        assert_eq!(world.back.try_write(b"x"), Err(back::Closed));
    });
}

#[test]
fn the_toolstack_tells_where_a_console_is() {
    let machine = Machine::new();
    let (daemon, guest) = (machine.domain(DAEMON), machine.domain(GUEST));
    let daemon_store = daemon.run(Xenstore::connect()).unwrap();
    let guest_store = guest.run(Xenstore::connect()).unwrap();
    let dir = "/local/domain/1/device/console/1";
    daemon.run(async {
        daemon_store.write(&format!("{dir}/backend"), "/local/domain/0/backend/console/1/1").await.unwrap();
        daemon_store.write(&format!("{dir}/backend-id"), "0").await.unwrap();
        daemon_store.write("/local/domain/1/console/type", "ioemu").await.unwrap();
    });
    let mut front = guest.run(front::Console::open(&guest_store, "1")).unwrap();
    let back = daemon.run(async {
        let ours = back::Console::open(&daemon_store, GUEST, Limits::default()).await;
        assert_eq!(ours.unwrap_err(), back::OpenError::NotOurs);
        back::Console::open_further(&daemon_store, GUEST, dir, Limits::default()).await.unwrap()
    });
    let server = back.clone();
    drop(daemon.spawn(async move { server.serve().await }));
    guest.within(|| {
        front.write_all(b"further").unwrap();
        front.flush().unwrap();
    });
    assert_eq!(back.history(), b"further");
    drop((front, back, guest_store, daemon_store));
}
