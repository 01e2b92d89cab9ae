//! What Xen does, apart from the machine it does it on.
//!
//! The bare-metal half (`hypervisor`) owns the hardware and calls in here with what happened;
//! this crate decides and calls back through [`machine::Machine`]. It has no `unsafe` and no
//! statics, so that any number of [`Hypervisor`]s, each on a fake machine, live in one test.
#![no_std]
#![cfg_attr(hot, feature(optimize_attribute))]
#![forbid(unsafe_code)]

extern crate alloc;
#[macro_use]
extern crate hot;

use alloc::boxed::Box;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use lock::{Mutex, Once};

pub mod cmdline;
pub mod console_io;
pub mod current;
pub mod domain;
pub mod domain_build;
pub mod domctl;
mod entry;
pub mod errata;
pub mod event_channel;
pub mod exits;
#[cfg(any(test, feature = "fakes"))]
pub mod fake;
pub mod frames;
pub mod grant_table;
mod guest_access;
pub mod host;
pub mod hvm;
pub mod hypercall;
mod keys;
pub mod log_ring;
pub mod machine;
pub mod memory;
mod mitigations;
pub mod p2m;
pub mod percpu;
pub mod platform;
pub mod predictor;
pub mod regs;
pub mod resources;
pub mod sched;
mod sched_op;
mod shared;
pub mod sysctl;
pub mod time;
pub mod timers;
pub mod trap;
pub mod vcpu;
mod vcpu_op;
mod version;
pub mod vgic;
pub mod vpl011;
mod vpsci;
pub mod vtimer;
pub mod xsm;

pub use current::Current;

use cmdline::Options;
use console_io::{ConsoleInput, Focus};
use domain::DomainList;
use domain_build::Board;
use event_channel::VirqHandlers;
use frames::{Frames, Mem};
use log_ring::LogRing;
use machine::{CpuId, Machine};
use mitigations::Mitigations;
use percpu::PerCpu;
use platform::Wallclock;
use sched::Scheduler;
use time::Clock;
use vgic::SpiTable;

/// What the board knows when it makes the hypervisor.
pub struct Params {
    /// How many CPUs may ever come up, at most [`MAX_CPUS`].
    pub cpus: usize,
    /// RAM, with what is free in it.
    pub frames: Frames,
    /// What the command line says.
    pub options: Options<'static>,
}

/// CPUs that one hypervisor serves: a word has a bit for each.
pub const MAX_CPUS: usize = usize::BITS as usize;

/// All of it. Each part has its own lock; the order is in ARCHITECTURE.md.
pub struct Hypervisor<M: Machine> {
    /// The hardware.
    pub machine: M,
    /// System time.
    pub clock: Clock,
    /// RAM.
    pub frames: Frames,
    /// The command line.
    pub options: Options<'static>,
    /// All domains.
    pub domains: DomainList<M>,
    /// The log.
    pub log: LogRing,
    /// What later domains need to know of the board; set when the first one is built.
    pub board: Once<Board>,
    pub(crate) wallclock: Wallclock,
    /// Taken by whoever serves a domctl or sysctl; who does not get it tries again later.
    pub(crate) control: Mutex<()>,
    /// Who runs.
    pub sched: Scheduler<M>,
    pub(crate) spis: SpiTable<M>,
    pub(crate) mitigations: Mitigations,
    pub(crate) virq_handlers: VirqHandlers,
    pub(crate) console: ConsoleInput,
    cpus: Box<[PerCpu<M>]>,
    online: AtomicU32,
    /// How many vCPUs exist, for what is kept ready for them.
    vcpus: AtomicUsize,
}

impl<M: Machine> Hypervisor<M> {
    /// A hypervisor without domains, on the boot CPU.
    pub fn new(machine: M, params: Params) -> Self {
        let focus = match params.options.console_keep {
            true => Focus::Hypervisor,
            false => Focus::Domain(xen_abi::Domid(0)),
        };
        let clock = Clock::new(machine.ticks_per_second(), machine.ticks());
        let cpus = params.cpus.clamp(1, MAX_CPUS);
        let sched = Scheduler::new(cpus, clock.frequency());
        let cpus = (0..cpus as u32).map(|n| PerCpu::new(CpuId(n))).collect();
        Self {
            machine,
            clock,
            frames: params.frames,
            options: params.options,
            domains: DomainList::new(),
            log: LogRing::new(),
            board: Once::new(),
            wallclock: Wallclock::default(),
            control: Mutex::new(()),
            sched,
            spis: SpiTable::new(),
            mitigations: Mitigations::new(),
            virq_handlers: VirqHandlers::new(),
            console: ConsoleInput::new(focus),
            cpus,
            online: AtomicU32::new(0),
            vcpus: AtomicUsize::new(0),
        }
    }

    /// RAM and the machine it is in.
    pub fn mem(&self) -> Mem<'_, M> {
        Mem { machine: &self.machine, frames: &self.frames }
    }

    /// A CPU is up and about to ask what to run. CPUs come in the order of their numbers.
    pub fn add_cpu(&self, cpu: CpuId) {
        self.find_mitigations(cpu);
        self.sched_online(cpu);
        self.online.fetch_max(cpu.0 + 1, Ordering::SeqCst);
    }

    /// How many CPUs are up; they are numbered 0..n.
    pub fn online_cpus(&self) -> u32 {
        self.online.load(Ordering::SeqCst)
    }

    /// How many CPUs there can be.
    pub fn possible_cpus(&self) -> u32 {
        self.cpus.len() as u32
    }

    /// The CPUs that are up, one bit each.
    pub(crate) fn online_mask(&self) -> u64 {
        mask(self.online_cpus())
    }

    /// The CPUs that there can be, one bit each.
    pub(crate) fn possible_mask(&self) -> u64 {
        mask(self.possible_cpus())
    }

    /// State of a CPU.
    pub fn percpu(&self, cpu: CpuId) -> &PerCpu<M> {
        &self.cpus[cpu.0 as usize]
    }
}

/// So many bits, from the lowest on.
fn mask(bits: u32) -> u64 {
    if bits < u64::BITS { (1 << bits) - 1 } else { u64::MAX }
}
