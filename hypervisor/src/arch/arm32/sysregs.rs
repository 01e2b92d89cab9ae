//! System registers of AArch32, by the names of their AArch64 counterparts where there is one.
//!
//! Registers that only a guest's execution depends on are written by safe functions: what they
//! hold cannot break what Rust relies on here. The hypervisor's own regime is behind `unsafe`.
#![allow(unsafe_code)]
#![allow(non_camel_case_types)]
// UNSAFETY: system registers are reached by assembly only.

use core::arch::asm;

/// What a register holds that is of the state's own width.
pub type Word = u32;

/// Defines one 32-bit register as a type with `read` and `write`.
macro_rules! reg32 {
    ($($(#[$doc:meta])* $name:ident = $op1:literal, $crn:literal, $crm:literal, $op2:literal;)*) => {$(
        $(#[$doc])*
        pub struct $name;
        #[allow(dead_code, reason = "each register has both directions, few need both")]
        impl $name {
            /// Reads it.
            #[inline(always)]
            pub fn read() -> u32 {
                let value;
                // SAFETY: reading this register has no effect.
                unsafe {
                    asm!(concat!("mrc p15, ", $op1, ", {}, ", $crn, ", ", $crm, ", ", $op2),
                        out(reg) value, options(nomem, nostack, preserves_flags));
                }
                value
            }
            /// Writes it.
            #[inline(always)]
            pub fn write(value: u32) {
                // SAFETY: the register affects the execution of EL1 and EL0 only.
                unsafe {
                    asm!(concat!("mcr p15, ", $op1, ", {}, ", $crn, ", ", $crm, ", ", $op2),
                        in(reg) value, options(nostack, preserves_flags));
                }
            }
        }
    )*};
}

/// Defines one register of coprocessor 14, which not every core has.
macro_rules! debug32 {
    ($($(#[$doc:meta])* $name:ident = $op1:literal, $crn:literal, $crm:literal, $op2:literal;)*) => {$(
        $(#[$doc])*
        pub struct $name;
        impl $name {
            /// Reads it.
            ///
            /// # Safety
            ///
            /// The core has the register.
            #[inline(always)]
            pub unsafe fn read() -> u32 {
                let value;
                // SAFETY: it exists, says our caller; reading it has no effect.
                unsafe {
                    asm!(concat!("mrc p14, ", $op1, ", {}, ", $crn, ", ", $crm, ", ", $op2),
                        out(reg) value, options(nomem, nostack, preserves_flags));
                }
                value
            }
            /// Writes it.
            ///
            /// # Safety
            ///
            /// The core has the register.
            #[inline(always)]
            pub unsafe fn write(value: u32) {
                // SAFETY: it exists, says our caller; it affects EL1 and EL0 only.
                unsafe {
                    asm!(concat!("mcr p14, ", $op1, ", {}, ", $crn, ", ", $crm, ", ", $op2),
                        in(reg) value, options(nostack, preserves_flags));
                }
            }
        }
    )*};
}

/// Defines one 64-bit register likewise.
macro_rules! reg64 {
    ($($(#[$doc:meta])* $name:ident = $op1:literal, $crm:literal;)*) => {$(
        $(#[$doc])*
        pub struct $name;
        #[allow(dead_code, reason = "each register has both directions, few need both")]
        impl $name {
            /// Reads it.
            #[inline(always)]
            pub fn read() -> u64 {
                let (low, high): (u32, u32);
                // SAFETY: reading this register has no effect.
                unsafe {
                    asm!(concat!("mrrc p15, ", $op1, ", {}, {}, ", $crm),
                        out(reg) low, out(reg) high, options(nomem, nostack, preserves_flags));
                }
                u64::from(low) | u64::from(high) << 32
            }
            /// Writes it.
            #[inline(always)]
            pub fn write(value: u64) {
                // SAFETY: the register affects the execution of EL1 and EL0 only.
                unsafe {
                    asm!(concat!("mcrr p15, ", $op1, ", {}, {}, ", $crm),
                        in(reg) value as u32, in(reg) (value >> 32) as u32,
                        options(nostack, preserves_flags));
                }
            }
        }
    )*};
}

/// Defines registers of other modes, reached by MRS and MSR.
macro_rules! banked {
    ($($name:ident = $asm:literal;)*) => {$(
        #[doc = concat!("`", $asm, "`.")]
        pub struct $name;
        impl $name {
            /// Reads it.
            #[inline(always)]
            pub fn read() -> u32 {
                let value;
                // SAFETY: reading a banked register from HYP mode has no effect.
                unsafe {
                    asm!(".arch_extension virt", concat!("mrs {}, ", $asm),
                        out(reg) value, options(nomem, nostack, preserves_flags));
                }
                value
            }
            /// Writes it.
            #[inline(always)]
            pub fn write(value: u32) {
                // SAFETY: HYP mode does not use the registers of other modes.
                unsafe {
                    asm!(".arch_extension virt", concat!("msr ", $asm, ", {}"),
                        in(reg) value, options(nomem, nostack, preserves_flags));
                }
            }
        }
    )*};
}

pub(super) use {reg32, reg64};

reg32! {
    /// Identity of the core.
    MIDR_EL1 = "0", "c0", "c0", "0";
    /// Cache type: line sizes.
    CTR_EL0 = "0", "c0", "c0", "1";
    /// Affinity of this core.
    MPIDR_EL1 = "0", "c0", "c0", "5";
    /// Which cache CCSIDR describes.
    CSSELR_EL1 = "2", "c0", "c0", "0";
    /// System control.
    SCTLR_EL1 = "0", "c1", "c0", "0";
    /// Auxiliary control; implementation defined.
    ACTLR_EL1 = "0", "c1", "c0", "1";
    /// Coprocessor access control.
    CPACR_EL1 = "0", "c1", "c0", "2";
    /// Translation table base control.
    TCR_EL1 = "0", "c2", "c0", "2";
    /// Domain access control.
    DACR32_EL2 = "0", "c3", "c0", "0";
    /// Data fault status.
    DFSR = "0", "c5", "c0", "0";
    /// Instruction fault status.
    IFSR32_EL2 = "0", "c5", "c0", "1";
    /// Auxiliary data fault status.
    AFSR0_EL1 = "0", "c5", "c1", "0";
    /// Auxiliary instruction fault status.
    AFSR1_EL1 = "0", "c5", "c1", "1";
    /// Data fault address.
    DFAR = "0", "c6", "c0", "0";
    /// Instruction fault address.
    IFAR = "0", "c6", "c0", "2";
    /// Memory attributes, or primary region remap.
    MAIR0 = "0", "c10", "c2", "0";
    /// Memory attributes, or normal memory remap.
    MAIR1 = "0", "c10", "c2", "1";
    /// Auxiliary memory attributes.
    AMAIR0 = "0", "c10", "c3", "0";
    /// Auxiliary memory attributes.
    AMAIR1 = "0", "c10", "c3", "1";
    /// Vector base.
    VBAR_EL1 = "0", "c12", "c0", "0";
    /// Fast context switch extension; zero where there is none.
    FCSEIDR = "0", "c13", "c0", "0";
    /// Context and address space id.
    CONTEXTIDR_EL1 = "0", "c13", "c0", "1";
    /// Thread id, writable at EL0.
    TPIDR_EL0 = "0", "c13", "c0", "2";
    /// Thread id, readable at EL0.
    TPIDRRO_EL0 = "0", "c13", "c0", "3";
    /// Thread id of EL1.
    TPIDR_EL1 = "0", "c13", "c0", "4";
    /// Timer access from EL0.
    CNTKCTL_EL1 = "0", "c14", "c1", "0";
    /// Virtual timer control.
    CNTV_CTL_EL0 = "0", "c14", "c3", "1";
    /// Counter frequency.
    CNTFRQ_EL0 = "0", "c14", "c0", "0";
    /// Virtual processor id.
    VPIDR_EL2 = "4", "c0", "c0", "0";
    /// Virtual multiprocessor id.
    VMPIDR_EL2 = "4", "c0", "c0", "5";
    /// What of EL1 and EL0 traps.
    HCR_EL2 = "4", "c1", "c1", "0";
    /// Debug and PMU traps.
    MDCR_EL2 = "4", "c1", "c1", "1";
    /// Coprocessor traps.
    CPTR_EL2 = "4", "c1", "c1", "2";
    /// CP15 traps by CRn.
    HSTR_EL2 = "4", "c1", "c1", "3";
    /// Stage 2 control.
    VTCR_EL2 = "4", "c2", "c1", "2";
    /// Syndrome of the last exception to HYP.
    ESR_EL2 = "4", "c5", "c2", "0";
    /// Virtual address of the last data abort to HYP.
    HDFAR = "4", "c6", "c0", "0";
    /// Virtual address of the last prefetch abort to HYP.
    HIFAR = "4", "c6", "c0", "2";
    /// Intermediate physical page of the last stage 2 abort.
    HPFAR_EL2 = "4", "c6", "c0", "4";
    /// Access to the physical counter and timer from EL1.
    CNTHCTL_EL2 = "4", "c14", "c1", "0";
    /// Whether interrupts and aborts are pending that are masked here.
    ISR_EL1 = "0", "c12", "c1", "0";
    /// This CPU's software thread id in HYP mode.
    TPIDR_EL2 = "4", "c13", "c0", "2";
    /// Hypervisor timer control.
    CNTHP_CTL_EL2 = "4", "c14", "c2", "1";
}

debug32! {
    /// ThumbEE configuration.
    TEECR = "6", "c0", "c0", "0";
    /// ThumbEE handler base.
    TEEHBR = "6", "c1", "c0", "0";
}

reg64! {
    /// Translation table base 0.
    TTBR0_EL1 = "0", "c2";
    /// Translation table base 1.
    TTBR1_EL1 = "1", "c2";
    /// Result of an address translation operation.
    PAR_EL1 = "0", "c7";
    /// Physical counter.
    CNTPCT_EL0 = "0", "c14";
    /// Virtual timer compare value.
    CNTV_CVAL_EL0 = "3", "c14";
    /// Virtual counter offset.
    CNTVOFF_EL2 = "4", "c14";
    /// Hypervisor timer compare value.
    CNTHP_CVAL_EL2 = "6", "c14";
    /// Stage 2 root and VMID.
    VTTBR_EL2 = "6", "c2";
}

banked! {
    SP_USR = "SP_usr";
    SP_SVC = "SP_svc"; LR_SVC = "LR_svc"; SPSR_SVC = "SPSR_svc";
    SP_ABT = "SP_abt"; LR_ABT = "LR_abt"; SPSR_ABT = "SPSR_abt";
    SP_UND = "SP_und"; LR_UND = "LR_und"; SPSR_UND = "SPSR_und";
    SP_IRQ = "SP_irq"; LR_IRQ = "LR_irq"; SPSR_IRQ = "SPSR_irq";
    R8_FIQ = "R8_fiq"; R9_FIQ = "R9_fiq"; R10_FIQ = "R10_fiq"; R11_FIQ = "R11_fiq";
    R12_FIQ = "R12_fiq"; SP_FIQ = "SP_fiq"; LR_FIQ = "LR_fiq"; SPSR_FIQ = "SPSR_fiq";
}

/// Identification register `index`: CRm 1 and 2, eight each. Those that the architecture has no name
/// for yet read as zero.
pub fn identification(index: usize) -> u32 {
    /// One read each, since the instruction names the register.
    macro_rules! read {
        ($($crm:literal, $op2:literal;)*) => {
            [$({
                fn read() -> u32 {
                    let value;
                    // SAFETY: reading an identification register has no effect.
                    unsafe {
                        asm!(concat!("mrc p15, 0, {}, c0, ", $crm, ", ", $op2), out(reg) value,
                            options(nomem, nostack, preserves_flags));
                    }
                    value
                }
                read as fn() -> u32
            }),*]
        };
    }
    let all: [fn() -> u32; 16] = read! {
        "c1", "0"; "c1", "1"; "c1", "2"; "c1", "3"; "c1", "4"; "c1", "5"; "c1", "6"; "c1", "7";
        "c2", "0"; "c2", "1"; "c2", "2"; "c2", "3"; "c2", "4"; "c2", "5"; "c2", "6"; "c2", "7";
    };
    all[index]()
}
