//! Registers of the guest that is loaded here, as the core asks for them.

use hv_core::{machine::SysReg, regs::GuestRegs};

use super::{Regs, sysregs::*};

/// A general register that the mode banks: none is, as AArch32's lie in x0 to x30.
pub fn read_banked(regs: &Regs, n: u8) -> u64 {
    regs.get(n)
}

/// Writes it.
pub fn write_banked(regs: &mut Regs, n: u8, value: u64) {
    regs.set(n, value);
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
    CNTKCTL_EL1::read() as u32
}

/// ACTLR.
pub fn auxiliary_control() -> u64 {
    ACTLR_EL1::read()
}

/// SCTLR.
pub fn system_control() -> u64 {
    SCTLR_EL1::read()
}

const LOW: u64 = 0xffff_ffff;

/// A register with its low word replaced; with its high word replaced.
fn with_low(register: u64, value: u64) -> u64 {
    register & !LOW | value & LOW
}

fn with_high(register: u64, value: u64) -> u64 {
    register & LOW | value << 32
}

/// Writes one of the registers that control stage 1. Those of AArch32 lie in those of AArch64.
pub fn write_translation_register(register: SysReg, value: u64) -> bool {
    match register {
        SysReg::A64(3, 0, 1, 0, 0) => SCTLR_EL1::write(value),
        SysReg::A64(3, 0, 2, 0, 0) => TTBR0_EL1::write(value),
        SysReg::A64(3, 0, 2, 0, 1) => TTBR1_EL1::write(value),
        SysReg::A64(3, 0, 2, 0, 2) => TCR_EL1::write(value),
        SysReg::A64(3, 0, 5, 1, 0) => AFSR0_EL1::write(value),
        SysReg::A64(3, 0, 5, 1, 1) => AFSR1_EL1::write(value),
        SysReg::A64(3, 0, 5, 2, 0) => ESR_EL1::write(value),
        SysReg::A64(3, 0, 6, 0, 0) => FAR_EL1::write(value),
        SysReg::A64(3, 0, 10, 2, 0) => MAIR_EL1::write(value),
        SysReg::A64(3, 0, 10, 3, 0) => AMAIR_EL1::write(value),
        SysReg::A64(3, 0, 13, 0, 1) => CONTEXTIDR_EL1::write(value),
        SysReg::Cp15(0, 1, 0, 0) => SCTLR_EL1::write(value & LOW),
        SysReg::Cp15(0, 2, 0, 0) => TTBR0_EL1::write(with_low(TTBR0_EL1::read(), value)),
        SysReg::Cp15(0, 2, 0, 1) => TTBR1_EL1::write(with_low(TTBR1_EL1::read(), value)),
        SysReg::Cp15(0, 2, 0, 2) => TCR_EL1::write(with_low(TCR_EL1::read(), value)),
        SysReg::Cp15(0, 2, 0, 3) => TCR_EL1::write(with_high(TCR_EL1::read(), value)),
        SysReg::Cp15(0, 3, 0, 0) => {
            DACR32_EL2::write(value & LOW);
            // It takes effect with this (Cortex-A57 852523).
            CONTEXTIDR_EL1::write(CONTEXTIDR_EL1::read());
        }
        SysReg::Cp15(0, 5, 0, 0) => ESR_EL1::write(value & LOW),
        SysReg::Cp15(0, 5, 0, 1) => IFSR32_EL2::write(value & LOW),
        SysReg::Cp15(0, 5, 1, 0) => AFSR0_EL1::write(value & LOW),
        SysReg::Cp15(0, 5, 1, 1) => AFSR1_EL1::write(value & LOW),
        SysReg::Cp15(0, 6, 0, 0) => FAR_EL1::write(with_low(FAR_EL1::read(), value)),
        SysReg::Cp15(0, 6, 0, 2) => FAR_EL1::write(with_high(FAR_EL1::read(), value)),
        SysReg::Cp15(0, 10, 2, 0) => MAIR_EL1::write(with_low(MAIR_EL1::read(), value)),
        SysReg::Cp15(0, 10, 2, 1) => MAIR_EL1::write(with_high(MAIR_EL1::read(), value)),
        SysReg::Cp15(0, 10, 3, 0) => AMAIR_EL1::write(with_low(AMAIR_EL1::read(), value)),
        SysReg::Cp15(0, 10, 3, 1) => AMAIR_EL1::write(with_high(AMAIR_EL1::read(), value)),
        SysReg::Cp15(0, 13, 0, 1) => CONTEXTIDR_EL1::write(value & LOW),
        SysReg::Cp15Wide(0, 2) => TTBR0_EL1::write(value),
        SysReg::Cp15Wide(1, 2) => TTBR1_EL1::write(value),
        _ => return false,
    }
    true
}

/// MIDR.
pub fn midr() -> u32 {
    MIDR_EL1::read() as u32
}
