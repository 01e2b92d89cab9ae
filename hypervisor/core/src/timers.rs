//! Software timers on the hypervisor timer of each CPU.
//!
//! A timer has at most one entry in the queue of the CPU that armed it last. Arming it for later,
//! or stopping it, leaves the entry where it is: when that expires, the timer's own deadline decides.
//! So the common case, a guest's tick that moves on and on, costs no queue operation.

use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::{
    Hypervisor,
    domain::Domain,
    machine::{CpuId, Machine},
    percpu::PerCpu,
    vcpu::{Vcpu, VcpuRef},
};
use alloc::sync::Arc;

/// Not armed.
pub(crate) const NEVER: u64 = u64::MAX;

/// Watchdogs of a domain.
pub const WATCHDOGS: usize = 2;

/// What a timer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TimerKind {
    /// The virtual timer of a vCPU that is not loaded.
    Virtual,
    /// The emulated physical timer.
    Physical,
    /// SCHEDOP_poll's timeout.
    Poll,
    /// A domain's watchdog.
    Watchdog(u8),
}

/// One timer.
pub(crate) struct SoftTimer {
    deadline: AtomicU64,
    /// When its entry expires, and in whose queue it is.
    queued: AtomicU64,
    cpu: AtomicU32,
}

impl SoftTimer {
    pub(crate) const fn new() -> Self {
        Self { deadline: AtomicU64::new(NEVER), queued: AtomicU64::new(NEVER), cpu: AtomicU32::new(0) }
    }

    /// Stops it; says whether it was armed.
    pub(crate) fn stop(&self) -> bool {
        self.deadline.load(Ordering::Relaxed) != NEVER && self.deadline.swap(NEVER, Ordering::SeqCst) != NEVER
    }

    pub(crate) fn is_armed(&self) -> bool {
        self.deadline.load(Ordering::SeqCst) != NEVER
    }

    fn has_entry_before(&self, cpu: CpuId, deadline: u64) -> bool {
        self.cpu.load(Ordering::Relaxed) == cpu.0 && self.queued.load(Ordering::Relaxed) <= deadline
    }

    fn note_entry(&self, cpu: CpuId, at: u64) {
        self.queued.store(at, Ordering::Relaxed);
        self.cpu.store(cpu.0, Ordering::Relaxed);
    }
}

/// A vCPU's timers.
pub struct VcpuTimers {
    pub(crate) virt: SoftTimer,
    pub(crate) phys: SoftTimer,
    pub(crate) poll: SoftTimer,
}

impl VcpuTimers {
    pub(crate) const fn new() -> Self {
        Self { virt: SoftTimer::new(), phys: SoftTimer::new(), poll: SoftTimer::new() }
    }
}

struct Entry<M: Machine> {
    at: u64,
    vcpu: VcpuRef<M>,
    kind: TimerKind,
}

impl<M: Machine> Entry<M> {
    fn timer(&self) -> &SoftTimer {
        timer_of(&self.vcpu.domain, &self.vcpu, self.kind)
    }
}

fn timer_of<'a, M: Machine>(domain: &'a Domain<M>, vcpu: &'a Vcpu<M>, kind: TimerKind) -> &'a SoftTimer {
    match kind {
        TimerKind::Virtual => &vcpu.timers.virt,
        TimerKind::Physical => &vcpu.timers.phys,
        TimerKind::Poll => &vcpu.timers.poll,
        TimerKind::Watchdog(n) => &domain.sched.watchdogs[usize::from(n) % WATCHDOGS],
    }
}

/// The entries of one CPU, in no order: few are armed at a time.
pub(crate) struct TimerQueue<M: Machine> {
    entries: Vec<Entry<M>>,
    next: u64,
}

impl<M: Machine> TimerQueue<M> {
    pub(crate) const fn new() -> Self {
        Self { entries: Vec::new(), next: NEVER }
    }

    pub(crate) fn reserve(&mut self, total: usize) -> Result<(), xen_abi::Errno> {
        let more = total.saturating_sub(self.entries.len());
        self.entries.try_reserve(more).map_err(|_| xen_abi::Errno::ENOMEM)
    }

    /// When the first entry expires.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    fn put(&mut self, domain: &Arc<Domain<M>>, vcpu: &Vcpu<M>, kind: TimerKind, at: u64) {
        let same = |entry: &&mut Entry<M>| {
            entry.kind == kind && entry.vcpu.id == vcpu.id && Arc::ptr_eq(&entry.vcpu.domain, domain)
        };
        match self.entries.iter_mut().find(same) {
            Some(entry) => entry.at = at,
            None => self.entries.push(Entry { at, vcpu: VcpuRef::from_parts(domain, vcpu), kind }),
        }
        self.next = self.next.min(at);
    }

    fn take_expired(&mut self, now: u64) -> Option<Entry<M>> {
        if self.next > now {
            return None;
        }
        let expired = self.entries.iter().position(|entry| entry.at <= now);
        let entry = expired.map(|index| self.entries.swap_remove(index));
        if entry.is_none() {
            self.next = self.entries.iter().map(|entry| entry.at).min().unwrap_or(NEVER);
        }
        entry
    }

    fn take_of(&mut self, domain: &Domain<M>) -> Option<Entry<M>> {
        let index = self.entries.iter().position(|entry| core::ptr::eq(&*entry.vcpu.domain, domain))?;
        Some(self.entries.swap_remove(index))
    }
}

