//! The system registers of GICv3, by their AArch64 names. Only a board with a GICv3 has them.
#![allow(unsafe_code)]
#![allow(non_camel_case_types)]
// UNSAFETY: system registers are reached by assembly only.

use core::arch::asm;

use super::sysregs::{reg32, reg64};

reg32! {
    /// Priority mask.
    ICC_PMR_EL1 = "0", "c4", "c6", "0";
    /// Deactivate an interrupt.
    ICC_DIR_EL1 = "0", "c12", "c11", "1";
    /// Acknowledge an interrupt of group 1.
    ICC_IAR1_EL1 = "0", "c12", "c12", "0";
    /// Drop its priority.
    ICC_EOIR1_EL1 = "0", "c12", "c12", "1";
    /// Binary point.
    ICC_BPR1_EL1 = "0", "c12", "c12", "3";
    /// Control of the CPU interface.
    ICC_CTLR_EL1 = "0", "c12", "c12", "4";
    /// Whether EL1's interface is in system registers.
    ICC_SRE_EL1 = "0", "c12", "c12", "5";
    /// Enables group 1.
    ICC_IGRPEN1_EL1 = "0", "c12", "c12", "7";
    /// Whether HYP's interface is in system registers.
    ICC_SRE_EL2 = "4", "c12", "c9", "5";
    /// Control of the virtual interface.
    ICH_HCR_EL2 = "4", "c12", "c11", "0";
    /// What the virtual interface has.
    ICH_VTR_EL2 = "4", "c12", "c11", "1";
    /// Which list registers are empty.
    ICH_ELRSR_EL2 = "4", "c12", "c11", "5";
    /// What the guest set its CPU interface to.
    ICH_VMCR_EL2 = "4", "c12", "c11", "7";
}

reg64! {
    /// Sends an interrupt of group 1.
    ICC_SGI1R_EL1 = "0", "c12";
}

/// Defines the registers of active priorities.
macro_rules! active {
    ($($group:literal, $n:literal = $crm:literal, $op2:literal;)*) => {
        /// Register `n` of the active priorities of a group.
        #[inline(always)]
        pub fn read_active(group: usize, n: usize) -> u32 {
            match (group, n) {
                $(($group, $n) => {
                    let value;
                    // SAFETY: reading this register has no effect.
                    unsafe {
                        asm!(concat!("mrc p15, 4, {}, c12, ", $crm, ", ", $op2), out(reg) value,
                            options(nomem, nostack, preserves_flags));
                    }
                    value
                })*
                _ => unreachable!("active priorities {group} {n}"),
            }
        }

        /// Writes it.
        #[inline(always)]
        pub fn write_active(group: usize, n: usize, value: u32) {
            match (group, n) {
                // SAFETY: the register affects the execution of EL1 and EL0 only.
                $(($group, $n) => unsafe {
                    asm!(concat!("mcr p15, 4, {}, c12, ", $crm, ", ", $op2), in(reg) value,
                        options(nostack, preserves_flags));
                },)*
                _ => unreachable!("active priorities {group} {n}"),
            }
        }
    };
}

active! {
    0, 0 = "c8", "0"; 0, 1 = "c8", "1"; 0, 2 = "c8", "2"; 0, 3 = "c8", "3";
    1, 0 = "c9", "0"; 1, 1 = "c9", "1"; 1, 2 = "c9", "2"; 1, 3 = "c9", "3";
}

/// Defines the list registers, whose halves are two registers here.
macro_rules! list_registers {
    ($($n:literal = $low:literal, $high:literal, $op2:literal;)*) => {
        /// Reads list register `n`.
        #[inline]
        pub fn read_list_register(n: usize) -> u64 {
            let (low, high): (u32, u32);
            match n {
                // SAFETY: reading this register has no effect.
                $($n => unsafe {
                    asm!(concat!("mrc p15, 4, {}, c12, ", $low, ", ", $op2),
                        concat!("mrc p15, 4, {}, c12, ", $high, ", ", $op2),
                        out(reg) low, out(reg) high, options(nomem, nostack, preserves_flags));
                },)*
                _ => unreachable!("list register {n}"),
            }
            u64::from(low) | u64::from(high) << 32
        }

        /// Writes list register `n`.
        #[inline]
        pub fn write_list_register(n: usize, value: u64) {
            let (low, high) = (value as u32, (value >> 32) as u32);
            match n {
                // SAFETY: the register affects the execution of EL1 and EL0 only.
                $($n => unsafe {
                    asm!(concat!("mcr p15, 4, {}, c12, ", $low, ", ", $op2),
                        concat!("mcr p15, 4, {}, c12, ", $high, ", ", $op2),
                        in(reg) low, in(reg) high, options(nostack, preserves_flags));
                },)*
                _ => unreachable!("list register {n}"),
            }
        }
    };
}

list_registers! {
    0 = "c12", "c14", "0"; 1 = "c12", "c14", "1"; 2 = "c12", "c14", "2"; 3 = "c12", "c14", "3";
    4 = "c12", "c14", "4"; 5 = "c12", "c14", "5"; 6 = "c12", "c14", "6"; 7 = "c12", "c14", "7";
    8 = "c13", "c15", "0"; 9 = "c13", "c15", "1"; 10 = "c13", "c15", "2"; 11 = "c13", "c15", "3";
    12 = "c13", "c15", "4"; 13 = "c13", "c15", "5"; 14 = "c13", "c15", "6"; 15 = "c13", "c15", "7";
}

/// Lets what was written to these registers come into effect.
#[inline(always)]
pub fn synchronize() {
    crate::arch::isb();
}

/// Lets all that came before be complete for everybody.
#[inline(always)]
pub fn complete() {
    // SAFETY: a barrier has no other effect.
    unsafe { asm!("dsb sy", options(nostack, preserves_flags)) }
}

/// Has the CPU interface of a GICv2 be in memory, on a CPU that could have it in registers too.
pub fn leave_to_memory() {
    if super::identity::register(true, 1, 1) >> 28 & 0xf != 0 {
        ICC_SRE_EL2::write(0);
        crate::arch::isb();
    }
}
