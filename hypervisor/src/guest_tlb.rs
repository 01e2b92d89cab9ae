//! What CPUs have cached of guests' translations, and of guests' memory.

use core::sync::atomic::AtomicU64;

use hv_core::{errata::Errata, machine::Vmid};
use xen_abi::Gfn;

use crate::{
    arch::{self, maintenance},
    percpu::PerCpu,
};

/// A root that maps nothing, so that walks for a guest which is not loaded find nothing to cache.
/// Atomics, so that it does not take up space among the constants.
#[repr(C, align(8192))]
struct EmptyRoot([AtomicU64; 1024]);

static EMPTY_ROOT: EmptyRoot = EmptyRoot([const { AtomicU64::new(0) }; 1024]);

const VMID_SHIFT: u32 = 48;

/// Drops what all CPUs have cached of a guest's translations, both stages.
pub fn flush(vmid: Vmid) {
    with_loaded(vmid, maintenance::flush_loaded_guest);
}

/// The same for one page, where the state has an operation for it.
pub fn flush_page(vmid: Vmid, gfn: Gfn) {
    with_loaded(vmid, || maintenance::flush_loaded_page(gfn));
}

/// Does something while that VMID is in VTTBR, as the operations on TLBs want it.
fn with_loaded(vmid: Vmid, flush: impl FnOnce()) {
    let loaded = arch::registers::stage2();
    if loaded >> VMID_SHIFT == u64::from(vmid.0) {
        flush();
        return;
    }
    arch::registers::set_stage2(arch::image_to_physical(&EMPTY_ROOT) | u64::from(vmid.0) << VMID_SHIFT);
    arch::isb();
    flush();
    arch::registers::set_stage2(loaded);
    arch::isb();
}

/// Called before a guest's registers are replaced by another's: where translation runs ahead in the mix, it
/// finds no second stage.
#[inline]
pub fn leave() {
    if arch::errata::found(Errata::SPECULATIVE_AT) {
        arch::registers::set_stage2(arch::image_to_physical(&EMPTY_ROOT));
        arch::isb();
    }
}

/// Enters the second stage of the guest whose registers are there by now.
#[inline]
pub fn enter(stage2: u64) {
    if arch::errata::found(Errata::SPECULATIVE_AT) {
        arch::isb();
    }
    arch::registers::set_stage2(stage2);
}

/// vCPUs of a domain may use an ASID for different things, and a core that ran one of them may
/// still hold its translations: drops them when another one of the domain comes.
#[inline]
pub fn forget_siblings(vmid: u8, vmpidr: u64) {
    // Sixteen to a cluster, as guests see their affinities.
    let vcpu = (vmpidr >> 8 & 0xf) << 4 | vmpidr & 0xf;
    if PerCpu::this().ran_another(vmid, vcpu as u8) {
        maintenance::flush_loaded_guest_here();
    }
}
