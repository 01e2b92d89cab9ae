//! Registers of the guest that is loaded here, as the core asks for them.

use hv_core::{machine::SysReg, regs::GuestRegs};
use xen_abi::arch::psr;

use super::{Regs, sysregs::*};

const MODE_MASK: u32 = 0x1f;
const SP: u8 = 13;
const LR: u8 = 14;

/// Calls `$then` with the register that a mode banks as `n`.
macro_rules! banked {
    ($regs:expr, $n:expr, $then:ident $($value:expr)?) => {
        match ($regs.cpsr & MODE_MASK, $n) {
            (psr::MODE_FIQ, 8) => R8_FIQ::$then($($value)?),
            (psr::MODE_FIQ, 9) => R9_FIQ::$then($($value)?),
            (psr::MODE_FIQ, 10) => R10_FIQ::$then($($value)?),
            (psr::MODE_FIQ, 11) => R11_FIQ::$then($($value)?),
            (psr::MODE_FIQ, 12) => R12_FIQ::$then($($value)?),
            (psr::MODE_FIQ, SP) => SP_FIQ::$then($($value)?),
            (psr::MODE_FIQ, LR) => LR_FIQ::$then($($value)?),
            (psr::MODE_IRQ, SP) => SP_IRQ::$then($($value)?),
            (psr::MODE_IRQ, LR) => LR_IRQ::$then($($value)?),
            (psr::MODE_SVC, SP) => SP_SVC::$then($($value)?),
            (psr::MODE_SVC, LR) => LR_SVC::$then($($value)?),
            (psr::MODE_ABT, SP) => SP_ABT::$then($($value)?),
            (psr::MODE_ABT, LR) => LR_ABT::$then($($value)?),
            (psr::MODE_UND, SP) => SP_UND::$then($($value)?),
            (psr::MODE_UND, LR) => LR_UND::$then($($value)?),
            _ => SP_USR::$then($($value)?),
        }
    };
}

/// A general register that the mode banks.
pub fn read_banked(regs: &Regs, n: u8) -> u64 {
    debug_assert!(regs.is_banked(n));
    banked!(regs, n, read).into()
}

/// Writes it.
pub fn write_banked(regs: &mut Regs, n: u8, value: u64) {
    debug_assert!(regs.is_banked(n));
    banked!(regs, n, write value as u32);
}

/// Stage 2's root and VMID (VTTBR).
pub fn stage2() -> u64 {
    VTTBR_EL2::read()
}

/// Sets them. Only for as long as no guest is entered.
pub fn set_stage2(value: u64) {
    VTTBR_EL2::write(value);
}

/// CNTKCTL.
pub fn timer_control() -> u32 {
    CNTKCTL_EL1::read()
}

/// ACTLR.
pub fn auxiliary_control() -> u64 {
    ACTLR_EL1::read().into()
}

/// SCTLR.
pub fn system_control() -> u64 {
    SCTLR_EL1::read().into()
}

/// Writes one of the registers that control stage 1.
pub fn write_translation_register(register: SysReg, value: u64) -> bool {
    let word = value as u32;
    match register {
        SysReg::Cp15(0, 1, 0, 0) => SCTLR_EL1::write(word),
        SysReg::Cp15(0, 2, 0, 0) => TTBR0_EL1::write(TTBR0_EL1::read() >> 32 << 32 | u64::from(word)),
        SysReg::Cp15(0, 2, 0, 1) => TTBR1_EL1::write(TTBR1_EL1::read() >> 32 << 32 | u64::from(word)),
        SysReg::Cp15(0, 2, 0, 2) => TCR_EL1::write(word),
        SysReg::Cp15(0, 3, 0, 0) => DACR32_EL2::write(word),
        SysReg::Cp15(0, 5, 0, 0) => DFSR::write(word),
        SysReg::Cp15(0, 5, 0, 1) => IFSR32_EL2::write(word),
        SysReg::Cp15(0, 5, 1, 0) => AFSR0_EL1::write(word),
        SysReg::Cp15(0, 5, 1, 1) => AFSR1_EL1::write(word),
        SysReg::Cp15(0, 6, 0, 0) => DFAR::write(word),
        SysReg::Cp15(0, 6, 0, 2) => IFAR::write(word),
        SysReg::Cp15(0, 10, 2, 0) => MAIR0::write(word),
        SysReg::Cp15(0, 10, 2, 1) => MAIR1::write(word),
        SysReg::Cp15(0, 10, 3, 0) => AMAIR0::write(word),
        SysReg::Cp15(0, 10, 3, 1) => AMAIR1::write(word),
        SysReg::Cp15(0, 13, 0, 1) => CONTEXTIDR_EL1::write(word),
        SysReg::Cp15Wide(0, 2) => TTBR0_EL1::write(value),
        SysReg::Cp15Wide(1, 2) => TTBR1_EL1::write(value),
        _ => return false,
    }
    true
}

/// MIDR.
pub fn midr() -> u32 {
    MIDR_EL1::read()
}
