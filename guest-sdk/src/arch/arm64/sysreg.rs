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
