//! The system registers of GICv3. Only a board with a GICv3 has them.
#![allow(unsafe_code)]
#![allow(non_camel_case_types)]
// UNSAFETY: system registers are reached by assembly only.

use core::arch::asm;

/// Defines one register as a type with `read` and `write`, of which 32 bits or all 64 are used.
macro_rules! register {
    ($($(#[$doc:meta])* $name:ident: $type:ty = $asm:literal;)*) => {$(
        $(#[$doc])*
        pub struct $name;
        #[allow(dead_code, reason = "each register has both directions, few need both")]
        impl $name {
            /// Reads it.
            #[inline(always)]
            pub fn read() -> $type {
                let value: u64;
                // SAFETY: reading this register changes no memory.
                unsafe { asm!(concat!("mrs {}, ", $asm), out(reg) value, options(nostack, preserves_flags)) };
                value as $type
            }
            /// Writes it.
            #[inline(always)]
            pub fn write(value: $type) {
                // SAFETY: the register says which interrupts there are and who gets them.
                unsafe {
                    asm!(concat!("msr ", $asm, ", {}"), in(reg) u64::from(value),
                        options(nostack, preserves_flags));
                }
            }
        }
    )*};
}

register! {
    /// Priority mask.
    ICC_PMR_EL1: u32 = "S3_0_C4_C6_0";
    /// Deactivate an interrupt.
    ICC_DIR_EL1: u32 = "S3_0_C12_C11_1";
    /// Sends an interrupt of group 1.
    ICC_SGI1R_EL1: u64 = "S3_0_C12_C11_5";
    /// Acknowledge an interrupt of group 1.
    ICC_IAR1_EL1: u32 = "S3_0_C12_C12_0";
    /// Drop its priority.
    ICC_EOIR1_EL1: u32 = "S3_0_C12_C12_1";
    /// Binary point.
    ICC_BPR1_EL1: u32 = "S3_0_C12_C12_3";
    /// Control of the CPU interface.
    ICC_CTLR_EL1: u32 = "S3_0_C12_C12_4";
    /// Whether EL1's interface is in system registers.
    ICC_SRE_EL1: u32 = "S3_0_C12_C12_5";
    /// Enables group 1.
    ICC_IGRPEN1_EL1: u32 = "S3_0_C12_C12_7";
    /// Whether EL2's interface is in system registers.
    ICC_SRE_EL2: u32 = "S3_4_C12_C9_5";
    /// Control of the virtual interface.
    ICH_HCR_EL2: u32 = "S3_4_C12_C11_0";
    /// What the virtual interface has.
    ICH_VTR_EL2: u32 = "S3_4_C12_C11_1";
    /// Which list registers are empty.
    ICH_ELRSR_EL2: u32 = "S3_4_C12_C11_5";
    /// What the guest set its CPU interface to.
    ICH_VMCR_EL2: u32 = "S3_4_C12_C11_7";
}

/// Defines registers that are chosen by number.
macro_rules! numbered {
    ($read:ident, $write:ident, ($($key:ident),*): $type:ty, $what:literal,
        $($($n:literal),* = $asm:literal;)*) => {
        #[doc = concat!("Reads ", $what, ".")]
        #[inline]
        pub fn $read($($key: usize),*) -> $type {
            let value: u64;
            match ($($key,)*) {
                // SAFETY: reading this register has no effect.
                $(($($n,)*) => unsafe {
                    asm!(concat!("mrs {}, ", $asm), out(reg) value,
                        options(nomem, nostack, preserves_flags));
                },)*
                _ => unreachable!(concat!("{}:", $(" ", stringify!($key), " = {}"),*), $what, $($key),*),
            }
            value as $type
        }

        #[doc = concat!("Writes ", $what, ".")]
        #[inline]
        pub fn $write($($key: usize,)* value: $type) {
            match ($($key,)*) {
                // SAFETY: the register affects the execution of EL1 and EL0 only.
                $(($($n,)*) => unsafe {
                    asm!(concat!("msr ", $asm, ", {}"), in(reg) u64::from(value),
                        options(nostack, preserves_flags));
                },)*
                _ => unreachable!(concat!("{}:", $(" ", stringify!($key), " = {}"),*), $what, $($key),*),
            }
        }
    };
}

numbered! {
    read_active, write_active, (group, n): u32, "register `n` of the active priorities of a group",
    0, 0 = "S3_4_C12_C8_0"; 0, 1 = "S3_4_C12_C8_1"; 0, 2 = "S3_4_C12_C8_2"; 0, 3 = "S3_4_C12_C8_3";
    1, 0 = "S3_4_C12_C9_0"; 1, 1 = "S3_4_C12_C9_1"; 1, 2 = "S3_4_C12_C9_2"; 1, 3 = "S3_4_C12_C9_3";
}

numbered! {
    read_list_register, write_list_register, (n): u64, "list register `n`",
    0 = "S3_4_C12_C12_0"; 1 = "S3_4_C12_C12_1"; 2 = "S3_4_C12_C12_2"; 3 = "S3_4_C12_C12_3";
    4 = "S3_4_C12_C12_4"; 5 = "S3_4_C12_C12_5"; 6 = "S3_4_C12_C12_6"; 7 = "S3_4_C12_C12_7";
    8 = "S3_4_C12_C13_0"; 9 = "S3_4_C12_C13_1"; 10 = "S3_4_C12_C13_2"; 11 = "S3_4_C12_C13_3";
    12 = "S3_4_C12_C13_4"; 13 = "S3_4_C12_C13_5"; 14 = "S3_4_C12_C13_6"; 15 = "S3_4_C12_C13_7";
}

/// Lets what was written to these registers come into effect.
#[inline(always)]
pub fn synchronize() {
    // SAFETY: a barrier has no other effect.
    unsafe { asm!("isb", options(nostack, preserves_flags)) }
}

/// Lets all that came before be complete for everybody.
#[inline(always)]
pub fn complete() {
    // SAFETY: a barrier has no other effect.
    unsafe { asm!("dsb sy", options(nostack, preserves_flags)) }
}

/// Has the CPU interface of a GICv2 be in memory, on a CPU that could have it in registers too.
pub fn leave_to_memory() {
    if super::identity::register(false, 4, 0) >> 24 & 0xf != 0 {
        ICC_SRE_EL2::write(0);
        crate::arch::isb();
    }
}
