//! The instruction that calls the hypervisor.
// UNSAFETY: the instruction itself.
#![allow(unsafe_code)]

use core::arch::asm;

/// Makes a hypercall: number in r12, arguments from r0, result in r0. The others of these may come
/// back as anything.
///
/// # Safety
///
/// As [`crate::hypercall::call`].
#[inline(always)]
pub(crate) unsafe fn hypercall<const N: usize>(nr: usize, args: [usize; N]) -> i64 {
    const { assert!(matches!(N, 1..=3 | 5)) };
    let arg = |i: usize| if i < N { args[i] } else { 0 };
    let result: i32;
    // SAFETY: the caller's promise.
    unsafe {
        match N {
            1 => asm!(".arch_extension virt", "hvc #0xea1",
                inlateout("r0") arg(0) => result, inlateout("r12") nr => _, options(nostack)),
            2 => asm!(".arch_extension virt", "hvc #0xea1",
                inlateout("r0") arg(0) => result, inlateout("r1") arg(1) => _,
                inlateout("r12") nr => _, options(nostack)),
            3 => asm!(".arch_extension virt", "hvc #0xea1",
                inlateout("r0") arg(0) => result, inlateout("r1") arg(1) => _,
                inlateout("r2") arg(2) => _, inlateout("r12") nr => _, options(nostack)),
            _ => asm!(".arch_extension virt", "hvc #0xea1",
                inlateout("r0") arg(0) => result, inlateout("r1") arg(1) => _,
                inlateout("r2") arg(2) => _, inlateout("r3") arg(3) => _,
                inlateout("r4") arg(4) => _, inlateout("r12") nr => _, options(nostack)),
        }
    }
    result.into()
}

/// Makes a call by the SMC Calling Convention, such as PSCI.
///
/// # Safety
///
/// What the function does is all right.
pub(crate) unsafe fn smccc(function: u32, args: [usize; 3]) -> i32 {
    let result;
    // SAFETY: the caller's promise.
    unsafe {
        asm!(
            ".arch_extension virt",
            "hvc #0",
            inlateout("r0") function => result,
            inlateout("r1") args[0] => _,
            inlateout("r2") args[1] => _,
            inlateout("r3") args[2] => _,
            out("r12") _,
            options(nostack),
        );
    }
    result
}
