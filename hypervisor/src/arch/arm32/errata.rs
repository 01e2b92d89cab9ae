//! Errata: those of this state's cores ask nothing of a hypervisor.

use hv_core::{errata::Errata, trap::Abort};

/// Whether a CPU has one of these.
#[inline(always)]
pub const fn found(_errata: Errata) -> bool {
    false
}

/// Whether an abort is not what it says.
#[inline(always)]
pub const fn is_misreported(_abort: &Abort) -> bool {
    false
}
