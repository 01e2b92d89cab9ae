//! Ports: what each is, and finding free ones.
//!
//! A port once made is never taken away while its domain lives, so a number that was found valid
//! stays so. What a port is changes only under the domain's events lock together with the port's
//! own; either is enough to look.

use alloc::{boxed::Box, sync::Arc};
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use lock::{Mutex, Once};
use xen_abi::{Domid, Errno, event_channel::fifo};

use crate::{domain::Domain, machine::Machine, shared::filled};

/// Which vCPU a port notifies that is the hypervisor's own: none, the hypervisor is told.
pub(super) const HYPERVISOR: u32 = u32::MAX;
/// Ports that are made together.
pub(super) const BUCKET: u32 = 64;

/// What a port is.
pub(super) enum State<M: Machine> {
    Free,
    /// Port 0, and ports that are being made.
    Reserved,
    /// May be connected to by that domain.
    Unbound(Domid),
    /// Connected to that port.
    Interdomain(Arc<Domain<M>>, u32),
    /// Bound to a virtual interrupt.
    Virq(u32),
    /// Sent by the domain to itself.
    Ipi,
}

/// A port.
pub(super) struct Port<M: Machine> {
    pub(super) state: Mutex<State<M>>,
    /// Which vCPU it notifies, or [`HYPERVISOR`].
    pub(super) vcpu: AtomicU32,
    /// FIFO: its priority.
    pub(super) priority: AtomicU32,
    /// FIFO: the queue that it was put in last, vCPU << 8 | priority. Changed under the delivery lock.
    pub(super) last_queue: AtomicU32,
    /// FIFO: it was raised before its word existed.
    pub(super) early: AtomicBool,
}

impl<M: Machine> Port<M> {
    fn new() -> Self {
        Self {
            state: Mutex::new(State::Free),
            vcpu: AtomicU32::new(0),
            priority: AtomicU32::new(fifo::PRIORITY_DEFAULT),
            last_queue: AtomicU32::new(fifo::PRIORITY_DEFAULT),
            early: AtomicBool::new(false),
        }
    }

    /// Whether it is the hypervisor's, in the domain's name: the domain cannot use it.
    pub(super) fn is_hypervisors(&self) -> bool {
        self.vcpu.load(Ordering::Relaxed) == HYPERVISOR
    }

    /// As a port that has just been made.
    pub(super) fn reset(&self) {
        self.vcpu.store(0, Ordering::Relaxed);
        self.priority.store(fifo::PRIORITY_DEFAULT, Ordering::Relaxed);
        self.early.store(false, Ordering::Relaxed);
    }
}

/// Ports that are made together, once.
type Bucket<M> = Once<Box<[Port<M>]>>;

/// The ports of a domain, made as they are needed.
pub(super) struct Ports<M: Machine> {
    buckets: Box<[Bucket<M>]>,
}

impl<M: Machine> Ports<M> {
    /// For ports up to `highest`.
    pub(super) fn new(highest: u32) -> Result<Self, Errno> {
        let count = highest.min(fifo::NR_CHANNELS - 1) / BUCKET + 1;
        Ok(Self { buckets: filled(count as usize, Once::new)? })
    }

    /// The port, if it was ever made.
    pub(super) fn get(&self, port: u32) -> Option<&Port<M>> {
        let bucket = self.buckets.get((port / BUCKET) as usize)?.get()?;
        bucket.get((port % BUCKET) as usize)
    }

    /// The port, made if need be. The caller holds the events lock.
    pub(super) fn make(&self, port: u32) -> Result<&Port<M>, Errno> {
        let slot = self.buckets.get((port / BUCKET) as usize).ok_or(Errno::ENOSPC)?;
        let bucket = slot.try_call_once(|| filled(BUCKET as usize, Port::new))?;
        Ok(&bucket[(port % BUCKET) as usize])
    }
}
