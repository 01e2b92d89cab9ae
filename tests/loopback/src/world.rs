//! A machine with a back end's domain and a guest.

use std::rc::Rc;

use blkback::{Backend, Limits};
use blkfront::{Disk, Error, Options};
use guest_sdk::abi::Domid;
use guest_sdk::fake::{Domain, Machine};
use guest_sdk::grant;
use guest_sdk::xenstore::Xenstore;

use crate::disks::{Shelf, TestStore};
use crate::toolstack::{BACK, Nodes, XVDA};

/// The guest.
pub const GUEST: Domid = Domid(1);
/// Size of the usual disk.
pub const SECTORS: u64 = 4096;

/// Two domains, and what is between them.
#[derive(Debug)]
pub struct World {
    /// The domain of the back end, and of the toolstack.
    pub back: Domain,
    /// The guest's domain.
    pub front: Domain,
    /// The store's connection of the back end's domain.
    pub back_store: Xenstore,
    /// The store's connection of the guest.
    pub front_store: Xenstore,
    /// What disks are made of.
    pub shelf: Shelf,
    /// The guest's `xvda`.
    pub nodes: Nodes,
    /// All of it; the last to go.
    pub machine: Machine,
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl World {
    /// Two domains, and nothing made yet.
    #[must_use]
    pub fn new() -> Self {
        let machine = Machine::new();
        let back = machine.domain(BACK);
        let front = machine.domain(GUEST);
        let connect = async || Xenstore::connect().await.expect("a connection to the store");
        Self {
            back_store: back.run(connect()),
            front_store: front.run(connect()),
            shelf: Shelf::default(),
            nodes: Nodes::disk(GUEST, XVDA),
            machine,
            back,
            front,
        }
    }

    /// The same, with a disk made and a back end started.
    #[must_use]
    pub fn with_disk(store: TestStore, limits: Limits) -> (Self, Rc<TestStore>, Backend) {
        let world = Self::new();
        let store = world.shelf.put("disk", store);
        world.toolstack(async |xs| world.nodes.make_disk(xs, "disk", "w").await);
        let backend = world.start_backend(limits);
        (world, store, backend)
    }

    /// Starts a back end.
    #[must_use]
    pub fn start_backend(&self, limits: Limits) -> Backend {
        let (store, shelf) = (self.back_store.clone(), self.shelf.clone());
        self.back.within(|| Backend::start(store, shelf, limits))
    }

    /// Runs something in the toolstack's place.
    pub fn toolstack<T>(&self, f: impl AsyncFnOnce(&Xenstore) -> T) -> T {
        self.back.run(f(&self.back_store))
    }

    /// Opens the guest's disk.
    ///
    /// # Errors
    ///
    /// As [`Disk::open`].
    pub fn open(&self, options: Options) -> Result<Disk, Error> {
        self.front.run(Disk::open(&self.front_store, XVDA, options))
    }
}

/// What a domain holds that others, or the hypervisor, keep count of.
pub fn holdings(domain: &Domain) -> (usize, usize, usize) {
    (domain.within(grant::reap), domain.mapped_grants(), domain.open_ports())
}
