//! Stage 1 of the guest that is loaded here, by the hardware's own walk.
#![allow(unsafe_code)]
// UNSAFETY: address translation operations are instructions of their own.

use core::arch::asm;

use hv_core::{errata::Errata, machine::Access};

use super::{errata, sysregs::*};

const PAR_FAILED: u64 = 1 << 0;
const PAR_ADDRESS: u64 = 0x0000_ffff_ffff_f000;

/// Translates at EL1's privilege; `None` where the guest's tables deny the access.
#[inline(always)]
pub fn stage1(va: u64, access: Access) -> Option<u64> {
    // SAFETY: the walk only changes PAR, whose value the guest gets back.
    walk(va, || unsafe {
        match access {
            Access::Read => asm!("at s1e1r, {}", in(reg) va, options(nostack, preserves_flags)),
            Access::Write => asm!("at s1e1w, {}", in(reg) va, options(nostack, preserves_flags)),
        }
    })
}

/// Translates through both stages at EL1's privilege; `None` where either denies the access.
#[inline]
pub fn both_stages(va: u64, access: Access) -> Option<u64> {
    // SAFETY: as above.
    walk(va, || unsafe {
        match access {
            Access::Read => asm!("at s12e1r, {}", in(reg) va, options(nostack, preserves_flags)),
            Access::Write => asm!("at s12e1w, {}", in(reg) va, options(nostack, preserves_flags)),
        }
    })
}

/// To be before and after reads of PAR (Cortex-A77 1508412).
#[inline(always)]
pub fn par_barrier() {
    if errata::found(Errata::PAR_READ) {
        barrier();
    }
}

#[inline(always)]
fn barrier() {
    // SAFETY: a barrier has no other effect.
    unsafe { asm!("dmb sy", options(nostack, preserves_flags)) }
}

#[inline(always)]
fn walk(va: u64, operation: impl FnOnce()) -> Option<u64> {
    let needs_barriers = errata::found(Errata::PAR_READ);
    if needs_barriers {
        barrier();
    }
    let saved = PAR_EL1::read();
    operation();
    crate::arch::isb();
    let par = PAR_EL1::read();
    if needs_barriers {
        barrier();
    }
    PAR_EL1::write(saved);
    (par & PAR_FAILED == 0).then_some(par & PAR_ADDRESS | va & 0xfff)
}
