//! Stores to be tested with: slow, failing, counting.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use blkback::{Description, Disks, Geometry, OpenError, RamStore, Store, StoreError};
use guest_sdk::exec::{sleep, yield_now};

use crate::noise::Noise;

/// How a store behaves. Shared, so that a test can change it while the store is in use.
#[derive(Debug)]
pub struct Behaviour {
    /// Each request takes up to so long, in virtual time.
    pub delay: Cell<Duration>,
    /// Each request waits for up to so many turns of the executor.
    pub turns: Cell<u64>,
    /// All requests fail.
    pub broken: Cell<bool>,
    /// Flushes so far.
    pub flushes: Cell<u64>,
    /// Writes since the last flush.
    pub unflushed: Cell<u64>,
    /// Requests under way now, and at most so far.
    pub under_way: Cell<(u64, u64)>,
    noise: RefCell<Noise>,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            delay: Cell::default(),
            turns: Cell::default(),
            broken: Cell::default(),
            flushes: Cell::default(),
            unflushed: Cell::default(),
            under_way: Cell::default(),
            noise: RefCell::new(Noise::new(7)),
        }
    }
}

/// Memory that takes its time.
#[derive(Debug)]
pub struct TestStore {
    inner: RamStore,
    geometry: Geometry,
    /// See there.
    pub behaviour: Rc<Behaviour>,
}

impl TestStore {
    /// A writable store of `sectors` sectors with a cache.
    ///
    /// # Panics
    ///
    /// Without the memory for it.
    #[must_use]
    pub fn new(sectors: u64) -> Self {
        let inner = RamStore::new(sectors).expect("memory for a disk");
        let geometry = Geometry { volatile_cache: true, ..inner.geometry() };
        Self { inner, geometry, behaviour: Rc::default() }
    }

    /// The same, with other numbers.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Geometry)) -> Self {
        change(&mut self.geometry);
        self
    }

    async fn pass_time(&self) -> Result<(), StoreError> {
        let b = &self.behaviour;
        let (now, most) = b.under_way.get();
        b.under_way.set((now + 1, most.max(now + 1)));
        let (delay, turns) = {
            let mut noise = b.noise.borrow_mut();
            (noise.below(b.delay.get().as_nanos() as u64 + 1), noise.below(b.turns.get() + 1))
        };
        if delay > 0 {
            sleep(Duration::from_nanos(delay)).await;
        }
        for _ in 0..turns {
            yield_now().await;
        }
        let (now, most) = b.under_way.get();
        b.under_way.set((now - 1, most));
        if b.broken.get() { Err(StoreError::Io) } else { Ok(()) }
    }
}

impl Store for TestStore {
    fn geometry(&self) -> Geometry {
        self.geometry
    }

    async fn read_at(&self, sector: u64, buf: &mut [u8]) -> Result<(), StoreError> {
        self.pass_time().await?;
        self.inner.read_at(sector, buf).await
    }

    async fn write_at(&self, sector: u64, data: &[u8]) -> Result<(), StoreError> {
        self.pass_time().await?;
        self.behaviour.unflushed.set(self.behaviour.unflushed.get() + 1);
        self.inner.write_at(sector, data).await
    }

    async fn flush(&self) -> Result<(), StoreError> {
        self.pass_time().await?;
        self.behaviour.flushes.set(self.behaviour.flushes.get() + 1);
        self.behaviour.unflushed.set(0);
        Ok(())
    }

    async fn discard(&self, sector: u64, count: u64, secure: bool) -> Result<(), StoreError> {
        self.pass_time().await?;
        self.inner.discard(sector, count, secure).await
    }
}

/// Stores by the name that disks give as their `params`.
#[derive(Clone, Debug, Default)]
pub struct Shelf(Rc<RefCell<BTreeMap<String, Rc<TestStore>>>>);

impl Shelf {
    /// Puts a store on the shelf.
    pub fn put(&self, name: &str, store: TestStore) -> Rc<TestStore> {
        let store = Rc::new(store);
        self.0.borrow_mut().insert(name.to_string(), store.clone());
        store
    }
}

impl Disks for Shelf {
    type Store = TestStore;

    async fn open(&self, disk: &Description) -> Result<Rc<TestStore>, OpenError> {
        let found = self.0.borrow().get(&disk.params).cloned();
        found.ok_or_else(|| OpenError(format!("{}: No such file or directory", disk.params)))
    }
}
