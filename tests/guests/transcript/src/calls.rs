//! The trap itself, with any number in any register.
// UNSAFETY: this program's purpose is to pass arguments that are not valid. What the hypervisor writes to lies in the
// scratch pages, which are accessed by volatile copies only, or is refused.
#![allow(unsafe_code)]

/// A hypercall's number and arguments.
#[derive(Clone, Copy)]
pub struct Call(pub u32, pub [usize; 5]);

/// Makes it; gives the result register, sign-extended.
pub fn make(Call(number, arguments): Call) -> i64 {
    // SAFETY: see the head of this file.
    unsafe { guest_sdk::hypercall::raw(number as usize, arguments) }
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
