//! Caches and TLBs.
#![allow(unsafe_code)]
// UNSAFETY: maintenance operations are instructions of their own.

use core::{arch::asm, sync::atomic::AtomicU64};

use hv_core::machine::{CacheOp, Vmid};
use xen_abi::Gfn;

use super::sysregs::*;

/// A root that maps nothing, so that walks for a guest which is not loaded find nothing to cache.
/// Atomics, so that it does not take up space among the constants.
#[repr(C, align(8192))]
struct EmptyRoot([AtomicU64; 1024]);

static EMPTY_ROOT: EmptyRoot = EmptyRoot([const { AtomicU64::new(0) }; 1024]);

const VMID_SHIFT: u32 = 48;

/// Drops what all CPUs have cached of a guest's translations, both stages.
pub fn flush_guest_tlb(vmid: Vmid) {
    let loaded = VTTBR_EL2::read();
    if loaded >> VMID_SHIFT == u64::from(vmid.0) {
        flush_loaded_guest();
        return;
    }
    VTTBR_EL2::write(super::image_to_physical(&EMPTY_ROOT) | u64::from(vmid.0) << VMID_SHIFT);
    super::isb();
    flush_loaded_guest();
    VTTBR_EL2::write(loaded);
    super::isb();
}

/// The same for one page; this state has no operation by intermediate address.
pub fn flush_guest_page(vmid: Vmid, _gfn: Gfn) {
    flush_guest_tlb(vmid);
}

fn flush_loaded_guest() {
    // SAFETY: what is needed again is walked for again. TLBIALLIS, which from HYP mode means the
    // guest whose VMID is in VTTBR.
    unsafe {
        asm!("dsb ish", "mcr p15, 0, {zero}, c8, c3, 0", "dsb ish", "isb", zero = in(reg) 0,
            options(nostack, preserves_flags));
    }
}

/// Drops what this CPU has cached for the guest that is loaded here.
pub fn flush_loaded_guest_here() {
    // SAFETY: as above; TLBIALL.
    unsafe {
        asm!("dsb nsh", "mcr p15, 0, {zero}, c8, c7, 0", "dsb nsh", "isb", zero = in(reg) 0,
            options(nostack, preserves_flags));
    }
}

/// Maintains the lines of a range of the hypervisor's addresses, to the point of coherency.
///
/// # Safety
///
/// The range is mapped; nothing of the hypervisor's own is invalidated.
pub unsafe fn cache(start: usize, len: usize, op: CacheOp) {
    let line = 4 << (CTR_EL0::read() >> 16 & 0xf);
    let end = start + len;
    let mut va = start & !(line - 1);
    // SAFETY: the addresses are mapped, says our caller; memory keeps its contents but where
    // `Invalidate` was asked for.
    unsafe {
        asm!("dsb sy", options(nostack, preserves_flags));
        while va < end {
            match op {
                CacheOp::Clean => asm!("mcr p15, 0, {}, c7, c10, 1", in(reg) va),
                CacheOp::Invalidate => asm!("mcr p15, 0, {}, c7, c6, 1", in(reg) va),
                CacheOp::CleanInvalidate => asm!("mcr p15, 0, {}, c7, c14, 1", in(reg) va),
            }
            va += line;
        }
        asm!("dsb sy", options(nostack, preserves_flags));
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
