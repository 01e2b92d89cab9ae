//! Front ends that lie, and what it costs them.

use std::sync::atomic::Ordering;
use std::time::Duration;

use blkback::{Backend, Limits, Store};
use blkfront::{Disk, Options};
use guest_sdk::abi::io::blkif::{self, op, rsp};
use guest_sdk::abi::{Domid, Gref};
use guest_sdk::exec::{sleep, timeout};
use guest_sdk::fake::Domain;
use guest_sdk::shared::Memory;
use guest_sdk::xenbus::XenbusState;
use guest_sdk::xenstore::Xenstore;
use loopback_tests::disks::TestStore;
use loopback_tests::noise::Noise;
use loopback_tests::raw_front::{RawFront, transfer, whole};
use loopback_tests::toolstack::{Nodes, XVDA};
use loopback_tests::torment::torment;
use loopback_tests::world::{SECTORS, World, holdings};

/// Offset of the front end's producer index in its ring.
const REQ_PROD: usize = 0;

fn connect(world: &World, persistent: bool) -> RawFront {
    world.front.run(RawFront::connect(&world.front_store, persistent))
}

#[test]
fn both_kinds_of_pages_are_read_and_written() {
    for persistent in [false, true] {
        let (world, _store, _backend) = World::with_disk(TestStore::new(SECTORS), Limits::default());
        let mut front = connect(&world, persistent);
        world.front.run(async {
            front.fill(0, &[7; 4096]);
            let grefs = front.pages.grefs().to_vec();
            let write = transfer(op::WRITE, 8, &[whole(grefs[0])]);
            assert_eq!(front.ask(write).await, rsp::OKAY);
            assert_eq!(front.ask(transfer(op::READ, 8, &[whole(grefs[1])])).await, rsp::OKAY);
            assert!(front.page(1) == [7; 4096]);
            let part = blkif::Segment { gref: grefs[2], first_sect: 2, last_sect: 3, pad: 0 };
            assert_eq!(front.ask(transfer(op::READ, 9, &[part])).await, rsp::OKAY);
            let page = front.page(2);
            assert!(page[..1024] == [0; 1024] && page[1024..2048] == [7; 1024]);
            assert!(page[2048..] == [0; 2048]);
            // A page that is lent for reading does for writing to the disk only.
            let lent = front.read_only.gref();
            assert_eq!(front.ask(transfer(op::WRITE, 0, &[whole(lent)])).await, rsp::OKAY);
            assert_eq!(front.ask(transfer(op::READ, 0, &[whole(lent)])).await, rsp::ERROR);
        });
        assert_eq!(world.back.mapped_grants(), if persistent { 4 } else { 1 }, "the ring and pages");
    }
}

#[test]
fn a_read_only_disk_stays_as_it_is() {
    let world = World::new();
    let store = world.shelf.put("disk", TestStore::new(SECTORS));
    world.back.run(store.write_at(0, &[9; 4096])).unwrap();
    world.toolstack(async |xs| world.nodes.make_disk(xs, "disk", "r").await);
    let _backend = world.start_backend(Limits::default());
    let mut front = connect(&world, false);
    world.front.run(async {
        let page = whole(front.pages.gref());
        for operation in [op::WRITE, op::WRITE_BARRIER, op::FLUSH_DISKCACHE, op::DISCARD] {
            assert_ne!(front.ask(transfer(operation, 0, &[page])).await, rsp::OKAY, "{operation}");
        }
        assert_eq!(front.ask(transfer(op::READ, 0, &[page])).await, rsp::OKAY);
        assert!(front.page(0) == [9; 4096]);
        assert_eq!(front.device.read_other::<u32>("info").await.unwrap(), blkif::vdisk::READONLY);
    });
}

#[test]
fn a_page_that_is_not_lent_fails_its_request_alone() {
    for persistent in [false, true] {
        let (world, store, _backend) = World::with_disk(TestStore::new(SECTORS), Limits::default());
        world.back.run(store.write_at(0, &[9; 8192])).unwrap();
        let mut front = connect(&world, persistent);
        world.front.run(async {
            let good = whole(front.pages.gref());
            for gref in [Gref(0), Gref(1), Gref(7), Gref(2047), Gref(2048), Gref(u32::MAX)] {
                for segments in [[whole(gref), good], [good, whole(gref)]] {
                    assert_eq!(front.ask(transfer(op::READ, 0, &segments)).await, rsp::ERROR);
                    assert_eq!(front.ask(transfer(op::WRITE, 0, &segments)).await, rsp::ERROR);
                }
            }
            assert_eq!(front.ask(transfer(op::READ, 8, &[good])).await, rsp::OKAY);
            assert!(front.page(0) == [9; 4096], "nothing was written");
        });
    }
}

