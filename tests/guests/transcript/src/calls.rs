//! The trap itself, with any number in any register.
// UNSAFETY: this program's purpose is to pass arguments that are not valid. What the hypervisor writes to lies in the
// scratch pages, which are accessed by volatile copies only, or is refused.
#![allow(unsafe_code)]

/// A hypercall's number and arguments.
#[derive(Clone, Copy)]
pub struct Call(pub u32, pub [usize; 5]);

/// Makes it; gives the result register, sign-extended.
#[cfg(all(target_os = "none", target_arch = "arm"))]
pub fn make(Call(number, [a, b, c, d, e]): Call) -> i64 {
    let result: i32;
    // SAFETY: see the head of this file.
    unsafe {
        core::arch::asm!(
            ".arch_extension virt",
            "hvc #0xea1",
            inout("r0") a => result,
            inout("r1") b => _,
            inout("r2") c => _,
            inout("r3") d => _,
            inout("r4") e => _,
            inout("r12") number => _,
        );
    }
    result.into()
}

/// Makes it; gives the result register.
#[cfg(all(target_os = "none", target_arch = "aarch64"))]
pub fn make(Call(number, [a, b, c, d, e]): Call) -> i64 {
    let result: i64;
    // SAFETY: see the head of this file.
    unsafe {
        core::arch::asm!(
            "hvc #0xea1",
            inout("x0") a => result,
            inout("x1") b => _,
            inout("x2") c => _,
            inout("x3") d => _,
            inout("x4") e => _,
            inout("x16") u64::from(number) => _,
        );
    }
    result
}

/// There is no hypervisor on the host, which knows no call.
#[cfg(not(target_os = "none"))]
pub fn make(Call(number, arguments): Call) -> i64 {
    let _ = (number, arguments);
    guest_sdk::abi::Errno::ENOSYS.to_ret()
}

/// Copies bytes to the scratch pages.
pub fn store(at: usize, bytes: &[u8]) {
    for (index, byte) in bytes.iter().enumerate() {
        // SAFETY: the caller names a part of the scratch pages that has memory.
        unsafe { ((at + index) as *mut u8).write_volatile(*byte) };
    }
}

/// Reads the aligned word at an address in the scratch pages.
pub fn load(at: usize) -> u32 {
    // SAFETY: the caller names a part of the scratch pages that has memory.
    unsafe { (at as *const u32).read_volatile() }
}
