//! How a lock is taken on AArch64.
//!
//! It is written out for the waiting alone: that is a function here, which changes no register that the compiler
//! may use meanwhile. To whoever takes a lock it costs one instruction that is hardly ever executed, where
//! a loop would cost ten and a call of the usual kind the registers that it may change.
// UNSAFETY: assembly.

use core::{
    arch::{asm, naked_asm},
    sync::atomic::AtomicBool,
};

/// Sets `held` once it is false.
#[inline(always)]
pub fn acquire(held: &AtomicBool) {
    // SAFETY: x15 is the address of a byte that may be changed through a shared reference, and the exclusive
    // accesses make that an exchange of 0 for 1, with the order of an acquire. Everything that is changed
    // besides, here or in `wait`, is named.
    unsafe {
        asm!(
            "ldaxrb w14, [x15]",
            "cbnz w14, 2f",
            "stxrb w14, w13, [x15]",
            "cbz w14, 3f",
            "2: bl {wait}",
            "3:",
            wait = sym wait,
            in("x15") held.as_ptr(),
            inout("x13") 1 => _,
            out("x14") _,
            out("x30") _,
            options(nostack, preserves_flags),
        );
    }
}

/// The same by a call: two instructions for the caller, who does without five others.
#[inline(always)]
pub fn acquire_by_call(held: &AtomicBool) {
    // SAFETY: as above, with `take` for what is written out there.
    unsafe {
        asm!(
            "bl {take}",
            take = sym take,
            in("x15") held.as_ptr(),
            out("x13") _,
            out("x14") _,
            out("x30") _,
            options(nostack, preserves_flags),
        );
    }
}

/// Exchanges 1 for 0 at x15, waiting if need be. Changes x13 and x14, and nothing else.
#[unsafe(naked)]
extern "C" fn take() {
    naked_asm!(
        "mov w13, 1",
        "ldaxrb w14, [x15]",
        "cbnz w14, {wait}",
        "stxrb w14, w13, [x15]",
        "cbnz w14, {wait}",
        "ret",
        wait = sym wait,
    )
}

/// Exchanges 1, in w13, for 0 at x15 once it is there. Changes x14, and nothing else.
#[unsafe(naked)]
extern "C" fn wait() {
    naked_asm!(
        "2: yield",
        "3: ldrb w14, [x15]",
        "cbnz w14, 2b",
        "ldaxrb w14, [x15]",
        "cbnz w14, 2b",
        "stxrb w14, w13, [x15]",
        "cbnz w14, 3b",
        "ret",
    )
}
