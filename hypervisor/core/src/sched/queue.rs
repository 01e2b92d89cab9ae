//! The vCPUs that wait for a CPU, and what each CPU runs.
//!
//! One queue serves all CPUs, so that weights hold across them and no CPU idles while a vCPU that
//! it may run waits. A vCPU's key is the time it ran, scaled by its weight; the smallest key runs.

use alloc::vec::Vec;

use xen_abi::Errno;

use super::{
    params::{Limits, scaled},
    state::Place,
};
use crate::{
    machine::{CpuId, Machine},
    timers::NEVER,
    vcpu::VcpuRef,
};

/// What a CPU runs.
#[derive(Clone, Copy, Default)]
struct OnCpu {
    /// Runs a vCPU, whose key was `key` at tick `since`.
    busy: bool,
    key: u64,
    since: u64,
    /// When it was switched to.
    began: u64,
    /// How fast its key grows: see [`scaled`].
    scale: u32,
}

impl OnCpu {
    /// The key it has by now.
    #[inline]
    fn key_at(&self, now: u64) -> u64 {
        match now.saturating_sub(self.since) {
            0 => self.key,
            ran => self.key.wrapping_add(scaled(ran, self.scale)),
        }
    }
}

/// What a look through the queue found.
pub(super) struct Found {
    /// Index of the best vCPU for the CPU.
    pub(super) best: Option<usize>,
    /// Its key.
    pub(super) key: u64,
    /// When the first vCPU that exhausted its cap may go on; [`NEVER`] if there is none.
    pub(super) refill: u64,
}

pub(super) struct Queue<M: Machine> {
    ready: Vec<VcpuRef<M>>,
    cpus: Vec<OnCpu>,
    /// One bit for each CPU that takes part.
    pub(super) online: usize,
    /// One bit for each CPU without work.
    idle: usize,
    /// No key of a vCPU that wants to run is much below.
    floor: u64,
    pub(super) limits: Limits,
}

impl<M: Machine> Queue<M> {
    pub(super) fn new(cpus: usize, limits: Limits) -> Self {
        let mut all = Vec::with_capacity(cpus);
        all.resize_with(cpus, OnCpu::default);
        Self { ready: Vec::new(), cpus: all, online: 0, idle: 0, floor: 0, limits }
    }

    pub(super) fn reserve(&mut self, total: usize) -> Result<(), Errno> {
        let more = total.saturating_sub(self.ready.len());
        self.ready.try_reserve(more).map_err(|_| Errno::ENOMEM)
    }

    pub(super) fn len(&self) -> usize {
        self.ready.len()
    }

    /// Puts in a vCPU whose place is [`Place::Ready`]. Its key is brought near the others': sleeping
    /// earns little, and having run alone elsewhere costs little.
    pub(super) fn push(&mut self, vcpu: VcpuRef<M>) -> u64 {
        let low = self.floor.saturating_sub(self.limits.bonus);
        let high = self.floor.wrapping_add(self.limits.lead);
        let mut key = vcpu.sched.key();
        if key < low || key > high {
            key = key.clamp(low, high);
            vcpu.sched.set_key(key);
        }
        self.ready.push(vcpu);
        key
    }

    /// Takes out the entry `index` for `cpu`; nothing if that vCPU may not run any more.
    pub(super) fn take(&mut self, index: usize, cpu: CpuId) -> Option<VcpuRef<M>> {
        let sched = &self.ready.get(index)?.sched;
        // Before it is asked whether it may run: whoever stops it afterwards finds it on its CPU.
        sched.put(cpu, Place::Loaded);
        if !sched.is_runnable() {
            self.drop_stale(index);
            return None;
        }
        // What `swap_remove` does, but that moves memory to do it.
        let last = self.ready.len() - 1;
        if index < last {
            self.ready.swap(index, last);
        }
        self.ready.pop()
    }

    /// Drops an entry that may not run. If it became runnable just then, whoever made it so may
    /// have seen it still in its place: it stays.
    fn drop_stale(&mut self, index: usize) {
        let sched = &self.ready[index].sched;
        sched.set_place(Place::Off);
        if !(sched.is_runnable() && sched.claim()) {
            drop(self.ready.swap_remove(index));
        }
    }

    /// Brings the key of what `cpu` runs up to date. Gives it, and for how long the vCPU ran since the last
    /// time.
    pub(super) fn account(&mut self, cpu: CpuId, now: u64) -> Option<(u64, u64)> {
        let on = &mut self.cpus[cpu.0 as usize];
        if !on.busy {
            return None;
        }
        let ran = now.wrapping_sub(on.since);
        on.key = on.key.wrapping_add(scaled(ran, on.scale));
        on.since = now;
        Some((on.key, ran))
    }

