//! Disks that come and go, at every moment.

use std::rc::Rc;
use std::time::Duration;

use blkback::{Backend, Limits, Store};
use blkfront::{Disk, Error, Options};
use guest_sdk::abi::Domid;
use guest_sdk::exec::{JoinHandle, timeout, yield_now};
use guest_sdk::xenbus::{XenbusState, frontend};
use guest_sdk::xenstore::Xenstore;
use loopback_tests::disks::TestStore;
use loopback_tests::toolstack::{Nodes, XVDA};
use loopback_tests::torment::torment;
use loopback_tests::world::{GUEST, SECTORS, World, holdings};

/// Moments from the making of a disk on at which something happens to it. By then the disk is in use.
fn moments() -> impl Iterator<Item = usize> {
    (0..60).step_by(2).chain((60..160).step_by(11))
}

/// How long libxl waits for a disk to close.
const PATIENCE: Duration = Duration::from_secs(10);

/// Opens the disk and writes to it until it is gone. Gives the error of the end, and what was written.
fn use_disk(world: &World) -> JoinHandle<(Error, u64)> {
    let store = world.front_store.clone();
    world.front.spawn(async move {
        let mut written = 0;
        let disk = match Disk::open(&store, XVDA, Options::default()).await {
            Ok(disk) => disk,
            Err(error) => return (error, written),
        };
        loop {
            match disk.write(written % SECTORS, &[written as u8; 512]).await {
                Ok(()) => written += 1,
                Err(error) => return (error, written),
            }
        }
    })
}

async fn turns(count: usize) {
    for _ in 0..count {
        yield_now().await;
    }
}

#[test]
fn a_disk_can_be_detached_at_any_moment() {
    let mut written_at_all = 0;
    for moment in moments() {
        let world = World::new();
        let store = world.shelf.put("disk", TestStore::new(SECTORS));
        let backend = world.start_backend(Limits::default());
        world.machine.settle();
        let before = (holdings(&world.front), holdings(&world.back));
        world.toolstack(async |xs| world.nodes.make_disk(xs, "disk", "w").await);
        let user = use_disk(&world);
        world.toolstack(async |xs| {
            turns(moment).await;
            world.nodes.detach(xs).await;
            timeout(PATIENCE, world.nodes.await_back(xs, XenbusState::CLOSED))
                .await
                .unwrap_or_else(|_| panic!("not closed when detached at {moment}"));
            world.nodes.remove(xs).await;
        });
        let (error, written) = world.front.run(user).unwrap();
        assert_eq!(error, frontend::Error::Removed.into(), "detached at {moment}");
        written_at_all += written;
        world.machine.settle();
        assert_eq!((holdings(&world.front), holdings(&world.back)), before, "detached at {moment}");
        assert_eq!(Rc::strong_count(&store), 2, "detached at {moment}");
        drop(backend);
    }
    assert!(written_at_all > 0, "the last moments are of a disk in use");
}

#[test]
fn a_disk_can_vanish_at_any_moment() {
    for moment in moments() {
        let world = World::new();
        world.shelf.put("disk", TestStore::new(SECTORS));
        let backend = world.start_backend(Limits::default());
        world.machine.settle();
        let before = (holdings(&world.front), holdings(&world.back));
        world.toolstack(async |xs| world.nodes.make_disk(xs, "disk", "w").await);
        let user = use_disk(&world);
        world.toolstack(async |xs| {
            turns(moment).await;
            world.nodes.remove(xs).await;
        });
        let (error, _) = world.front.run(user).unwrap();
        assert!(
            matches!(error, Error::Frontend(frontend::Error::Removed | frontend::Error::Store(_))),
            "vanished at {moment}: {error}"
        );
        world.machine.settle();
        assert_eq!((holdings(&world.front), holdings(&world.back)), before, "vanished at {moment}");
        drop(backend);
    }
}

#[test]
fn a_back_end_can_be_stopped_and_started_at_any_moment() {
    for moment in moments() {
        let (world, store, backend) = World::with_disk(TestStore::new(SECTORS), Limits::default());
        store.behaviour.delay.set(Duration::from_micros(50));
        let opened = {
            let store = world.front_store.clone();
            world.front.spawn(async move {
                let disk = Disk::open(&store, XVDA, Options::default()).await?;
                for sector in 0..100 {
                    disk.write(sector, &[sector as u8; 512]).await?;
                }
                Ok::<_, Error>(disk)
            })
        };
        world.back.run(async {
            turns(moment).await;
            backend.stop().await.unwrap();
        });
        let backend = world.start_backend(Limits::default());
        let disk = world.front.run(opened).unwrap().unwrap();
        let mut data = vec![0; 100 * 512];
        world.front.run(disk.read(0, &mut data)).unwrap();
        assert!(data.chunks(512).zip(0..).all(|(bytes, sector)| bytes == [sector; 512]));
        drop((disk, backend));
    }
}

