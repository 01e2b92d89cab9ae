//! The surroundings of the toolstack: hypervisor, store, files and time.

use alloc::string::String;
use core::time::Duration;

use crate::control::Control;
use crate::store::Store;

/// An open file, to be read.
#[allow(async_fn_in_trait, reason = "everything in dom0 runs on one vCPU, so no future has to be `Send`")]
pub trait Source {
    /// Gives its length in bytes.
    fn len(&self) -> u64;
    /// Tells whether it has no bytes.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Fills a buffer from an offset on. The error says what is wrong.
    async fn read_at(&self, offset: u64, to: &mut [u8]) -> Result<(), String>;
}

/// What the toolstack works with.
#[allow(async_fn_in_trait, reason = "as above")]
pub trait Host {
    /// The hypervisor.
    type Control: Control;
    /// The store.
    type Store: Store;
    /// A file.
    type Source: Source;

    /// Gives the hypervisor.
    fn control(&self) -> &Self::Control;
    /// Gives the store.
    fn store(&self) -> &Self::Store;
    /// Opens a file. The error says what is wrong.
    async fn open(&self, path: &str) -> Result<Self::Source, String>;
    /// Gives the time since the machine started.
    fn uptime(&self) -> Duration;
    /// Gives the time since 1970, if anybody knows.
    fn wallclock(&self) -> Option<Duration>;
    /// Waits for something, but not for ever.
    async fn timeout<F: Future>(&self, limit: Duration, what: F) -> Option<F::Output>;
    /// Waits.
    async fn sleep(&self, time: Duration);
    /// Lets others run.
    async fn pause(&self);
}
