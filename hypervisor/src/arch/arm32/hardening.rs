//! Vectors by which the branch predictor forgets what a guest taught it, before the first branch after the guest.

use core::arch::asm;

use hv_core::predictor::{Core, Hardening};

use super::{hyp_vectors_bpiall, hyp_vectors_iciallu, sysregs::*};
use crate::mm::ram::Ram;

/// ACTLR.IBE of a Cortex-A15: BTB invalidation is enabled.
const INVALIDATES_PREDICTOR: u32 = 1 << 0;

/// What identification registers say of this CPU.
pub fn core() -> Core {
    Core {
        midr: MIDR_EL1::read(),
        invalidates_predictor: ACTLR_EL1::read() & INVALIDATES_PREDICTOR != 0,
        ..Core::default()
    }
}

/// Gives this CPU such vectors; says whether it has them.
pub fn install(_ram: &Ram, hardening: Hardening) -> bool {
    let vectors = match hardening {
        Hardening::InvalidatePredictor => &raw const hyp_vectors_bpiall,
        Hardening::InvalidateInstructions => &raw const hyp_vectors_iciallu,
        _ => return false,
    };
    // SAFETY: vectors of `entry.S`, aligned there.
    unsafe { asm!("mcr p15, 4, {}, c12, c0, 0", "isb", in(reg) vectors, options(nostack)) };
    true
}
