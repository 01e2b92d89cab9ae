//! Stage 1 of the guest that is loaded here, by the hardware's own walk.
#![allow(unsafe_code)]
// UNSAFETY: address translation operations are instructions of their own.

use core::arch::asm;

use hv_core::machine::Access;

use super::sysregs::*;

const PAR_FAILED: u64 = 1 << 0;
/// Short format: the page is a supersection.
const PAR_SUPERSECTION: u64 = 1 << 1;
const PAR_LONG: u64 = 1 << 11;

/// Translates at EL1's privilege; `None` where the guest's tables deny the access.
pub fn stage1(va: u64, access: Access) -> Option<u64> {
    let va = u32::try_from(va).ok()?;
    let saved = PAR_EL1::read();
    // SAFETY: the walk only changes PAR, whose value the guest gets back below. ATS1CPR, ATS1CPW.
    unsafe {
        match access {
            Access::Read => asm!("mcr p15, 0, {}, c7, c8, 0", "isb", in(reg) va),
            Access::Write => asm!("mcr p15, 0, {}, c7, c8, 1", "isb", in(reg) va),
        }
    }
    let par = PAR_EL1::read();
    PAR_EL1::write(saved);
    (par & PAR_FAILED == 0).then(|| physical(par, va))
}

/// Translates through both stages at EL1's privilege; `None` where either denies the access.
#[inline]
pub fn both_stages(va: u64, access: Access) -> Option<u64> {
    let va = u32::try_from(va).ok()?;
    let saved = PAR_EL1::read();
    // SAFETY: as above. ATS12NSOPR, ATS12NSOPW.
    unsafe {
        match access {
            Access::Read => asm!("mcr p15, 0, {}, c7, c8, 4", "isb", in(reg) va),
            Access::Write => asm!("mcr p15, 0, {}, c7, c8, 5", "isb", in(reg) va),
        }
    }
    let par = PAR_EL1::read();
    PAR_EL1::write(saved);
    (par & PAR_FAILED == 0).then(|| physical(par, va))
}

#[inline]
fn physical(par: u64, va: u32) -> u64 {
    let va = u64::from(va);
    if par & PAR_LONG != 0 {
        par & 0xff_ffff_f000 | va & 0xfff
    } else if par & PAR_SUPERSECTION != 0 {
        (par >> 16 & 0xff) << 32 | par & 0xff00_0000 | va & 0x00ff_ffff
    } else {
        par & 0xffff_f000 | va & 0xfff
    }
}
