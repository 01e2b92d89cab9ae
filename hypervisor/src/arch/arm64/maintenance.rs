//! Caches and TLBs: the instructions.
#![allow(unsafe_code)]
// UNSAFETY: maintenance operations are instructions of their own.

use core::arch::asm;

use hv_core::machine::CacheOp;
use xen_abi::Gfn;

/// Drops what all CPUs have cached of the translations, both stages, of the guest whose VMID is in
/// VTTBR.
pub fn flush_loaded_guest() {
    // SAFETY: what is needed again is walked for again.
    unsafe { asm!("dsb ish", "tlbi vmalls12e1is", "dsb ish", "isb", options(nostack, preserves_flags)) }
}

/// The same for one page of the second stage, and all of the first.
pub fn flush_loaded_page(gfn: Gfn) {
    // SAFETY: as above. The first stage has to go afterwards: its entries may hold both stages'.
    unsafe {
        asm!("dsb ish", "tlbi ipas2e1is, {}", "dsb ish", "tlbi vmalle1is", "dsb ish", "isb", in(reg) gfn.0,
            options(nostack, preserves_flags));
    }
}

/// Drops what this CPU has cached for the guest that is loaded here.
pub fn flush_loaded_guest_here() {
    // SAFETY: as above.
    unsafe { asm!("dsb nsh", "tlbi vmalle1", "dsb nsh", "isb", options(nostack, preserves_flags)) }
}

/// Maintains the data cache line of an address, to the point of coherency.
///
/// # Safety
///
/// The address is mapped; nothing of the hypervisor's own is invalidated.
#[inline(always)]
pub unsafe fn line(va: usize, op: CacheOp) {
    // SAFETY: the address is mapped, says our caller; memory keeps its contents but where
    // `Invalidate` was asked for.
    unsafe {
        match op {
            CacheOp::Clean => asm!("dc cvac, {}", in(reg) va),
            CacheOp::Invalidate => asm!("dc ivac, {}", in(reg) va),
            CacheOp::CleanInvalidate => asm!("dc civac, {}", in(reg) va),
        }
    }
}

/// Makes instruction caches of all CPUs forget everything, after code was written for a guest.
pub fn invalidate_instructions() {
    // SAFETY: instructions are fetched again.
    unsafe { asm!("dsb ish", "ic ialluis", "dsb ish", "isb", options(nostack, preserves_flags)) }
}
