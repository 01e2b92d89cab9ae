//! Which errata the CPUs have, and what is done about those that are no other instruction's business.

use core::sync::atomic::{AtomicU32, Ordering};

use hv_core::{
    errata::Errata,
    machine::Access,
    trap::{Abort, Fault},
};

use super::{registers, translate};

/// Those of any CPU: a guest may come to each.
static FOUND: AtomicU32 = AtomicU32::new(0);

/// Counts this CPU in.
pub fn add_cpu() {
    FOUND.fetch_or(Errata::of(registers::midr()).bits(), Ordering::Relaxed);
}

/// Whether a CPU has one of these.
#[inline(always)]
pub fn found(errata: Errata) -> bool {
    errata.any_in(FOUND.load(Ordering::Relaxed))
}

/// Whether an abort is the first stage's (Cortex-A57 834220).
#[inline(always)]
pub fn is_misreported(abort: &Abort) -> bool {
    let suspect = abort.fault() == Fault::Translation && !abort.on_walk();
    suspect && found(Errata::WRONG_STAGE) && translate::stage1(abort.va(), Access::Read).is_none()
}