#[test]
fn a_producer_index_beyond_the_ring_cuts_its_guest_off() {
    for lie in [33, 1000, u32::MAX] {
        let (world, store, backend) = World::with_disk(TestStore::new(SECTORS), Limits::default());
        store.behaviour.delay.set(Duration::from_millis(5));
        let mut front = connect(&world, true);
        world.front.run(async {
            let page = whole(front.pages.gref());
            front.put(&transfer(op::READ, 0, &[page]));
            sleep(Duration::from_micros(1)).await;
            front.ring.memory().shared().store_u32(REQ_PROD, lie, Ordering::SeqCst);
            front.port.notify().unwrap();
            front.device.wait_other(|state| state == XenbusState::CLOSING).await.unwrap();
        });
        assert_eq!(world.back.mapped_grants(), 0, "nothing of it is mapped");
        world.toolstack(async |xs| {
            let why = format!("error/backend/vbd/1/{XVDA}/error");
            assert!(xs.read_string(&why).await.unwrap().contains("index"));
        });
        // It may behave from now on.
        world.front.run(async {
            front.device.switch_state(XenbusState::CLOSED).await.unwrap();
        });
        drop(front);
        let disk = world.open(Options::default()).unwrap();
        torment(&world, &disk, 1, 1);
        drop((disk, backend));
    }
}

#[test]
fn nodes_that_lie_are_refused() {
    let lies: [&[(&str, &str)]; 12] = [
        &[("ring-ref", "99999999")],
        &[("ring-ref", "-1")],
        &[("ring-ref", "")],
        &[("ring-ref", "1 2")],
        &[("event-channel", "0")],
        &[("event-channel", "4294967295")],
        &[("event-channel", "x")],
        &[("protocol", "x86_32-abi")],
        &[("ring-page-order", "31")],
        &[("ring-page-order", "4294967296")],
        &[("ring-page-order", "1"), ("ring-ref0", "8")],
        &[("multi-queue-num-queues", "4")],
    ];
    for lie in lies {
        let (world, _store, _backend) = World::with_disk(TestStore::new(SECTORS), Limits::default());
        world.machine.settle();
        let before = holdings(&world.back);
        world.front.run(async {
            let mut front = RawFront::new(&world.front_store).await;
            front.publish(true).await;
            for (key, value) in lie {
                front.device.write(key, value).await.unwrap();
            }
        });
        // The nodes may have changed before or after the back end looked.
        world.machine.settle();
        let state = world.toolstack(async |xs| world.nodes.states(xs).await.1);
        if state == XenbusState::CLOSING {
            assert_eq!(holdings(&world.back), before, "{lie:?}");
        }
    }
}

/// Overwrites parts of a request with noise.
fn spoil(request: &mut blkif::Request, noise: &mut Noise, grefs: &[Gref]) {
    let gref = |noise: &mut Noise| match noise.below(4) {
        0 => Gref(noise.number() as u32),
        1 => Gref(noise.below(64) as u32),
        _ => noise.pick(grefs),
    };
    request.operation = if noise.once_in(8) { noise.number() as u8 } else { noise.below(8) as u8 };
    request.nr_segments = if noise.once_in(8) { noise.number() as u8 } else { noise.below(13) as u8 };
    request.handle = noise.number() as u16;
    request.id = noise.number();
    request.sector_number = match noise.below(4) {
        0 => noise.number(),
        1 => SECTORS - noise.below(16),
        // The half that is the guest's to spoil.
        _ => SECTORS / 2 + noise.below(SECTORS / 2),
    };
    for segment in &mut request.seg {
        segment.gref = gref(noise);
        let limit = if noise.once_in(4) { 256 } else { 8 };
        segment.first_sect = noise.below(limit) as u8;
        segment.last_sect = noise.below(limit) as u8;
        segment.pad = noise.number() as u16;
    }
}

#[test]
fn noise_in_the_ring_harms_nobody_else() {
    for persistent in [false, true] {
        let limits = Limits { persistent_grants: 8, ..Limits::default() };
        let (world, store, _backend) = World::with_disk(TestStore::new(SECTORS), limits);
        store.behaviour.turns.set(3);
        let (victim, disk) = second_guest(&world);
        let mut front = connect(&world, persistent);
        let grefs = [front.pages.grefs(), front.read_only.grefs()].concat();
        let mut noise = Noise::new(persistent.into());
        for round in 0..3000 {
            let mut request = blkif::Request::default();
            spoil(&mut request, &mut noise, &grefs);
            world.front.run(async {
                let id = request.id;
                front.put(&request);
                let answer = timeout(Duration::from_secs(60), front.answer()).await;
                assert_eq!(answer.expect("every request is answered").id, id);
            });
            if round % 500 == 0 {
                victim.run(async {
                    let mut buffer = [0; 4096];
                    disk.write(0, &[round as u8; 4096]).await.unwrap();
                    disk.read(0, &mut buffer).await.unwrap();
                    assert!(buffer == [round as u8; 4096]);
                });
            }
        }
        assert!(world.back.mapped_grants() < 300, "{} mapped", world.back.mapped_grants());
    }
}

