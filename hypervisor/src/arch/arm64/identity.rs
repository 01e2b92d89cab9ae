//! Identification registers, as all CPUs have them in common.
//!
//! Each is sixteen fields of four bits, of which the smaller value means less. A CPU that comes up
//! later can only take away. Those of AArch32 (CRm 1 to 3) are views of 32 bits.

use core::sync::atomic::{AtomicU64, Ordering};

use super::sysregs::identification;

/// CRm 1 to 7, eight each.
const REGISTERS: usize = 56;

static COMMON: [AtomicU64; REGISTERS] = [const { AtomicU64::new(u64::MAX) }; REGISTERS];

/// Index of ID_AA64PFR0, and ID_AA64PFR0.EL1: 2 when that can be in AArch32 state.
const PFR0: usize = 3 * 8;
const PFR0_EL1: u32 = 4;
const EL1_AARCH32: u64 = 2;
/// Index of ID_AA64MMFR0.
const MMFR0: usize = 6 * 8;

/// Fields in which all ones mean that there is nothing: index of the register, and first bit.
/// ID_AA64PFR0.FP and AdvSIMD; ID_AA64MMFR0.TGran64 and TGran4.
const SIGNED: [(usize, u32); 4] = [(PFR0, 16), (PFR0, 20), (MMFR0, 24), (MMFR0, 28)];

/// Counts this CPU in.
pub fn add_cpu() {
    for (index, common) in COMMON.iter().enumerate() {
        let own = identification(index);
        let before = common.load(Ordering::Relaxed);
        let now = if before == u64::MAX { own } else { least(index, before, own) };
        common.store(now, Ordering::Relaxed);
    }
}

/// The common value of an identification register; zero for those that are reserved.
pub fn register(aarch32: bool, crm: u8, op2: u8) -> u64 {
    let is_narrow = crm <= 3;
    let index = usize::from(crm).wrapping_sub(1).wrapping_mul(8) + usize::from(op2);
    match COMMON.get(index) {
        Some(common) if aarch32 == is_narrow => common.load(Ordering::Relaxed),
        _ => 0,
    }
}

/// Whether guests can have their EL1 in AArch32 state on all CPUs.
#[inline]
pub fn has_aarch32() -> bool {
    COMMON[PFR0].load(Ordering::Relaxed) >> PFR0_EL1 & 0xf == EL1_AARCH32
}

fn least(index: usize, a: u64, b: u64) -> u64 {
    let field = |shift: u32| {
        let (a, b) = (a >> shift & 0xf, b >> shift & 0xf);
        let nothing = SIGNED.contains(&(index, shift)) && (a == 0xf || b == 0xf);
        if nothing { 0xf } else { a.min(b) }
    };
    (0..64).step_by(4).map(|shift| field(shift) << shift).sum()
}
