//! Barriers, and waiting.
#![allow(unsafe_code)]
// UNSAFETY: barriers are instructions of their own.

use core::arch::asm;

/// Orders system register writes before what follows.
pub fn isb() {
    // SAFETY: a barrier has no other effect.
    unsafe { asm!("isb", options(nostack, preserves_flags)) }
}

/// Orders memory accesses and maintenance of all kinds before what follows.
pub fn barrier() {
    // SAFETY: a barrier has no other effect.
    unsafe { asm!("dsb sy", options(nostack, preserves_flags)) }
}

/// Orders table writes before what follows, for the table walkers of all CPUs.
pub fn table_barrier() {
    // SAFETY: barriers have no other effect.
    unsafe { asm!("dsb ish", "isb", options(nostack, preserves_flags)) }
}

/// Waits for an interrupt, which stays masked.
pub fn wait() {
    // SAFETY: waiting has no other effect; the barrier lets memory settle first.
    unsafe { asm!("dsb sy", "wfi", options(nostack, preserves_flags)) }
}
