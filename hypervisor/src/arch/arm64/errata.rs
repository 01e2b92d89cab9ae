//! Which errata the CPUs have, and what is done about those that are no other instruction's business.

use core::sync::atomic::{AtomicU32, Ordering};

use hv_core::{errata::Errata, machine::Access};

use super::{registers, sysregs::*, translate};

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

/// ESR of an abort: exception classes of a guest's fetch and data access; a translation fault; that it
/// happened on the walk of the first stage.
const EC_FETCH: u32 = 0x20;
const EC_DATA: u32 = 0x24;
const STATUS: u32 = 0x3c;
const TRANSLATION: u32 = 0x04;
const ON_WALK: u32 = 1 << 7;

/// Whether a trap is not the second stage's fault that it says it is (Cortex-A57 834220): the guest, when it
/// goes on, has a fault of its first stage.
pub fn is_misreported(syndrome: u32) -> bool {
    let is_abort = matches!(syndrome >> 26, EC_FETCH | EC_DATA);
    let suspect = is_abort && syndrome & (STATUS | ON_WALK) == TRANSLATION;
    suspect && found(Errata::WRONG_STAGE) && translate::stage1(FAR_EL2::read(), Access::Read).is_none()
}
