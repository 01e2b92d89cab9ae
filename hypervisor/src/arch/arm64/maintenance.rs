//! Caches and TLBs: the instructions.
#![allow(unsafe_code)]
// UNSAFETY: maintenance operations are instructions of their own.

use core::arch::asm;

use hv_core::{errata::Errata, machine::CacheOp};
use xen_abi::Gfn;

use super::errata;
use crate::arch;

/// Invalidates in TLBs, twice where a CPU needs that, once what came before is done, and waits for it: both in
/// the shareability domain.
macro_rules! invalidate {
    ($domain:literal, $operation:literal $(, $value:expr)?) => {
        // SAFETY: what is needed again is walked for again.
        unsafe {
            asm!(concat!("dsb ", $domain), concat!("tlbi ", $operation), concat!("dsb ", $domain),
                $(in(reg) $value,)? options(nostack, preserves_flags));
            if errata::found(Errata::REPEAT_TLBI) {
                asm!(concat!("tlbi ", $operation), concat!("dsb ", $domain), $(in(reg) $value,)?
                    options(nostack, preserves_flags));
            }
        }
    };
}

/// Drops what this and all other CPUs have cached of the hypervisor's own map.
pub fn flush_own_tlb() {
    invalidate!("ish", "alle2is");
    arch::isb();
}

/// Drops what all CPUs have cached of the translations, both stages, of the guest whose VMID is in
/// VTTBR.
pub fn flush_loaded_guest() {
    invalidate!("ish", "vmalls12e1is");
    arch::isb();
}

/// The same for one page of the second stage, and all of the first.
pub fn flush_loaded_page(gfn: Gfn) {
    invalidate!("ish", "ipas2e1is, {}", gfn.0);
    // The first stage has to go afterwards: its entries may hold both stages'.
    invalidate!("ish", "vmalle1is");
    arch::isb();
}

/// Drops what this CPU has cached for the guest that is loaded here.
pub fn flush_loaded_guest_here() {
    invalidate!("nsh", "vmalle1");
    arch::isb();
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
