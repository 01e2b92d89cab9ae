//! The interrupt controller, in as few instructions as can be.

use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use device_tree::Tree;

use crate::{
    Failure,
    arch::{self, load, store},
};

/// Offsets in the distributor; that for single interrupts is the same in version 3's redistributor.
mod gicd {
    pub const TYPER: usize = 0x004;
    pub const ISENABLER: usize = 0x100;
    pub const SGIR: usize = 0xf00;
}

/// Offsets in the CPU interface.
mod gicc {
    pub const IAR: usize = 0x00c;
    pub const EOIR: usize = 0x010;
}

/// How far the redistributors of two CPUs are apart, and where private interrupts are in one.
const REDISTRIBUTOR: usize = 0x2_0000;
const SGI_FRAME: usize = 0x1_0000;

/// The interrupt that we send; the SDK has 0.
const SGI: u32 = 3;

/// Where the CPU interface is; 0 when it is in system registers, as in version 3.
static CPU_INTERFACE: AtomicUsize = AtomicUsize::new(0);

/// The distributor.
#[derive(Clone, Copy)]
pub struct Gic {
    distributor: usize,
}

impl Gic {
    /// Finds the controller, which the SDK has set up, and lets our own interrupt in on this CPU.
    pub fn find(tree: &Tree<'_>, cpu: usize) -> Result<Self, Failure> {
        let missing = || Failure("the device tree has no interrupt controller");
        let node = tree
            .compatible(&["arm,cortex-a15-gic", "arm,gic-400", "arm,gic-v3"])
            .next()
            .ok_or_else(missing)?;
        let mut regions = node.regions().map_err(|_| missing())?;
        let (Some(distributor), Some(second)) = (regions.next(), regions.next()) else {
            return Err(missing());
        };
        let (distributor, second) = (distributor.base as usize, second.base as usize);
        let version_3 = node.is_compatible(&["arm,gic-v3"]);
        CPU_INTERFACE.store(if version_3 { 0 } else { second }, Relaxed);
        let private = if version_3 { second + cpu * REDISTRIBUTOR + SGI_FRAME } else { distributor };
        store(private + gicd::ISENABLER, 1 << SGI);
        Ok(Self { distributor })
    }

    /// Reads a register that is emulated.
    pub fn read_distributor(self) -> u32 {
        load(self.distributor + gicd::TYPER)
    }

    /// Interrupts this CPU, which is the first.
    pub fn send_to_self(self) {
        const SELF: u32 = 2 << 24;
        if CPU_INTERFACE.load(Relaxed) != 0 {
            return store(self.distributor + gicd::SGIR, SELF | SGI);
        }
        arch::send_sgi(SGI << 24 | 1);
    }

    /// Interrupts a CPU.
    pub fn send_to(self, cpu: usize) {
        if CPU_INTERFACE.load(Relaxed) != 0 {
            return store(self.distributor + gicd::SGIR, 1 << (16 + cpu) | SGI);
        }
        arch::send_sgi(SGI << 24 | 1 << cpu);
    }
}

/// Takes the interrupt that is pending.
#[inline(always)]
pub fn take() -> u32 {
    match CPU_INTERFACE.load(Relaxed) {
        0 => arch::take(),
        at => load(at + gicc::IAR),
    }
}

/// Ends it.
#[inline(always)]
pub fn finish(taken: u32) {
    match CPU_INTERFACE.load(Relaxed) {
        0 => arch::finish(taken),
        at => store(at + gicc::EOIR, taken),
    }
}
