//! The vCPUs that wait for a CPU, and what each CPU runs.
//!
//! One queue serves all CPUs, so that weights hold across them and no CPU idles while a vCPU that
//! it may run waits. A vCPU's key is the time it ran, scaled by its weight; the smallest key runs.

use alloc::vec::Vec;

use xen_abi::Errno;

use super::{params::Limits, state::Place};
use crate::{
    machine::{CpuId, Machine},
    vcpu::VcpuRef,
};

/// What a CPU runs.
#[derive(Clone, Copy, Default)]
pub(super) struct OnCpu {
    /// Takes part in scheduling.
    pub(super) online: bool,
    /// Runs a vCPU, whose key was `key` at tick `since`.
    pub(super) busy: bool,
    pub(super) key: u64,
    pub(super) since: u64,
    /// When it was switched to.
    pub(super) began: u64,
    /// How fast its key grows: see [`super::params::scaled`].
    pub(super) scale: u32,
}

impl OnCpu {
    /// The key it has by now.
    pub(super) fn key_at(&self, now: u64) -> u64 {
        match now.saturating_sub(self.since) {
            0 => self.key,
            ran => self.key.wrapping_add(super::params::scaled(ran, self.scale)),
        }
    }
}

/// What a look through the queue found.
#[derive(Clone, Copy, Default)]
pub(super) struct Found {
    /// Index and key of the best vCPU for the CPU.
    pub(super) best: Option<(usize, u64)>,
    /// When the first vCPU that exhausted its cap may go on.
    pub(super) refill: Option<u64>,
}

pub(super) struct Queue<M: Machine> {
    ready: Vec<VcpuRef<M>>,
    pub(super) cpus: Vec<OnCpu>,
    /// One bit for each CPU without work.
    pub(super) idle: u64,
    /// No key of a vCPU that wants to run is much below.
    floor: u64,
    pub(super) limits: Limits,
}

impl<M: Machine> Queue<M> {
    pub(super) fn new(cpus: usize, limits: Limits) -> Self {
        let mut all = Vec::with_capacity(cpus);
        all.resize_with(cpus, OnCpu::default);
        Self { ready: Vec::new(), cpus: all, idle: 0, floor: 0, limits }
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
        let key = vcpu.sched.key().clamp(low, self.floor.saturating_add(self.limits.lead));
        vcpu.sched.set_key(key);
        self.ready.push(vcpu);
        key
    }

    /// Takes out the entry `index`. (What `swap_remove` does, but that moves memory to do it.)
    pub(super) fn take(&mut self, index: usize) -> Option<VcpuRef<M>> {
        let last = self.ready.len().checked_sub(1).filter(|last| index <= *last)?;
        if index < last {
            self.ready.swap(index, last);
        }
        self.ready.pop()
    }

    /// Finds the best vCPU for `cpu`, and drops those that may not run any more.
    pub(super) fn look(&mut self, cpu: CpuId, now: u64) -> Found {
        let mut found = Found::default();
        let mut least = self.least_running(now);
        let mut index = 0;
        while index < self.ready.len() {
            if self.drop_stale(index) {
                continue;
            }
            let vcpu = &self.ready[index];
            let key = vcpu.sched.key();
            least = least.min(key);
            if vcpu.sched.allows(cpu) && found.best.is_none_or(|(_, best)| key < best) {
                match vcpu.domain.sched.refill_needed(now) {
                    None => found.best = Some((index, key)),
                    Some(at) => found.refill = Some(found.refill.map_or(at, |r| r.min(at))),
                }
            }
            index += 1;
        }
        if least != u64::MAX {
            self.floor = self.floor.max(least);
        }
        found
    }

    fn least_running(&self, now: u64) -> u64 {
        let busy = self.cpus.iter().filter(|cpu| cpu.busy);
        busy.fold(u64::MAX, |least, cpu| least.min(cpu.key_at(now)))
    }

    /// Drops an entry that may not run. If it became runnable just then, whoever made it so may
    /// have seen it still in its place: it stays.
    fn drop_stale(&mut self, index: usize) -> bool {
        let sched = &self.ready[index].sched;
        if sched.is_runnable() {
            return false;
        }
        sched.set_place(Place::Off);
        if sched.is_runnable() && sched.claim() {
            return false;
        }
        drop(self.ready.swap_remove(index));
        true
    }

    /// Takes out an entry of `domain`, if there is one.
    pub(super) fn take_of(&mut self, domain: &crate::domain::Domain<M>) -> Option<VcpuRef<M>> {
        let index = self.ready.iter().position(|vcpu| core::ptr::eq(&*vcpu.domain, domain))?;
        let vcpu = self.ready.swap_remove(index);
        vcpu.sched.set_place(Place::Off);
        Some(vcpu)
    }

    /// Chooses a CPU to look at a vCPU that has just been put in: one that has nothing to do,
    /// else the one whose vCPU is furthest ahead of `key`.
    pub(super) fn target(&mut self, allowed: u64, last: CpuId, key: u64, now: u64) -> Target {
        let idle = self.idle & allowed;
        if idle != 0 {
            let cpu = if idle >> last.0 & 1 != 0 { last.0 } else { idle.trailing_zeros() };
            self.idle &= !(1 << cpu);
            return Target::Ask(CpuId(cpu));
        }
        let busy = |(n, on): &(usize, &OnCpu)| on.online && allowed >> n & 1 != 0;
        let key_of = |(n, on): (usize, &OnCpu)| (on.key_at(now), n);
        let ahead = self.cpus.iter().enumerate().filter(busy).map(key_of).max();
        match ahead {
            None => Target::Nobody,
            Some((its, n)) => {
                let (cpu, on) = (CpuId(n as u32), &self.cpus[n]);
                // As in credit2, who has run for the rate limit makes way for a better one at once, and who has
                // not goes on to the end of its turn: two that wake each other do so with much done in between.
                let makes_way = its > key && now.saturating_sub(on.began) >= self.limits.rate;
                let turn = if makes_way { 0 } else { self.limits.slice };
                Target::AskAt(cpu, on.began.saturating_add(turn))
            }
        }
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