impl<M: Machine> Hypervisor<M> {
    /// Arms a timer of `vcpu` (or of its domain) on this CPU for the tick `deadline`.
    #[hot]
    pub(crate) fn arm_timer(
        &self,
        cpu: CpuId,
        domain: &Arc<Domain<M>>,
        vcpu: &Vcpu<M>,
        kind: TimerKind,
        deadline: u64,
    ) {
        let timer = timer_of(domain, vcpu, kind);
        timer.deadline.store(deadline, Ordering::SeqCst);
        if deadline == NEVER || timer.has_entry_before(cpu, deadline) {
            return;
        }
        timer.note_entry(cpu, deadline);
        let pcpu = self.percpu(cpu);
        let mut timers = pcpu.timers.lock();
        timers.put(domain, vcpu, kind, deadline);
        pcpu.note_timers(&timers);
        drop(timers);
        self.program_timer(pcpu);
    }

    /// Sets the hypervisor timer to whatever comes first on `pcpu`, which is this CPU.
    #[hot]
    pub(crate) fn program_timer(&self, pcpu: &PerCpu<M>) {
        let ends = |at: &AtomicU64| at.load(Ordering::Relaxed);
        let first = ends(&pcpu.first_timer).min(ends(&pcpu.slice_end));
        if ends(&pcpu.armed) != first {
            self.set_timer(pcpu, first);
        }
    }

    #[inline(never)]
    fn set_timer(&self, pcpu: &PerCpu<M>, at: u64) {
        pcpu.armed.store(at, Ordering::Relaxed);
        self.machine.set_timer((at != NEVER).then_some(at));
    }

    /// The hypervisor timer of this CPU reached its deadline.
    #[hot]
    pub fn timer_expired(&self, cpu: CpuId) {
        let pcpu = self.percpu(cpu);
        let now = self.machine.ticks();
        // Whatever comes next, the hardware has to be told: its output is still high.
        pcpu.armed.store(0, Ordering::Relaxed);
        loop {
            let mut timers = pcpu.timers.lock();
            let entry = timers.take_expired(now);
            pcpu.note_timers(&timers);
            drop(timers);
            let Some(entry) = entry else { break };
            self.entry_expired(cpu, &entry, now);
        }
        if pcpu.slice_end.load(Ordering::Relaxed) <= now {
            pcpu.slice_end.store(NEVER, Ordering::Relaxed);
            pcpu.reschedule();
        }
        self.program_timer(pcpu);
    }

    fn entry_expired(&self, cpu: CpuId, entry: &Entry<M>, now: u64) {
        let timer = entry.timer();
        if timer.cpu.load(Ordering::Relaxed) == cpu.0 {
            timer.queued.store(NEVER, Ordering::Relaxed);
        }
        let deadline = timer.deadline.load(Ordering::SeqCst);
        if deadline > now {
            self.arm_timer(cpu, &entry.vcpu.domain, &entry.vcpu, entry.kind, deadline);
            return;
        }
        let order = Ordering::SeqCst;
        if timer.deadline.compare_exchange(deadline, NEVER, order, order).is_ok() {
            self.timer_fired(cpu, &entry.vcpu, entry.kind);
        }
    }

    fn timer_fired(&self, cpu: CpuId, vcpu: &VcpuRef<M>, kind: TimerKind) {
        match kind {
            // Once it is loaded, the real timer finds that its time has come.
            TimerKind::Virtual => self.wake(&vcpu.domain, vcpu),
            TimerKind::Physical => self.physical_timer_fired(cpu, vcpu),
            TimerKind::Poll => self.wake(&vcpu.domain, vcpu),
            TimerKind::Watchdog(_) => self.watchdog_fired(&vcpu.domain),
        }
    }

    /// Forgets all timers of a domain that never runs again.
    pub(crate) fn drop_timers(&self, domain: &Arc<Domain<M>>) {
        for watchdog in &domain.sched.watchdogs {
            watchdog.stop();
        }
        for vcpu in domain.vcpus() {
            vcpu.timers.virt.stop();
            vcpu.timers.phys.stop();
            vcpu.timers.poll.stop();
        }
        for pcpu in &self.cpus {
            loop {
                // Its own statement: what is dropped may be large.
                let entry = pcpu.timers.lock().take_of(domain);
                if entry.is_none() {
                    break;
                }
            }
        }
    }
}
