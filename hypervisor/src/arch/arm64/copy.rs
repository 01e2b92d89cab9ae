//! Copying general registers, at each switch: memcpy takes twice as many instructions.
#![allow(unsafe_code)]
// UNSAFETY: the copy is done by assembly.

use core::arch::global_asm;

use super::Regs;

global_asm!(include_str!("copy.S"), size = const size_of::<Regs>());

// What `copy.S` expects.
const _: () = assert!(size_of::<Regs>() % 16 == 8);

unsafe extern "C" {
    #[link_name = "copy_regs"]
    fn copy(to: &mut Regs, from: &Regs);
}

/// Copies them.
#[inline(always)]
pub fn copy_regs(to: &mut Regs, from: &Regs) {
    // SAFETY: reads and writes one value of the type.
    unsafe { copy(to, from) }
}
