//! The interrupt controller of the one vCPU that there is, in as few instructions as can be.
// UNSAFETY: registers of the interrupt controller.
#![allow(unsafe_code)]

use core::{
    arch::asm,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

use device_tree::Tree;

use crate::{
    Failure,
    lean::{load, store},
};

/// Offsets in the distributor; that for single interrupts is the same in version 3's redistributor.
mod gicd {
    pub const TYPER: u32 = 0x004;
    pub const ISENABLER: u32 = 0x100;
    pub const SGIR: u32 = 0xf00;
}

/// Offsets in the CPU interface.
mod gicc {
    pub const IAR: u32 = 0x00c;
    pub const EOIR: u32 = 0x010;
}

/// Where private interrupts are in a redistributor.
const SGI_FRAME: u32 = 0x1_0000;

/// The interrupt that we send to ourselves; the SDK has 0.
const SGI: u32 = 3;

/// Where the CPU interface is; 0 when it is in system registers, as in version 3.
static CPU_INTERFACE: AtomicU32 = AtomicU32::new(0);

/// The distributor.
#[derive(Clone, Copy)]
pub struct Gic {
    distributor: u32,
}

impl Gic {
    /// Finds the controller, which the SDK has set up, and lets our own interrupt in.
    pub fn find(tree: &Tree<'_>) -> Result<Self, Failure> {
        let missing = || Failure("the device tree has no interrupt controller");
        let node = tree
            .compatible(&["arm,cortex-a15-gic", "arm,gic-400", "arm,gic-v3"])
            .next()
            .ok_or_else(missing)?;
        let mut regions = node.regions().map_err(|_| missing())?;
        let (Some(distributor), Some(second)) = (regions.next(), regions.next()) else {
            return Err(missing());
        };
        let (distributor, second) = (distributor.base as u32, second.base as u32);
        let version_3 = node.is_compatible(&["arm,gic-v3"]);
        CPU_INTERFACE.store(if version_3 { 0 } else { second }, Relaxed);
        let private = if version_3 { second + SGI_FRAME } else { distributor };
        store(private + gicd::ISENABLER, 1 << SGI);
        Ok(Self { distributor })
    }

    /// Reads a register that is emulated.
    pub fn read_distributor(self) -> u32 {
        load(self.distributor + gicd::TYPER)
    }

    /// Interrupts this CPU.
    pub fn send_sgi(self) {
        /// To the sender; to the first CPU.
        const SELF: u32 = 2 << 24;
        const FIRST: u32 = 1;
        if CPU_INTERFACE.load(Relaxed) != 0 {
            return store(self.distributor + gicd::SGIR, SELF | SGI);
        }
        // SAFETY: ICC_SGI1R: an interrupt that is handled.
        unsafe { asm!("mcrr p15, 0, {}, {}, c12", in(reg) SGI << 24 | FIRST, in(reg) 0, options(nostack)) };
    }
}

/// Takes the interrupt that is pending.
#[inline(always)]
pub fn take() -> u32 {
    match CPU_INTERFACE.load(Relaxed) {
        0 => {
            let taken;
            // SAFETY: ICC_IAR1.
            unsafe { asm!("mrc p15, 0, {}, c12, c12, 0", out(reg) taken, options(nostack)) };
            taken
        }
        at => load(at + gicc::IAR),
    }
}

/// Ends it.
#[inline(always)]
pub fn finish(taken: u32) {
    match CPU_INTERFACE.load(Relaxed) {
        // SAFETY: ICC_EOIR1.
        0 => unsafe { asm!("mcr p15, 0, {}, c12, c12, 1", in(reg) taken, options(nostack)) },
        at => store(at + gicc::EOIR, taken),
    }
}
