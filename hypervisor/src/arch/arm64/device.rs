//! Loads and stores of device registers: one plain instruction each, in a form without writeback, so
//! that a hypervisor below us can emulate it.
#![allow(unsafe_code)]
// UNSAFETY: device registers lie at addresses that Rust knows nothing about.

use core::arch::asm;

/// Reads a word. A plain load among exclusive ones can stop a Cortex-A57 for good (832075, up to r1p2); with acquire
/// semantics it does not, and costs no more.
///
/// # Safety
///
/// The address is mapped as device memory, and aligned.
#[inline(always)]
pub unsafe fn load(at: usize) -> u32 {
    let value;
    // SAFETY: mapped, says our caller.
    unsafe { asm!("ldar {:w}, [{}]", out(reg) value, in(reg) at, options(nostack, preserves_flags)) };
    value
}

/// Writes a word.
///
/// # Safety
///
/// As for [`load`]; the device does not reach memory of ours because of it.
#[inline(always)]
pub unsafe fn store(at: usize, value: u32) {
    // SAFETY: mapped, says our caller.
    unsafe { asm!("str {:w}, [{}]", in(reg) value, in(reg) at, options(nostack, preserves_flags)) };
}

/// Writes a byte.
///
/// # Safety
///
/// As for [`store`].
#[inline(always)]
pub unsafe fn store8(at: usize, value: u8) {
    // SAFETY: mapped, says our caller.
    unsafe { asm!("strb {:w}, [{}]", in(reg) value, in(reg) at, options(nostack, preserves_flags)) };
}
