//! System registers, one function each, and nothing else. Source: Arm ARM DDI 0487 D17, D13.
// UNSAFETY: each block is one MRS, MSR, AT or TLBI; why it is safe stands there.
#![allow(unsafe_code)]

use core::arch::asm;

/// TPIDR_EL1: which vCPU this is.
#[inline]
pub(crate) fn cpu() -> usize {
    let value;
    // SAFETY: reads a register.
    unsafe { asm!("mrs {}, tpidr_el1", out(reg) value, options(nomem, nostack)) };
    value
}

/// TPIDR_EL1: says which vCPU this is.
pub(crate) fn set_cpu(value: usize) {
    // SAFETY: the register is ours to use.
    unsafe { asm!("msr tpidr_el1, {}", in(reg) value, options(nomem, nostack)) };
}

/// CNTVCT_EL0: virtual counter.
#[inline]
pub(crate) fn cntvct() -> u64 {
    let value;
    // SAFETY: reads a register.
    unsafe { asm!("isb", "mrs {}, cntvct_el0", out(reg) value, options(nomem, nostack)) };
    value
}

/// CNTFRQ_EL0: frequency of the counters.
pub(crate) fn cntfrq() -> u32 {
    let value: u64;
    // SAFETY: reads a register.
    unsafe { asm!("mrs {}, cntfrq_el0", out(reg) value, options(nomem, nostack)) };
    value as u32
}

/// CNTV_CVAL_EL0: when the virtual timer fires.
pub(crate) fn set_cntv_cval(value: u64) {
    // SAFETY: the timer is ours; its interrupt is handled.
    unsafe { asm!("msr cntv_cval_el0, {}", in(reg) value, options(nomem, nostack)) };
}

/// CNTV_CTL_EL0: whether it does.
pub(crate) fn set_cntv_ctl(value: u32) {
    // SAFETY: as above.
    unsafe { asm!("msr cntv_ctl_el0, {:x}", "isb", in(reg) value, options(nomem, nostack)) };
}

/// AT S1E1R and PAR_EL1: the physical address that a read of `va` would go to.
pub(crate) fn translate(va: usize) -> Option<u64> {
    const FAULT: u64 = 1;
    const FRAME: u64 = 0x0000_ffff_ffff_f000;
    let result: u64;
    let flags = super::irq_save();
    // SAFETY: asks the MMU; nothing else uses PAR_EL1, with interrupts masked.
    unsafe {
        asm!("at s1e1r, {va}", "isb", "mrs {result}, par_el1",
             va = in(reg) va, result = out(reg) result, options(nostack));
    }
    super::irq_restore(flags);
    (result & FAULT == 0).then_some(result & FRAME | va as u64 & 0xfff)
}

/// TLBI VAAE1IS: forgets the translation of a page on all CPUs.
pub(crate) fn tlbi_page(va: u64) {
    // SAFETY: forgetting translations is always right.
    unsafe { asm!("dsb ish", "tlbi vaae1is, {}", in(reg) va >> 12, options(nostack)) };
}

/// TLBI VMALLE1IS: forgets all translations on all CPUs.
pub(crate) fn tlbi_all() {
    // SAFETY: as above.
    unsafe { asm!("dsb ish", "tlbi vmalle1is", options(nostack)) };
}

/// SCTLR_EL1.WXN: memory that can be written is never executed.
pub(crate) fn set_wxn() {
    const WXN: u64 = 1 << 19;
    // SAFETY: no code of ours lies in writable memory.
    unsafe {
        asm!("mrs {t}, sctlr_el1", "orr {t}, {t}, {wxn}", "msr sctlr_el1, {t}", "isb",
             t = out(reg) _, wxn = in(reg) WXN, options(nostack));
    }
}

/// ESR_EL1 and FAR_EL1: why the last exception was taken, and at which address.
pub(super) fn fault() -> (u64, u64) {
    let (syndrome, address);
    // SAFETY: reads registers.
    unsafe {
        asm!("mrs {}, esr_el1", "mrs {}, far_el1", out(reg) syndrome, out(reg) address, options(nomem, nostack));
    }
    (syndrome, address)
}

/// MPIDR_EL1: this vCPU's affinity, as GICR_TYPER has it.
pub(crate) fn affinity() -> u32 {
    let value: u64;
    // SAFETY: reads a register.
    unsafe { asm!("mrs {}, mpidr_el1", out(reg) value, options(nomem, nostack)) };
    (value >> 32 << 24) as u32 | value as u32 & 0xff_ffff
}

/// ICC_SRE_EL1, ICC_PMR_EL1, ICC_IGRPEN1_EL1: lets interrupts above a priority through.
pub(crate) fn gic_cpu_on(lowest: u32) {
    // SAFETY: handlers are in place before interrupts are let in.
    unsafe {
        asm!("msr icc_sre_el1, {sre}", "isb", "msr icc_pmr_el1, {lowest:x}", "msr icc_igrpen1_el1, {on}", "isb",
             sre = in(reg) 7u64, lowest = in(reg) lowest, on = in(reg) 1u64, options(nostack));
    }
}

/// ICC_IAR1_EL1: takes an interrupt.
pub(crate) fn gic_take() -> u32 {
    let value: u64;
    // SAFETY: what it takes is given back by `gic_finish`.
    unsafe { asm!("mrs {}, icc_iar1_el1", "dsb sy", out(reg) value, options(nostack)) };
    value as u32
}

/// ICC_EOIR1_EL1: is done with an interrupt.
pub(crate) fn gic_finish(taken: u32) {
    // SAFETY: it was taken.
    unsafe { asm!("msr icc_eoir1_el1, {:x}", "isb", in(reg) taken, options(nostack)) };
}

/// ICC_SGI1R_EL1: interrupts other vCPUs.
pub(crate) fn gic_send(value: u64) {
    // SAFETY: they handle it.
    unsafe { asm!("msr icc_sgi1r_el1, {}", "isb", in(reg) value, options(nostack)) };
}
