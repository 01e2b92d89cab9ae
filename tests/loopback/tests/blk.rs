//! blkfront and blkback, meeting as they would in two domains.

use std::rc::Rc;
use std::time::Duration;

use blkback::{Limits, Store};
use blkfront::{Disk, Options};
use guest_sdk::exec;
use guest_sdk::xenbus::XenbusState;
use loopback_tests::disks::TestStore;
use loopback_tests::noise::Noise;
use loopback_tests::torment::torment;
use loopback_tests::world::{SECTORS, World, holdings};

fn pattern(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    Noise::new(seed).fill(&mut bytes);
    bytes
}

#[test]
fn what_is_written_is_read_back() {
    let (world, store, _backend) = World::with_disk(TestStore::new(SECTORS), Limits::default());
    let disk = world.open(Options::default()).unwrap();
    world.front.run(async {
        assert_eq!(disk.info().await.unwrap().sectors, SECTORS);
        for (sector, len) in
            [(0, 512), (1, 4096), (7, 8192), (100, 11 * 4096), (300, 128 << 10), (600, 1 << 20)]
        {
            let data = pattern(sector, len);
            disk.write(sector, &data).await.unwrap();
            let mut back = vec![0; len];
            disk.read(sector, &mut back).await.unwrap();
            assert!(data == back, "{len} bytes at {sector}");
        }
        disk.flush().await.unwrap();
    });
    assert_eq!(store.behaviour.flushes.get(), 1);
    let mut direct = vec![0; 8192];
    world.back.run(store.read_at(7, &mut direct)).unwrap();
    assert!(direct == pattern(7, 8192));
}

/// Runs `count` reads of `len` bytes at the same time and gives the events that each end sent for them.
fn events_for(world: &World, disk: &Disk, count: u64, len: usize) -> (u64, u64) {
    let before = (world.front.events_sent(), world.back.events_sent());
    world.front.run(async {
        let tasks: Vec<_> = (0..count)
            .map(|i| {
                let disk = disk.clone();
                exec::spawn(async move {
                    let mut buffer = vec![0; len];
                    disk.read(i * 8 % (SECTORS - 256), &mut buffer).await.unwrap();
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
    (world.front.events_sent() - before.0, world.back.events_sent() - before.1)
}

#[test]
fn a_full_ring_costs_few_notifications() {
    let (world, _store, _backend) = World::with_disk(TestStore::new(SECTORS), Limits::default());
    let disk = world.open(Options::default()).unwrap();
    events_for(&world, &disk, 1, 4096);
    let (asked, answered) = events_for(&world, &disk, 1, 4096);
    assert_eq!((asked, answered), (1, 1), "at depth 1");
    let (asked, answered) = events_for(&world, &disk, 32, 4096);
    println!("depth 32, instant store: {asked} and {answered} events for 32 requests");
    assert_eq!((asked, answered), (1, 1), "at depth 32");
    let (asked, answered) = events_for(&world, &disk, 320, 4096);
    println!("320 at once, instant store: {asked} and {answered} events");
    assert!(asked <= 160 && answered <= 160, "more than one event for two requests");
}

#[test]
fn a_slow_store_is_kept_busy_with_a_whole_ring() {
    let (world, store, _backend) = World::with_disk(TestStore::new(SECTORS), Limits::default());
    store.behaviour.delay.set(Duration::from_millis(1));
    let disk = world.open(Options::default()).unwrap();
    let (asked, answered) = events_for(&world, &disk, 320, 4096);
    println!("320 at once, slow store: {asked} and {answered} events");
    assert_eq!(store.behaviour.under_way.get().1, 32);
}

#[test]
fn data_stays_right_in_any_order_of_completion() {
    let limits = [
        Limits::default(),
        Limits { indirect_segments: 0, ring_page_order: 0, ..Limits::default() },
        Limits { persistent_grants: 5, ..Limits::default() },
        Limits { bytes_in_flight: 1, ..Limits::default() },
    ];
    let options = [
        Options::default(),
        Options { ring_page_order: 3, segments: 64, ..Options::default() },
        Options { pages: 0, ..Options::default() },
    ];
    let mut seed = 0;
    for limits in limits {
        for options in options {
            seed += 1;
            let (world, store, _backend) = World::with_disk(TestStore::new(SECTORS), limits);
            store.behaviour.turns.set(seed % 7);
            store.behaviour.delay.set(Duration::from_micros(seed % 3 * 100));
            let disk = world.open(options).unwrap();
            torment(&world, &disk, seed, 30);
        }
    }
}

#[test]
fn nothing_is_left_when_a_disk_is_closed_and_removed() {
    let world = World::new();
    let store = world.shelf.put("disk", TestStore::new(SECTORS));
    let backend = world.start_backend(Limits::default());
    let before = (holdings(&world.front), holdings(&world.back));
    for round in 0..20 {
        world.toolstack(async |xs| world.nodes.make_disk(xs, "disk", "w").await);
        store.behaviour.turns.set(round);
        let options = Options { ring_page_order: (round % 4) as u32, ..Options::default() };
        let disk = world.open(options).unwrap();
        torment(&world, &disk, round, 5);
        world.front.run(disk.close());
        world.toolstack(async |xs| {
            world.nodes.await_back(xs, XenbusState::CLOSED).await;
            world.nodes.detach(xs).await;
            world.nodes.remove(xs).await;
        });
    }
    world.back.run(backend.stop()).unwrap();
    assert_eq!((holdings(&world.front), holdings(&world.back)), before);
    assert_eq!(Rc::strong_count(&store), 2, "the test's and the shelf's");
}
