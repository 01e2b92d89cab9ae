//! How often a vCPU left its guest, why, and what serving that took: the list to optimise from.

use core::{
    fmt,
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
};

use xen_abi::hypercall::{COUNT, HVC_TAG};

use crate::{Hypervisor, current::Current, domain::Domain, machine::Machine, regs::GuestRegs, trap::Exit};

/// What exits are told apart by, beside the numbers of hypercalls.
const KINDS: [&str; 12] = [
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
    "decisions of the scheduler",
];

/// No exit, but what some lead to. Counted only while they are timed.
const DECISION: usize = KINDS.len() - 1;

/// All that is counted: these, then the hypercalls.
const COUNTERS: usize = KINDS.len() + COUNT as usize;

/// A vCPU's counters, which wrap. Only the CPU that runs it changes them.
pub struct Exits {
    counts: [AtomicU32; COUNTERS],
    ticks: [AtomicU64; COUNTERS],
}

impl Exits {
    pub(crate) const fn new() -> Self {
        Self {
            counts: [const { AtomicU32::new(0) }; COUNTERS],
            ticks: [const { AtomicU64::new(0) }; COUNTERS],
        }
    }

    /// Counts an exit that is no hypercall.
    #[inline]
    pub fn count(&self, exit: &Exit) {
        increment(&self.counts[kind(exit)]);
    }

    /// Counts a hypercall; those with numbers that no hypercall has are not told apart.
    #[inline]
    pub(crate) fn count_hypercall(&self, number: u32) {
        if let Some(counter) = self.counts[KINDS.len()..].get(number as usize) {
            increment(counter);
        }
    }

    fn note(&self, counter: usize, ticks: u64) {
        let counter = &self.ticks[counter];
        counter.store(counter.load(Ordering::Relaxed).wrapping_add(ticks), Ordering::Relaxed);
    }

    /// A count, with the ticks that have been noted.
    fn get(&self, counter: usize) -> (u32, u64) {
        (self.counts[counter].load(Ordering::Relaxed), self.ticks[counter].load(Ordering::Relaxed))
    }
}

#[inline]
fn increment(counter: &AtomicU32) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
}

/// Where an exit is counted that is no hypercall.
#[inline]
fn kind(exit: &Exit) -> usize {
    match exit {
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
    }
}

/// What a counter counts.
pub(crate) struct Counted(usize);

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match KINDS.get(self.0) {
            Some(kind) => f.write_str(kind),
            None => write!(f, "hypercall {}", self.0 - KINDS.len()),
        }
    }
}

impl<M: Machine> Current<'_, M> {
    /// Notes what serving an exit took, which has been counted and has left the number of a hypercall
    /// where it was.
    pub fn exit_took(&self, exit: &Exit, ticks: u64) {
        let counter = match exit {
            Exit::Hvc(HVC_TAG) => match self.regs.hypercall_number() {
                number if number < COUNT.into() => KINDS.len() + number as usize,
                _ => return,
            },
            _ => kind(exit),
        };
        self.vcpu.exits.note(counter, ticks);
    }

    /// Counts a decision to run this vCPU next, which together with what led there took so long.
    pub fn decision_took(&self, ticks: u64) {
        increment(&self.vcpu.exits.counts[DECISION]);
        self.vcpu.exits.note(DECISION, ticks);
    }
}

impl<M: Machine> Hypervisor<M> {
    /// Shows, for each domain, what all its vCPUs together have counted.
    pub(crate) fn show_exits(&self) {
        for domain in self.domains.iter() {
            for (counted, count, ticks) in sums(&domain) {
                if self.options.exit_times {
                    log::info!("{}: {count:10} {:12} ns {counted}", domain.id, self.clock.ns(ticks));
                } else {
                    log::info!("{}: {count:10} {counted}", domain.id);
                }
            }
        }
    }
}

/// What there is to show of a domain.
pub(crate) fn sums<M: Machine>(domain: &Domain<M>) -> impl Iterator<Item = (Counted, u32, u64)> {
    let sum = |counter| {
        domain.vcpus().iter().fold((0_u32, 0_u64), |(count, ticks), vcpu| {
            let (more, more_ticks) = vcpu.exits.get(counter);
            (count.wrapping_add(more), ticks.wrapping_add(more_ticks))
        })
    };
    let sums = (0..COUNTERS).map(move |counter| (counter, sum(counter)));
    sums.filter(|(_, sum)| *sum != (0, 0)).map(|(counter, (count, ticks))| (Counted(counter), count, ticks))
}
