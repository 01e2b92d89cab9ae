//! Caches and TLBs: the instructions.
#![allow(unsafe_code)]
// UNSAFETY: maintenance operations are instructions of their own.

use core::arch::asm;

use hv_core::machine::CacheOp;
use xen_abi::Gfn;

/// Drops what all CPUs have cached of the translations, both stages, of the guest whose VMID is in
/// VTTBR.
pub fn flush_loaded_guest() {
    // SAFETY: what is needed again is walked for again. TLBIALLIS, which from HYP mode means the
    // guest whose VMID is in VTTBR.
    unsafe {
        asm!("dsb ish", "mcr p15, 0, {zero}, c8, c3, 0", "dsb ish", "isb", zero = in(reg) 0,
            options(nostack, preserves_flags));
    }
}

/// The same for one page; this state has no operation by intermediate address.
pub fn flush_loaded_page(_gfn: Gfn) {
    flush_loaded_guest();
}

/// Drops what this CPU has cached for the guest that is loaded here.
pub fn flush_loaded_guest_here() {
    // SAFETY: as above; TLBIALL.
    unsafe {
        asm!("dsb nsh", "mcr p15, 0, {zero}, c8, c7, 0", "dsb nsh", "isb", zero = in(reg) 0,
            options(nostack, preserves_flags));
    }
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
            CacheOp::Clean => asm!("mcr p15, 0, {}, c7, c10, 1", in(reg) va),
            CacheOp::Invalidate => asm!("mcr p15, 0, {}, c7, c6, 1", in(reg) va),
            CacheOp::CleanInvalidate => asm!("mcr p15, 0, {}, c7, c14, 1", in(reg) va),
        }
    }
}

/// Makes instruction caches of all CPUs forget everything, after code was written for a guest.
pub fn invalidate_instructions() {
    // SAFETY: instructions are fetched again. ICIALLUIS, BPIALLIS.
    unsafe {
        asm!("dsb ish", "mcr p15, 0, {zero}, c7, c1, 0", "mcr p15, 0, {zero}, c7, c1, 6", "dsb ish",
            "isb", zero = in(reg) 0, options(nostack, preserves_flags));
    }
}