/// Another guest with another disk of the same back end.
fn second_guest(world: &World) -> (Domain, Disk) {
    let victim = world.machine.domain(Domid(2));
    world.shelf.put("other", TestStore::new(64));
    let nodes = Nodes::disk(Domid(2), XVDA);
    world.toolstack(async |xs| nodes.make_disk(xs, "other", "w").await);
    let disk = victim.run(async {
        let store = Xenstore::connect().await.unwrap();
        Disk::open(&store, XVDA, Options::default()).await.unwrap()
    });
    (victim, disk)
}

#[test]
fn a_disk_that_stalls_holds_up_no_other() {
    let (world, store, _backend) = World::with_disk(TestStore::new(SECTORS), Limits::default());
    let (victim, disk) = second_guest(&world);
    store.behaviour.delay.set(Duration::from_secs(3600));
    let mut front = connect(&world, false);
    world.front.within(|| {
        let page = whole(front.pages.gref());
        (0..32).for_each(|_| front.put(&transfer(op::WRITE, 0, &[page])));
    });
    let start = world.machine.now();
    victim.run(async { disk.write(0, &[1; 4096]).await }).unwrap();
    assert_eq!(world.machine.now(), start);
}

#[test]
fn a_storm_of_events_holds_up_no_other() {
    let (world, _store, _backend) = World::with_disk(TestStore::new(SECTORS), Limits::default());
    let (victim, disk) = second_guest(&world);
    let front = connect(&world, false);
    let _storm = world.front.spawn(async move {
        loop {
            front.port.notify().unwrap();
            guest_sdk::exec::yield_now().await;
        }
    });
    victim.run(async {
        for round in 0..50 {
            disk.write(0, &[round; 4096]).await.unwrap();
        }
    });
}

#[test]
fn a_guest_gets_no_more_memory_than_its_limit() {
    let limits = Limits { bytes_in_flight: 64 << 10, ..Limits::default() };
    let (world, store, _backend) = World::with_disk(TestStore::new(SECTORS), limits);
    store.behaviour.delay.set(Duration::from_millis(1));
    let mut front = connect(&world, false);
    world.front.run(async {
        let grefs: Vec<_> = front.pages.grefs()[..8].iter().map(|&gref| whole(gref)).collect();
        (0..32).for_each(|_| front.put(&transfer(op::READ, 0, &grefs)));
        for _ in 0..32 {
            assert_eq!(front.answer().await.status, rsp::OKAY);
        }
    });
    assert_eq!(store.behaviour.under_way.get().1, 2, "32 KiB each");
}

#[test]
fn a_barrier_comes_after_all_before_it_and_before_all_after_it() {
    let (world, store, _backend) = World::with_disk(TestStore::new(SECTORS), Limits::default());
    store.behaviour.delay.set(Duration::from_millis(1));
    let mut front = connect(&world, true);
    world.front.run(async {
        let page = whole(front.pages.gref());
        for id in 0..30 {
            let operation = if id % 10 == 5 { op::WRITE_BARRIER } else { op::WRITE };
            front.put(&blkif::Request { id, ..transfer(operation, id * 8, &[page]) });
        }
        let mut done = Vec::new();
        for _ in 0..30 {
            done.push(front.answer().await.id);
        }
        for barrier in [5, 15, 25] {
            let at = done.iter().position(|&id| id == barrier).unwrap();
            assert!(done[..at].iter().all(|&id| id < barrier), "{done:?}");
            assert!(done[at..].iter().all(|&id| id >= barrier), "{done:?}");
        }
        assert!(!done.is_sorted(), "the others are not in order");
    });
    assert_eq!(store.behaviour.flushes.get(), 6);
}

#[test]
fn a_failing_store_fails_requests_only() {
    let (world, store, _backend) = World::with_disk(TestStore::new(SECTORS), Limits::default());
    let mut front = connect(&world, true);
    world.front.run(async {
        let page = whole(front.pages.gref());
        store.behaviour.broken.set(true);
        front.fill(0, &[3; 4096]);
        assert_eq!(front.ask(transfer(op::READ, 0, &[page])).await, rsp::ERROR);
        assert!(front.page(0) == [3; 4096], "nothing of a failed read is seen");
        store.behaviour.broken.set(false);
        assert_eq!(front.ask(transfer(op::READ, 0, &[page])).await, rsp::OKAY);
    });
}

#[test]
fn a_front_end_that_never_closes_is_cut_off() {
    let (world, _store, backend) = World::with_disk(TestStore::new(SECTORS), Limits::default());
    let front = connect(&world, true);
    stop(&world, backend);
    assert_eq!(world.back.mapped_grants(), 0);
    drop(front);
}

fn stop(world: &World, backend: Backend) {
    world.back.run(backend.stop()).unwrap();
}

#[test]
fn a_guest_that_starts_anew_finds_its_disk() {
    let (world, _store, _backend) = World::with_disk(TestStore::new(SECTORS), Limits::default());
    let mut before = connect(&world, true);
    world.front.run(async {
        let page = whole(before.pages.gref());
        assert_eq!(before.ask(transfer(op::READ, 0, &[page])).await, rsp::OKAY);
    });
    // What ran before is gone without a word.
    world.front.within(|| drop(before));
    let disk = world.open(Options::default()).unwrap();
    torment(&world, &disk, 2, 2);
}
