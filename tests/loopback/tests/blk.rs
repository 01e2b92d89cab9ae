//! blkfront and blkback, meeting as they would in two domains.

use std::rc::Rc;
use std::time::Duration;

use blkback::{Backend, Limits, Store};
use blkfront::{Disk, Error, Options};
use guest_sdk::abi::Domid;
use guest_sdk::exec;
use guest_sdk::fake::{Domain, Machine};
use guest_sdk::grant;
use guest_sdk::xenbus::XenbusState;
use guest_sdk::xenstore::Xenstore;
use loopback_tests::disks::{Shelf, TestStore};
use loopback_tests::noise::Noise;
use loopback_tests::toolstack::{BACK, DiskNodes, XVDA};

const GUEST: Domid = Domid(1);
const SECTORS: u64 = 4096;

/// A machine with a back end's domain and a guest.
struct World {
    _machine: Machine,
    back: Domain,
    front: Domain,
    shelf: Shelf,
    nodes: DiskNodes,
}

impl World {
    fn new() -> Self {
        let machine = Machine::new();
        let back = machine.domain(BACK);
        let front = machine.domain(GUEST);
        let nodes = DiskNodes::new(GUEST, XVDA);
        Self { _machine: machine, back, front, shelf: Shelf::default(), nodes }
    }

    /// The same, with a disk made and a back end started.
    fn with_disk(store: TestStore, limits: Limits) -> (Self, Rc<TestStore>, Backend) {
        let world = Self::new();
        let store = world.shelf.put("disk", store);
        world.toolstack(async |xs| world.nodes.make(xs, "disk", "w").await);
        let backend = world.start_backend(limits);
        (world, store, backend)
    }

    fn start_backend(&self, limits: Limits) -> Backend {
        let shelf = self.shelf.clone();
        self.back.run(async {
            let xs = Xenstore::connect().await.unwrap();
            Backend::start(xs, shelf, limits)
        })
    }

    fn toolstack<T>(&self, f: impl AsyncFnOnce(&Xenstore) -> T) -> T {
        self.back.run(async {
            let xs = Xenstore::connect().await.unwrap();
            f(&xs).await
        })
    }

    fn open(&self, options: Options) -> Result<Disk, Error> {
        self.front.run(async {
            let xs = Xenstore::connect().await.unwrap();
            Disk::open(&xs, XVDA, options).await
        })
    }
}

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
