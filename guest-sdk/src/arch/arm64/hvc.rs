//! The instruction that calls the hypervisor.
// UNSAFETY: the instruction itself.
#![allow(unsafe_code)]

use core::arch::asm;

/// Makes a hypercall: number in x16, arguments from x0, result in x0. The others of these may come
/// back as anything.
///
/// # Safety
///
/// As [`crate::hypercall::call`].
#[inline(always)]
pub(crate) unsafe fn hypercall<const N: usize>(nr: usize, args: [usize; N]) -> i64 {
    const { assert!(matches!(N, 1..=3 | 5)) };
    let arg = |i: usize| if i < N { args[i] } else { 0 };
    let result: i64;
    // SAFETY: the caller's promise.
    unsafe {
        match N {
            1 => asm!("hvc #0xea1",
                inlateout("x0") arg(0) => result, inlateout("x16") nr => _, options(nostack)),
            2 => asm!("hvc #0xea1",
                inlateout("x0") arg(0) => result, inlateout("x1") arg(1) => _,
                inlateout("x16") nr => _, options(nostack)),
            3 => asm!("hvc #0xea1",
                inlateout("x0") arg(0) => result, inlateout("x1") arg(1) => _,
                inlateout("x2") arg(2) => _, inlateout("x16") nr => _, options(nostack)),
            _ => asm!("hvc #0xea1",
                inlateout("x0") arg(0) => result, inlateout("x1") arg(1) => _,
                inlateout("x2") arg(2) => _, inlateout("x3") arg(3) => _,
                inlateout("x4") arg(4) => _, inlateout("x16") nr => _, options(nostack)),
        }
    }
    result
}

/// Makes a call by the SMC Calling Convention, such as PSCI.
///
/// # Safety
///
/// What the function does is all right.
pub(crate) unsafe fn smccc(function: u32, args: [usize; 3]) -> i32 {
    let result: u64;
    // SAFETY: the caller's promise. The convention lets x4 to x17 come back as anything.
    unsafe {
        asm!(
            "hvc #0",
            inlateout("x0") u64::from(function) => result,
            inlateout("x1") args[0] => _,
            inlateout("x2") args[1] => _,
            inlateout("x3") args[2] => _,
            out("x4") _, out("x5") _, out("x6") _, out("x7") _, out("x8") _, out("x9") _, out("x10") _,
            out("x11") _, out("x12") _, out("x13") _, out("x14") _, out("x15") _, out("x16") _,
            out("x17") _,
            options(nostack),
        );
    }
    result as i32
}