    /// Finds the best vCPU for `cpu`.
    pub(super) fn look(&mut self, cpu: CpuId, now: u64) -> Found {
        let mut found = Found { best: None, key: u64::MAX, refill: NEVER };
        let mut least = self.least_running(now);
        for (index, vcpu) in self.ready.iter().enumerate() {
            let (vcpu, domain) = vcpu.parts();
            let key = vcpu.sched.key();
            least = least.min(key);
            if key < found.key && vcpu.sched.allows(cpu) {
                match domain.sched.refill_needed(now) {
                    None => (found.best, found.key) = (Some(index), key),
                    Some(at) => found.refill = found.refill.min(at),
                }
            }
        }
        if least != u64::MAX {
            self.floor = self.floor.max(least);
        }
        found
    }

    /// Whether a vCPU with this key, which could go on on `cpu`, gives way to the best that was found.
    pub(super) fn gives_way(&self, cpu: CpuId, key: u64, found: &Found, now: u64, yielded: bool) -> bool {
        // One that slept on its CPU competes like any other.
        let ran_enough = || {
            let on = &self.cpus[cpu.0 as usize];
            !on.busy || now.wrapping_sub(on.began) >= self.limits.rate
        };
        (yielded && found.best.is_some()) || (found.key < key && ran_enough())
    }

    /// Notes that `cpu` stays with a vCPU, and says when it is another's turn.
    pub(super) fn stay(&mut self, cpu: CpuId, key: u64, scale: u32, now: u64) -> u64 {
        let began = match self.cpus[cpu.0 as usize] {
            OnCpu { busy: true, began, .. } => began,
            _ => now,
        };
        self.occupy(cpu, OnCpu { busy: true, key, since: now, began, scale });
        match self.ready.is_empty() {
            true => NEVER,
            false => began.wrapping_add(self.limits.slice).max(now.wrapping_add(self.limits.rate)),
        }
    }

    /// Notes that `cpu` goes to a vCPU, and says when it is another's turn: the turn of one that is still to
    /// be put in, if one is.
    #[inline]
    pub(super) fn go(&mut self, cpu: CpuId, key: u64, scale: u32, another: bool, now: u64) -> u64 {
        self.occupy(cpu, OnCpu { busy: true, key, since: now, began: now, scale });
        if another || !self.ready.is_empty() { now.wrapping_add(self.limits.slice) } else { NEVER }
    }

    /// Notes that `cpu` has nothing to do.
    pub(super) fn rest(&mut self, cpu: CpuId) {
        self.cpus[cpu.0 as usize].busy = false;
        self.idle |= cpu.bit();
    }

    #[inline]
    fn occupy(&mut self, cpu: CpuId, on: OnCpu) {
        self.idle &= !cpu.bit();
        self.cpus[cpu.0 as usize] = on;
    }

    fn least_running(&self, now: u64) -> u64 {
        let busy = self.cpus.iter().filter(|cpu| cpu.busy);
        busy.fold(u64::MAX, |least, cpu| least.min(cpu.key_at(now)))
    }

    /// Takes out an entry of `domain`, if there is one.
    pub(super) fn take_of(&mut self, domain: &crate::domain::Domain<M>) -> Option<VcpuRef<M>> {
        let index = self.ready.iter().position(|vcpu| core::ptr::eq(&*vcpu.domain, domain))?;
        let vcpu = self.ready.swap_remove(index);
        vcpu.sched.set_place(Place::Off);
        Some(vcpu)
    }

    /// Chooses a CPU, of those `among` which it may be, to look at a vCPU that has just been put in: one that
    /// has nothing to do, else the one whose vCPU is furthest ahead of `key`.
    #[hot]
    pub(super) fn target(&mut self, mut among: usize, last: CpuId, key: u64, now: u64) -> Target {
        let idle = self.idle & among;
        if idle != 0 {
            let cpu = if idle & last.bit() != 0 { last } else { CpuId(idle.trailing_zeros()) };
            self.idle &= !cpu.bit();
            return Target::Ask(cpu);
        }
        let mut target = Target::Nobody;
        let mut ahead = 0;
        while among != 0 {
            let cpu = CpuId(among.trailing_zeros());
            among &= !cpu.bit();
            let on = &self.cpus[cpu.0 as usize];
            let its = on.key_at(now);
            if its >= ahead {
                ahead = its;
                // As in credit2, who has run for the rate limit makes way for a better one at once, and who has
                // not goes on to the end of its turn: two that wake each other do so with much done in between.
                let makes_way = its > key && now.saturating_sub(on.began) >= self.limits.rate;
                let turn = if makes_way { 0 } else { self.limits.slice };
                target = Target::AskAt(cpu, on.began.wrapping_add(turn));
            }
        }
        target
    }
}

/// Which CPU looks at a vCPU that became ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// This one, now.
    Ask(CpuId),
    /// This one, at that tick or now when that has passed.
    AskAt(CpuId, u64),
    /// None that is online may run it.
    Nobody,
}
