//! What the toolstack works with in this dom0: the hypervisor, the store, and files on the volume.

use alloc::{
    rc::Rc,
    string::{String, ToString},
};
use core::time::Duration;

use guest_sdk::{exec, time, xenstore::Xenstore};
use toolstack::{
    host::{Host, Source},
    hypercalls::Hypercalls,
};

use crate::storage::{Disk, File, Volume};

/// dom0 as the toolstack sees it.
pub struct Dom0<D: Disk + Clone> {
    control: Hypercalls,
    store: Xenstore,
    volume: Rc<Volume<D>>,
}

impl<D: Disk + Clone> Dom0<D> {
    /// With its own connection to the store; random numbers grow from `seed`.
    pub fn new(store: Xenstore, volume: Rc<Volume<D>>, seed: &[u8]) -> Self {
        Self { control: Hypercalls::new(seed), store, volume }
    }
}

/// A file of the volume.
pub struct VolumeFile<D>(File<D>);

impl<D: Disk + Clone> Source for VolumeFile<D> {
    fn len(&self) -> u64 {
        self.0.len()
    }

    async fn read_at(&self, offset: u64, to: &mut [u8]) -> Result<(), String> {
        self.0.read_at(offset, to).await.map_err(|e| e.to_string())
    }
}

impl<D: Disk + Clone> Host for Dom0<D> {
    type Control = Hypercalls;
    type Store = Xenstore;
    type Source = VolumeFile<D>;

    fn control(&self) -> &Hypercalls {
        &self.control
    }

    fn store(&self) -> &Xenstore {
        &self.store
    }

    async fn open(&self, path: &str) -> Result<VolumeFile<D>, String> {
        self.volume.open(path).await.map(VolumeFile).map_err(|e| e.to_string())
    }

    fn uptime(&self) -> Duration {
        Duration::from_nanos(time::now().as_ns())
    }

    fn wallclock(&self) -> Option<Duration> {
        time::wallclock()
    }

    async fn timeout<F: Future>(&self, limit: Duration, what: F) -> Option<F::Output> {
        exec::timeout(limit, what).await.ok()
    }

    async fn sleep(&self, time: Duration) {
        exec::sleep(time).await;
    }

    async fn pause(&self) {
        exec::yield_now().await;
    }
}
