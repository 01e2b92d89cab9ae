//! Errata: those of this state's cores ask nothing of a hypervisor.

use hv_core::errata::Errata;

/// Whether a CPU has one of these.
#[inline(always)]
pub const fn found(_errata: Errata) -> bool {
    false
}

/// Whether a trap is not what it says.
#[inline(always)]
pub const fn is_misreported(_syndrome: u32) -> bool {
    false
}
