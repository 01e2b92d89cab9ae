//! AArch32.
// UNSAFETY: system registers, and exception vectors of our own.
#![allow(unsafe_code)]

use core::arch::{asm, global_asm};

global_asm!(
    ".pushsection .text.bench_vectors, \"ax\"",
    ".arm",
    ".balign 32",
    "bench_vectors:",
    "b .",
    "b .",
    "b .",
    "b .",
    "b .",
    "b .",
    "b 2f",
    "b .",
    "2:",
    "sub lr, lr, #4",
    "srsdb sp!, #0x13",
    "cps #0x13",
    "push {{r0-r3, r12, lr}}",
    "and r1, sp, #4", // the interrupted code may have had its stack at any word
    "sub sp, sp, r1",
    "push {{r1, r2}}",
    "bl {handler}",
    "pop {{r1, r2}}",
    "add sp, sp, r1",
    "pop {{r0-r3, r12, lr}}",
    "rfeia sp!",
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
        asm!("mrc p15, 0, {old}, c12, c0, 0", "mcr p15, 0, {new}, c12, c0, 0", "isb", old = out(reg) old,
            new = in(reg) new, options(nostack));
    }
    old
}

// Device registers are not accessed with the link register: below a 64-bit hypervisor QEMU 7.2 names User
// mode's as the one that was used.

/// Reads a register of a device, or a word of shared memory.
pub fn load(at: usize) -> u32 {
    let value;
    // SAFETY: each caller names a register that may be read; the SDK has mapped it, at its own address.
    unsafe { asm!("ldr r0, [{}]", in(reg) at, out("r0") value, options(nostack)) };
    value
}

/// Writes one.
pub fn store(at: usize, value: u32) {
    // SAFETY: each caller names a register, or a word of the shared page, that may be written.
    unsafe { asm!("str r0, [{}]", in(reg) at, in("r0") value, options(nostack)) };
}

/// Reads an identification register that traps: ID_PFR0.
pub fn read_identification() -> usize {
    let value;
    // SAFETY: reads a register.
    unsafe { asm!("mrc p15, 0, {}, c0, c1, 0", out(reg) value, options(nostack)) };
    value
}

/// The value of the virtual counter.
pub fn counter() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: reads a register.
    unsafe { asm!("isb", "mrrc p15, 1, {}, {}, c14", out(reg) low, out(reg) high, options(nostack)) };
    u64::from(high) << 32 | u64::from(low)
}

/// The value of the physical counter.
pub fn physical_counter() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: reads a register, which Xen lets guests see.
    unsafe { asm!("isb", "mrrc p15, 0, {}, {}, c14", out(reg) low, out(reg) high, options(nostack)) };
    u64::from(high) << 32 | u64::from(low)
}

/// Ticks of the counters in a second.
pub fn counter_hz() -> u32 {
    let value;
    // SAFETY: reads a register.
    unsafe { asm!("mrc p15, 0, {}, c14, c0, 0", out(reg) value, options(nomem, nostack)) };
    value
}

/// Sets the virtual timer's control.
pub fn set_timer_control(value: u32) {
    // SAFETY: the timer is ours.
    unsafe { asm!("mcr p15, 0, {}, c14, c3, 1", "isb", in(reg) value, options(nomem, nostack)) };
}

/// Sets when the virtual timer is due.
pub fn set_timer(at: u64) {
    let (low, high) = (at as u32, (at >> 32) as u32);
    // SAFETY: the timer is ours; its interrupt is handled.
    unsafe { asm!("mcrr p15, 3, {}, {}, c14", in(reg) low, in(reg) high, options(nomem, nostack)) };
}

/// Keeps interrupts out.
pub fn mask() {
    // SAFETY: keeps interrupts out.
    unsafe { asm!("cpsid i", options(nostack)) };
}

/// Lets them in.
pub fn unmask() {
    // SAFETY: whoever calls this has a handler in place.
    unsafe { asm!("cpsie i", "isb", options(nostack)) };
}

/// Waits for an interrupt.
pub fn wait() {
    // SAFETY: it only waits.
    unsafe { asm!("dsb", "wfi", options(nostack)) };
}

/// GICv3, ICC_SGI1R: interrupts CPUs.
pub fn send_sgi(value: u32) {
    // SAFETY: an interrupt that is handled.
    unsafe { asm!("mcrr p15, 0, {}, {}, c12", in(reg) value, in(reg) 0, options(nostack)) };
}

/// GICv3, ICC_IAR1: takes an interrupt.
pub fn take() -> u32 {
    let taken;
    // SAFETY: what is taken is finished.
    unsafe { asm!("mrc p15, 0, {}, c12, c12, 0", out(reg) taken, options(nostack)) };
    taken
}

/// GICv3, ICC_EOIR1: ends it.
pub fn finish(taken: u32) {
    // SAFETY: it was taken.
    unsafe { asm!("mcr p15, 0, {}, c12, c12, 1", in(reg) taken, options(nostack)) };
}