#[test]
fn requests_outlive_a_crash_of_the_back_end() {
    let (world, store, backend) = World::with_disk(TestStore::new(SECTORS), Limits::default());
    let disk = world.open(Options::default()).unwrap();
    store.behaviour.delay.set(Duration::from_secs(1));
    let writes: Vec<_> = (0..100)
        .map(|sector| {
            let disk = disk.clone();
            world.front.spawn(async move { disk.write(sector, &[sector as u8; 512]).await })
        })
        .collect();
    world.machine.settle();
    world.back.within(|| drop(backend));
    let _backend = world.start_backend(Limits::default());
    for write in writes {
        world.front.run(write).unwrap().unwrap();
    }
    let mut data = vec![0; 100 * 512];
    world.back.run(store.read_at(0, &mut data)).unwrap();
    assert!(data.chunks(512).zip(0..).all(|(bytes, sector)| bytes == [sector; 512]));
}

#[test]
fn a_disk_can_be_opened_again_and_again() {
    let (world, _store, _backend) = World::with_disk(TestStore::new(SECTORS), Limits::default());
    let mut steady = None;
    for round in 0..20 {
        let disk = world.open(Options::default()).unwrap();
        torment(&world, &disk, round, 2);
        match round % 2 {
            0 => world.front.run(disk.close()),
            _ => drop(disk),
        }
        world.machine.settle();
        let now = (holdings(&world.front), holdings(&world.back));
        assert_eq!(*steady.get_or_insert(now), now);
    }
}

#[test]
fn a_disk_that_cannot_be_opened_says_so_and_waits_for_its_removal() {
    let world = World::new();
    let _backend = world.start_backend(Limits::default());
    world.toolstack(async |xs| world.nodes.make_disk(xs, "nothing", "w").await);
    world.machine.settle();
    world.toolstack(async |xs| {
        assert_eq!(xs.read_string(&world.nodes.back("hotplug-status")).await.unwrap(), "error");
        let why = xs.read_string(&world.nodes.back("hotplug-error")).await.unwrap();
        assert!(why.contains("No such file"), "{why}");
        world.nodes.remove(xs).await;
    });
    world.shelf.put("nothing", TestStore::new(SECTORS));
    world.toolstack(async |xs| world.nodes.make_disk(xs, "nothing", "w").await);
    let disk = world.open(Options::default()).unwrap();
    torment(&world, &disk, 1, 1);
}

#[test]
fn a_back_end_started_late_finds_the_disks() {
    let world = World::new();
    world.shelf.put("disk", TestStore::new(SECTORS));
    world.toolstack(async |xs| world.nodes.make_disk(xs, "disk", "w").await);
    let user = use_disk(&world);
    world.machine.settle();
    let _backend = world.start_backend(Limits::default());
    world.toolstack(async |xs| {
        world.nodes.await_front(xs, XenbusState::CONNECTED).await;
        world.nodes.detach(xs).await;
    });
    assert_eq!(world.front.run(user).unwrap().0, frontend::Error::Removed.into());
}

#[test]
fn a_driver_domain_removes_the_nodes_of_its_disks() {
    const SERVER: Domid = Domid(5);
    let world = World::new();
    world.shelf.put("disk", TestStore::new(SECTORS));
    let nodes = Nodes::disk_served_by(SERVER, GUEST, XVDA);
    world.toolstack(async |xs| nodes.make_disk(xs, "disk", "w").await);
    let server = world.machine.domain(SERVER);
    let shelf = world.shelf.clone();
    let _backend =
        server.run(async { Backend::start(Xenstore::connect().await.unwrap(), shelf, Limits::default()) });
    let user = use_disk(&world);
    world.toolstack(async |xs| {
        nodes.await_front(xs, XenbusState::CONNECTED).await;
        nodes.detach(xs).await;
        let mut watch = xs.watch(&nodes.back("state")).await.unwrap();
        while xs.exists(&nodes.back("state")).await.unwrap() {
            watch.next().await.unwrap();
        }
    });
    assert_eq!(world.front.run(user).unwrap().0, frontend::Error::Removed.into());
}
