//! How often a vCPU left its guest, and why: the list to optimise from.

use core::sync::atomic::{AtomicU32, Ordering};

use xen_abi::hypercall::COUNT;

use crate::{Hypervisor, machine::Machine, trap::Exit};

/// What exits are told apart by, beside the numbers of hypercalls.
const KINDS: [&str; 11] = [
    "interrupts",
    "waits for an interrupt",
    "waits for an event",
    "system registers",
    "floating point identification",
    "other coprocessors",
    "data aborts",
    "instruction aborts",
    "SMC and HVC of firmware",
    "asynchronous aborts",
    "undefined instructions",
];

const CALLS: usize = COUNT as usize;

/// A vCPU's counters, which wrap. Only the CPU that runs it changes them.
pub struct Exits {
    kinds: [AtomicU32; KINDS.len()],
    hypercalls: [AtomicU32; CALLS],
}

impl Exits {
    pub(crate) const fn new() -> Self {
        Self {
            kinds: [const { AtomicU32::new(0) }; KINDS.len()],
            hypercalls: [const { AtomicU32::new(0) }; CALLS],
        }
    }

    /// Counts an exit that is no hypercall.
    #[inline]
    pub fn count(&self, exit: &Exit) {
        let kind = match exit {
            Exit::Interrupt => 0,
            Exit::WaitForInterrupt(_) => 1,
            Exit::WaitForEvent(_) => 2,
            Exit::Register(_) => 3,
            Exit::FloatId(_) => 4,
            Exit::Coprocessor(_) => 5,
            Exit::DataAbort(_) => 6,
            Exit::InstructionAbort(_) => 7,
            Exit::Smc(..) | Exit::Hvc(_) => 8,
            Exit::SError => 9,
            Exit::Undefined => 10,
        };
        increment(&self.kinds[kind]);
    }

    /// Counts a hypercall; those with numbers that no hypercall has are not told apart.
    #[inline]
    pub(crate) fn count_hypercall(&self, number: u32) {
        if let Some(counter) = self.hypercalls.get(number as usize) {
            increment(counter);
        }
    }

    /// Each kind of exit by its name, with its count.
    pub(crate) fn kinds(&self) -> impl Iterator<Item = (&'static str, u32)> {
        KINDS.iter().copied().zip(self.kinds.iter().map(get))
    }

    /// The counts of hypercalls, by their numbers.
    pub(crate) fn hypercalls(&self) -> impl Iterator<Item = u32> {
        self.hypercalls.iter().map(get)
    }
}

impl<M: Machine> Hypervisor<M> {
    /// Shows, for each domain, what all its vCPUs together have counted.
    pub(crate) fn show_exits(&self) {
        for domain in self.domains.iter() {
            let sum = Exits::new();
            for vcpu in domain.vcpus() {
                add(&sum.kinds, &vcpu.exits.kinds);
                add(&sum.hypercalls, &vcpu.exits.hypercalls);
            }
            for (kind, count) in sum.kinds().filter(|(_, count)| *count != 0) {
                log::info!("{}: {count:10} {kind}", domain.id);
            }
            for (number, count) in sum.hypercalls().enumerate().filter(|(_, count)| *count != 0) {
                log::info!("{}: {count:10} hypercall {number}", domain.id);
            }
        }
    }
}

fn add(sum: &[AtomicU32], more: &[AtomicU32]) {
    for (sum, more) in sum.iter().zip(more) {
        sum.store(get(sum).wrapping_add(get(more)), Ordering::Relaxed);
    }
}

fn get(counter: &AtomicU32) -> u32 {
    counter.load(Ordering::Relaxed)
}

#[inline]
fn increment(counter: &AtomicU32) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
}
