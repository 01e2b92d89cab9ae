//! Identification registers, as all CPUs have them in common.
//!
//! Each is eight fields of four bits, of which the smaller value means less. A CPU that comes up
//! later can only take away.

use core::sync::atomic::{AtomicU32, Ordering};

use super::{sysregs::identification, vfp};

/// The registers of CRm 1 and 2, eight each, and the two that the floating-point unit has. In
/// AArch64 those are CRm 3.
static COMMON: [AtomicU32; 18] = [const { AtomicU32::new(u32::MAX) }; 18];

/// ID_PFR0.State3.
const PFR0_THUMBEE: u32 = 0xf << 12;

/// Counts this CPU in.
pub fn add_cpu() {
    let own = (0..16).map(identification).chain(vfp::identification());
    for (common, own) in COMMON.iter().zip(own) {
        let before = common.load(Ordering::Relaxed);
        common.store(least(before, own), Ordering::Relaxed);
    }
}

/// The common value of an identification register; zero for those that are reserved.
pub fn register(aarch32: bool, crm: u8, op2: u8) -> u64 {
    let index = usize::from(crm).wrapping_sub(1).wrapping_mul(8) + usize::from(op2);
    match COMMON.get(index) {
        Some(common) if aarch32 => common.load(Ordering::Relaxed).into(),
        _ => 0,
    }
}

/// Whether guests can have their EL1 in AArch32 state: there is no other.
pub fn has_aarch32() -> bool {
    true
}

/// Whether all CPUs have ThumbEE.
#[inline]
pub fn has_thumbee() -> bool {
    COMMON[0].load(Ordering::Relaxed) & PFR0_THUMBEE != 0
}

fn least(a: u32, b: u32) -> u32 {
    (0..32).step_by(4).map(|shift| (a >> shift & 0xf).min(b >> shift & 0xf) << shift).sum()
}
