//! A virtual CPU.

use alloc::sync::Arc;
use core::{
    fmt,
    ops::Deref,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

use lock::Mutex;

use crate::{
    domain::Domain,
    event_channel::VcpuEvents,
    exits::Exits,
    machine::Machine,
    sched::{Runstate, VcpuSched},
    timers::VcpuTimers,
    vgic::Delivery,
    vtimer::PhysicalTimer,
};

/// A virtual CPU. It lives inside its domain; [`VcpuRef`] is how one is held.
pub struct Vcpu<M: Machine> {
    /// Index within the domain.
    pub id: u32,
    /// Registers while it is not running.
    pub context: M::Context,
    /// Whether and where it runs.
    pub sched: VcpuSched,
    /// What it did when.
    pub runstate: Runstate,
    /// Its part of the event channels.
    pub events: VcpuEvents,
    /// Where the guest wants to read its record: a virtual address, 0 for nowhere.
    pub(crate) runstate_area: AtomicU64,
    /// The record there is out of date.
    pub(crate) runstate_due: AtomicBool,
    /// Its timers.
    pub timers: VcpuTimers,
    /// How often it left its guest, and why.
    pub exits: Exits,
    /// The timer that is emulated for it.
    pub physical_timer: Mutex<PhysicalTimer>,
    /// Whether its list registers are up to date.
    pub delivery: Delivery,
    /// Set once it has registers to start from.
    pub initialised: AtomicBool,
    /// While maintenance by set and way goes on: the frame to go on with. 0 when none does.
    pub(crate) cleaning_from: AtomicU64,
}

impl<M: Machine> Vcpu<M> {
    /// A vCPU that is down, and paused as often as its domain is.
    pub fn new(id: u32, context: M::Context, domain_pauses: u32) -> Self {
        Self {
            id,
            context,
            sched: VcpuSched::new(domain_pauses),
            runstate: Runstate::new(),
            events: VcpuEvents::new(),
            runstate_area: AtomicU64::new(0),
            runstate_due: AtomicBool::new(false),
            timers: VcpuTimers::new(),
            exits: Exits::new(),
            physical_timer: Mutex::new(PhysicalTimer::new()),
            delivery: Delivery::default(),
            initialised: AtomicBool::new(false),
            cleaning_from: AtomicU64::new(0),
        }
    }

    pub(crate) fn is_cleaning(&self) -> bool {
        self.cleaning_from.load(Ordering::Relaxed) != 0
    }
}

/// A vCPU together with its domain.
pub struct VcpuRef<M: Machine> {
    /// The domain.
    pub domain: Arc<Domain<M>>,
    // The domain has them too, but further away: this is looked through all the time.
    vcpus: Arc<[Vcpu<M>]>,
    index: usize,
}

impl<M: Machine> VcpuRef<M> {
    /// The vCPU `id` of `domain`, if it has been created.
    pub fn new(domain: &Arc<Domain<M>>, id: u32) -> Option<Self> {
        let index = usize::try_from(id).ok()?;
        let vcpus = domain.shared_vcpus()?;
        (index < vcpus.len()).then(|| Self { domain: domain.clone(), vcpus: vcpus.clone(), index })
    }

    /// The vCPU and its domain.
    #[inline(always)]
    pub(crate) fn parts(&self) -> (&Vcpu<M>, &Arc<Domain<M>>) {
        (self, &self.domain)
    }

    /// From a domain and one of its own vCPUs.
    ///
    /// # Panics
    ///
    /// When it is another domain's: a bug of the caller.
    pub(crate) fn from_parts(domain: &Arc<Domain<M>>, vcpu: &Vcpu<M>) -> Self {
        Self::new(domain, vcpu.id).expect("a vCPU of this domain")
    }
}

impl<M: Machine> Clone for VcpuRef<M> {
    fn clone(&self) -> Self {
        Self { domain: self.domain.clone(), vcpus: self.vcpus.clone(), index: self.index }
    }
}

impl<M: Machine> PartialEq for VcpuRef<M> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.domain, &other.domain) && self.index == other.index
    }
}

impl<M: Machine> Deref for VcpuRef<M> {
    type Target = Vcpu<M>;
    #[inline]
    fn deref(&self) -> &Vcpu<M> {
        &self.vcpus[self.index]
    }
}

/// `d1v0`, the prefix of log lines.
impl<M: Machine> fmt::Display for VcpuRef<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}v{}", self.domain.id, self.index)
    }
}

impl<M: Machine> fmt::Debug for VcpuRef<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
