//! AArch64.
// UNSAFETY: system registers, and exception vectors of our own.
#![allow(unsafe_code)]

use core::arch::{asm, global_asm};

global_asm!(
    ".pushsection .text.bench_vectors, \"ax\"",
    ".balign 2048",
    "bench_vectors:",
    "b .",
    ".balign 128", // an interrupt of code that runs on SP_EL0, as the SDK has it
    "sub sp, sp, #160",
    "stp x0, x1, [sp]",
    "stp x2, x3, [sp, #16]",
    "stp x4, x5, [sp, #32]",
    "stp x6, x7, [sp, #48]",
    "stp x8, x9, [sp, #64]",
    "stp x10, x11, [sp, #80]",
    "stp x12, x13, [sp, #96]",
    "stp x14, x15, [sp, #112]",
    "stp x16, x17, [sp, #128]",
    "stp x18, x30, [sp, #144]",
    "bl {handler}",
    "ldp x18, x30, [sp, #144]",
    "ldp x16, x17, [sp, #128]",
    "ldp x14, x15, [sp, #112]",
    "ldp x12, x13, [sp, #96]",
    "ldp x10, x11, [sp, #80]",
    "ldp x8, x9, [sp, #64]",
    "ldp x6, x7, [sp, #48]",
    "ldp x4, x5, [sp, #32]",
    "ldp x2, x3, [sp, #16]",
    "ldp x0, x1, [sp], #160",
    "eret",
    ".rept 14",
    ".balign 128",
    "b .",
    ".endr",
    ".popsection",
    handler = sym crate::lean::interrupt,
);

/// Puts vectors in; gives those that were there.
///
/// # Safety
///
/// They handle what comes.
pub unsafe fn exchange_vectors(new: usize) -> usize {
    let old;
    // SAFETY: passed on.
    unsafe {
        asm!("mrs {old}, vbar_el1", "msr vbar_el1, {new}", "isb", old = out(reg) old, new = in(reg) new,
            options(nostack));
    }
    old
}

/// Reads a register of a device, or a word of shared memory.
pub fn load(at: usize) -> u32 {
    let value;
    // SAFETY: each caller names a register that may be read; the SDK has mapped it, at its own address.
    unsafe { asm!("ldr {:w}, [{}]", out(reg) value, in(reg) at, options(nostack)) };
    value
}

/// Writes one.
pub fn store(at: usize, value: u32) {
    // SAFETY: each caller names a register, or a word of the shared page, that may be written.
    unsafe { asm!("str {:w}, [{}]", in(reg) value, in(reg) at, options(nostack)) };
}

/// Reads an identification register that traps: ID_AA64PFR0.
pub fn read_identification() -> usize {
    let value;
    // SAFETY: reads a register.
    unsafe { asm!("mrs {}, id_aa64pfr0_el1", out(reg) value, options(nostack)) };
    value
}

/// The value of the virtual counter.
pub fn counter() -> u64 {
    let value;
    // SAFETY: reads a register.
    unsafe { asm!("isb", "mrs {}, cntvct_el0", out(reg) value, options(nostack)) };
    value
}

/// The value of the physical counter.
pub fn physical_counter() -> u64 {
    let value;
    // SAFETY: reads a register, which Xen lets guests see.
    unsafe { asm!("isb", "mrs {}, cntpct_el0", out(reg) value, options(nostack)) };
    value
}

/// Ticks of the counters in a second.
pub fn counter_hz() -> u32 {
    let value: u64;
    // SAFETY: reads a register.
    unsafe { asm!("mrs {}, cntfrq_el0", out(reg) value, options(nomem, nostack)) };
    value as u32
}

/// Sets the virtual timer's control.
pub fn set_timer_control(value: u32) {
    // SAFETY: the timer is ours.
    unsafe { asm!("msr cntv_ctl_el0, {:x}", "isb", in(reg) value, options(nomem, nostack)) };
}

/// Sets when the virtual timer is due.
pub fn set_timer(at: u64) {
    // SAFETY: the timer is ours; its interrupt is handled.
    unsafe { asm!("msr cntv_cval_el0, {}", in(reg) at, options(nomem, nostack)) };
}

/// Keeps interrupts out.
pub fn mask() {
    // SAFETY: keeps interrupts out.
    unsafe { asm!("msr daifset, #2", options(nostack)) };
}

/// Lets them in.
pub fn unmask() {
    // SAFETY: whoever calls this has a handler in place.
    unsafe { asm!("msr daifclr, #2", "isb", options(nostack)) };
}

/// Waits for an interrupt.
pub fn wait() {
    // SAFETY: it only waits.
    unsafe { asm!("dsb sy", "wfi", options(nostack)) };
}

/// GICv3, ICC_SGI1R_EL1: interrupts CPUs.
pub fn send_sgi(value: u32) {
    // SAFETY: an interrupt that is handled.
    unsafe { asm!("msr icc_sgi1r_el1, {:x}", "isb", in(reg) value, options(nostack)) };
}

/// GICv3, ICC_IAR1_EL1: takes an interrupt.
pub fn take() -> u32 {
    let taken: u64;
    // SAFETY: what is taken is finished.
    unsafe { asm!("mrs {}, icc_iar1_el1", out(reg) taken, options(nostack)) };
    taken as u32
}

/// GICv3, ICC_EOIR1_EL1: ends it.
pub fn finish(taken: u32) {
    // SAFETY: it was taken.
    unsafe { asm!("msr icc_eoir1_el1, {:x}", in(reg) taken, options(nostack)) };
}
