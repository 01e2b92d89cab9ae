//! System registers of AArch64.
//!
//! Registers that only a guest's execution depends on are written by safe functions: what they
//! hold cannot break what Rust relies on here. The hypervisor's own regime is behind `unsafe`.
#![allow(unsafe_code)]
#![allow(non_camel_case_types)]
// UNSAFETY: system registers are reached by assembly only.

use core::arch::asm;

/// What a register holds that is of the state's own width.
pub type Word = u64;

/// Defines one register as a type with `read` and `write`.
macro_rules! registers {
    ($($(#[$doc:meta])* $name:ident = $asm:literal;)*) => {$(
        $(#[$doc])*
        pub struct $name;
        #[allow(dead_code, reason = "each register has both directions, few need both")]
        impl $name {
            /// Reads it.
            #[inline(always)]
            pub fn read() -> u64 {
                let value;
                // SAFETY: reading this register has no effect.
                unsafe {
                    asm!(concat!("mrs {}, ", $asm), out(reg) value,
                        options(nomem, nostack, preserves_flags));
                }
                value
            }
            /// Writes it.
            #[inline(always)]
            pub fn write(value: u64) {
                // SAFETY: the register affects the execution of EL1 and EL0 only.
                unsafe {
                    asm!(concat!("msr ", $asm, ", {}"), in(reg) value, options(nostack, preserves_flags));
                }
            }
        }
    )*};
}

/// Defines one register that is read only.
macro_rules! constants {
    ($($(#[$doc:meta])* $name:ident = $asm:literal;)*) => {$(
        $(#[$doc])*
        pub struct $name;
        impl $name {
            /// Reads it.
            #[inline(always)]
            pub fn read() -> u64 {
                let value;
                // SAFETY: reading this register has no effect.
                unsafe {
                    asm!(concat!("mrs {}, ", $asm), out(reg) value,
                        options(nomem, nostack, preserves_flags));
                }
                value
            }
        }
    )*};
}

constants! {
    /// Identity of the core.
    MIDR_EL1 = "midr_el1";
    /// Affinity of this core.
    MPIDR_EL1 = "mpidr_el1";
    /// Cache type: line sizes.
    CTR_EL0 = "ctr_el0";
    /// Block of zeroes: its size.
    DCZID_EL0 = "dczid_el0";
    /// Memory model: size of physical addresses.
    ID_AA64MMFR0_EL1 = "id_aa64mmfr0_el1";
    /// Processor features 0.
    ID_AA64PFR0_EL1 = "id_aa64pfr0_el1";
    /// Memory model features 1.
    ID_AA64MMFR1_EL1 = "id_aa64mmfr1_el1";
    /// Instruction set attributes 2, which the assembler does not know by name.
    ID_AA64ISAR2_EL1 = "S3_0_C0_C6_2";
    /// Whether interrupts and aborts are pending that are masked here.
    ISR_EL1 = "isr_el1";
    /// Counter frequency.
    CNTFRQ_EL0 = "cntfrq_el0";
    /// Physical counter.
    CNTPCT_EL0 = "cntpct_el0";
    /// Syndrome of the last exception to EL2.
    ESR_EL2 = "esr_el2";
    /// Virtual address of the last abort to EL2.
    FAR_EL2 = "far_el2";
    /// Intermediate physical page of the last stage 2 abort.
    HPFAR_EL2 = "hpfar_el2";
}

registers! {
    /// Stack pointer of EL0.
    SP_EL0 = "sp_el0";
    /// Stack pointer of EL1.
    SP_EL1 = "sp_el1";
    /// Where EL1 returns to.
    ELR_EL1 = "elr_el1";
    /// Processor state it returns to; that of Supervisor mode in AArch32.
    SPSR_EL1 = "spsr_el1";
    /// AArch32: that of Abort mode.
    SPSR_ABT = "spsr_abt";
    /// AArch32: that of Undefined mode.
    SPSR_UND = "spsr_und";
    /// AArch32: that of IRQ mode.
    SPSR_IRQ = "spsr_irq";
    /// AArch32: that of FIQ mode.
    SPSR_FIQ = "spsr_fiq";
    /// Which cache CCSIDR describes.
    CSSELR_EL1 = "csselr_el1";
    /// System control.
    SCTLR_EL1 = "sctlr_el1";
    /// Auxiliary control; implementation defined.
    ACTLR_EL1 = "actlr_el1";
    /// Access to floating point and SIMD.
    CPACR_EL1 = "cpacr_el1";
    /// Translation control.
    TCR_EL1 = "tcr_el1";
    /// Translation table base 0.
    TTBR0_EL1 = "ttbr0_el1";
    /// Translation table base 1.
    TTBR1_EL1 = "ttbr1_el1";
    /// AArch32: domain access control.
    DACR32_EL2 = "dacr32_el2";
    /// AArch32: instruction fault status.
    IFSR32_EL2 = "ifsr32_el2";
    /// AArch32: floating-point exception control.
    FPEXC32_EL2 = "fpexc32_el2";
    /// Auxiliary fault status 0.
    AFSR0_EL1 = "afsr0_el1";
    /// Auxiliary fault status 1.
    AFSR1_EL1 = "afsr1_el1";
    /// Syndrome of EL1; AArch32's data fault status.
    ESR_EL1 = "esr_el1";
    /// Fault address of EL1; AArch32's data and, above, instruction fault address.
    FAR_EL1 = "far_el1";
    /// Memory attributes.
    MAIR_EL1 = "mair_el1";
    /// Auxiliary memory attributes.
    AMAIR_EL1 = "amair_el1";
    /// Vector base.
    VBAR_EL1 = "vbar_el1";
    /// Result of an address translation operation.
    PAR_EL1 = "par_el1";
    /// Context and address space id.
    CONTEXTIDR_EL1 = "contextidr_el1";
    /// Thread id, writable at EL0.
    TPIDR_EL0 = "tpidr_el0";
    /// Thread id, readable at EL0.
    TPIDRRO_EL0 = "tpidrro_el0";
    /// Thread id of EL1.
    TPIDR_EL1 = "tpidr_el1";
    /// Timer access from EL0.
    CNTKCTL_EL1 = "cntkctl_el1";
    /// Virtual timer control.
    CNTV_CTL_EL0 = "cntv_ctl_el0";
    /// Virtual timer compare value.
    CNTV_CVAL_EL0 = "cntv_cval_el0";
    /// Virtual processor id.
    VPIDR_EL2 = "vpidr_el2";
    /// Virtual multiprocessor id.
    VMPIDR_EL2 = "vmpidr_el2";
    /// What of EL1 and EL0 traps.
    HCR_EL2 = "hcr_el2";
    /// Debug and PMU traps.
    MDCR_EL2 = "mdcr_el2";
    /// Floating point, SVE and trace traps.
    CPTR_EL2 = "cptr_el2";
    /// AArch32: CP15 traps by CRn.
    HSTR_EL2 = "hstr_el2";
    /// Stage 2 control.
    VTCR_EL2 = "vtcr_el2";
    /// Stage 2 root and VMID.
    VTTBR_EL2 = "vttbr_el2";
    /// Access to the physical counter and timer from EL1.
    CNTHCTL_EL2 = "cnthctl_el2";
    /// Virtual counter offset.
    CNTVOFF_EL2 = "cntvoff_el2";
    /// Hypervisor timer control.
    CNTHP_CTL_EL2 = "cnthp_ctl_el2";
    /// Hypervisor timer compare value.
    CNTHP_CVAL_EL2 = "cnthp_cval_el2";
    /// This CPU's software thread id in EL2.
    TPIDR_EL2 = "tpidr_el2";
}

/// Identification register `index`: CRm 1 to 7, eight each. Those that the architecture has no name
/// for yet read as zero.
pub fn identification(index: usize) -> u64 {
    /// One read each, since the instruction names the register.
    macro_rules! read {
        ($($crm:literal)*) => {
            [$(
                read!(@ $crm, "_0"), read!(@ $crm, "_1"), read!(@ $crm, "_2"), read!(@ $crm, "_3"),
                read!(@ $crm, "_4"), read!(@ $crm, "_5"), read!(@ $crm, "_6"), read!(@ $crm, "_7"),
            )*]
        };
        (@ $crm:literal, $op2:literal) => {{
            fn read() -> u64 {
                let value;
                // SAFETY: reading an identification register has no effect.
                unsafe {
                    asm!(concat!("mrs {}, S3_0_C0_C", $crm, $op2), out(reg) value,
                        options(nomem, nostack, preserves_flags));
                }
                value
            }
            read as fn() -> u64
        }};
    }
    let all: [fn() -> u64; 56] = read! { "1" "2" "3" "4" "5" "6" "7" };
    all[index]()
}
