//! Coprocessor registers, one function each, and nothing else. Source: Arm ARM DDI 0406C B3.17,
//! B4.1, B8.
// UNSAFETY: each block is one MRC, MCR, MRRC or MCRR; why it is safe stands there.
#![allow(unsafe_code)]

use core::arch::asm;

/// TPIDRPRW: which vCPU this is.
#[inline]
pub(crate) fn cpu() -> usize {
    let value;
    // SAFETY: reads a register.
    unsafe { asm!("mrc p15, 0, {}, c13, c0, 4", out(reg) value, options(nomem, nostack)) };
    value
}

/// TPIDRPRW: says which vCPU this is.
pub(crate) fn set_cpu(value: usize) {
    // SAFETY: the register is ours to use.
    unsafe { asm!("mcr p15, 0, {}, c13, c0, 4", in(reg) value, options(nomem, nostack)) };
}

/// CNTVCT: virtual counter.
#[inline]
pub(crate) fn cntvct() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: reads a register.
    unsafe {
        asm!("isb", "mrrc p15, 1, {}, {}, c14", out(reg) low, out(reg) high, options(nomem, nostack));
    }
    u64::from(high) << 32 | u64::from(low)
}

/// CNTFRQ: frequency of the counters.
pub(crate) fn cntfrq() -> u32 {
    let value;
    // SAFETY: reads a register.
    unsafe { asm!("mrc p15, 0, {}, c14, c0, 0", out(reg) value, options(nomem, nostack)) };
    value
}

/// CNTV_CVAL: when the virtual timer fires.
pub(crate) fn set_cntv_cval(value: u64) {
    let (low, high) = (value as u32, (value >> 32) as u32);
    // SAFETY: the timer is ours; its interrupt is handled.
    unsafe { asm!("mcrr p15, 3, {}, {}, c14", in(reg) low, in(reg) high, options(nomem, nostack)) };
}

/// CNTV_CTL: whether it does.
pub(crate) fn set_cntv_ctl(value: u32) {
    // SAFETY: as above.
    unsafe { asm!("mcr p15, 0, {}, c14, c3, 1", "isb", in(reg) value, options(nomem, nostack)) };
}

/// ATS1CPR and PAR: the physical address that a read of `va` would go to.
pub(crate) fn translate(va: usize) -> Option<u64> {
    const FAULT: u32 = 1;
    const PAGE_OFFSET: u32 = 0xfff;
    let (low, high): (u32, u32);
    let flags = super::irq_save();
    // SAFETY: asks the MMU; nothing else uses PAR, with interrupts masked.
    unsafe {
        asm!(
            "mcr p15, 0, {va}, c7, c8, 0",
            "isb",
            "mrrc p15, 0, {low}, {high}, c7",
            va = in(reg) va,
            low = out(reg) low,
            high = out(reg) high,
            options(nostack),
        );
    }
    super::irq_restore(flags);
    if low & FAULT != 0 {
        return None;
    }
    let high = u64::from(high & 0xff) << 32;
    Some(high | u64::from(low & !PAGE_OFFSET) | u64::from(va as u32 & PAGE_OFFSET))
}

/// TLBIMVAAIS: forgets the translation of a page on all CPUs.
pub(crate) fn tlbi_page(va: u64) {
    // SAFETY: forgetting translations is always right.
    unsafe { asm!("dsb ish", "mcr p15, 0, {}, c8, c3, 3", in(reg) va as u32, options(nostack)) };
}

/// TLBIALLIS: forgets all translations on all CPUs.
pub(crate) fn tlbi_all() {
    // SAFETY: as above.
    unsafe { asm!("dsb ish", "mcr p15, 0, {}, c8, c3, 0", in(reg) 0, options(nostack)) };
}

/// SCTLR.WXN: memory that can be written is never executed.
pub(crate) fn set_wxn() {
    const WXN: u32 = 1 << 19;
    // SAFETY: no code of ours lies in writable memory.
    unsafe {
        asm!(
            "mrc p15, 0, {t}, c1, c0, 0",
            "orr {t}, {t}, {wxn}",
            "mcr p15, 0, {t}, c1, c0, 0",
            "isb",
            t = out(reg) _,
            wxn = in(reg) WXN,
            options(nostack),
        );
    }
}

/// DFSR and DFAR: why and where the last data access failed.
pub(super) fn data_fault() -> (u32, u32) {
    let (status, address);
    // SAFETY: reads registers.
    unsafe {
        asm!("mrc p15, 0, {}, c5, c0, 0", "mrc p15, 0, {}, c6, c0, 0",
             out(reg) status, out(reg) address, options(nomem, nostack));
    }
    (status, address)
}

/// IFSR and IFAR: why and where the last instruction fetch failed.
pub(super) fn instruction_fault() -> (u32, u32) {
    let (status, address);
    // SAFETY: reads registers.
    unsafe {
        asm!("mrc p15, 0, {}, c5, c0, 1", "mrc p15, 0, {}, c6, c0, 2",
             out(reg) status, out(reg) address, options(nomem, nostack));
    }
    (status, address)
}

/// MPIDR: this vCPU's affinity, as GICR_TYPER has it.
pub(crate) fn affinity() -> u32 {
    let value: u32;
    // SAFETY: reads a register.
    unsafe { asm!("mrc p15, 0, {}, c0, c0, 5", out(reg) value, options(nomem, nostack)) };
    value & 0xff_ffff
}

/// ICC_SRE, ICC_PMR, ICC_IGRPEN1: lets interrupts above a priority through.
pub(crate) fn gic_cpu_on(lowest: u32) {
    // SAFETY: handlers are in place before interrupts are let in.
    unsafe {
        asm!("mcr p15, 0, {sre}, c12, c12, 5", "isb", "mcr p15, 0, {lowest}, c4, c6, 0",
             "mcr p15, 0, {on}, c12, c12, 7", "isb",
             sre = in(reg) 7, lowest = in(reg) lowest, on = in(reg) 1, options(nostack));
    }
}

/// ICC_IAR1: takes an interrupt.
pub(crate) fn gic_take() -> u32 {
    let value;
    // SAFETY: what it takes is given back by `gic_finish`.
    unsafe { asm!("mrc p15, 0, {}, c12, c12, 0", "dsb", out(reg) value, options(nostack)) };
    value
}

/// ICC_EOIR1: is done with an interrupt.
pub(crate) fn gic_finish(taken: u32) {
    // SAFETY: it was taken.
    unsafe { asm!("mcr p15, 0, {}, c12, c12, 1", "isb", in(reg) taken, options(nostack)) };
}

/// ICC_SGI1R: interrupts other vCPUs.
pub(crate) fn gic_send(value: u64) {
    let (low, high) = (value as u32, (value >> 32) as u32);
    // SAFETY: they handle it.
    unsafe { asm!("mcrr p15, 0, {}, {}, c12", "isb", in(reg) low, in(reg) high, options(nostack)) };
}
