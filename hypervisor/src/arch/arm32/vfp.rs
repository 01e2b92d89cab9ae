//! VFP and Advanced SIMD registers.
#![allow(unsafe_code)]
// UNSAFETY: the registers are reached by assembly only.

use core::{
    arch::{asm, global_asm},
    mem::offset_of,
};

global_asm!(
    include_str!("vfp.S"),
    fpscr = const offset_of!(Vfp, fpscr),
    fpexc = const offset_of!(Vfp, fpexc),
    enable = const 1 << 30,
);

unsafe extern "C" {
    fn save_vfp(to: &mut Vfp);
    fn load_vfp(from: &Vfp);
}

/// MVFR0 and MVFR1.
pub fn identification() -> [u32; 2] {
    let (mvfr0, mvfr1): (u32, u32);
    // SAFETY: identification registers can be read whether or not the unit is enabled; HCPTR does
    // not trap the coprocessor.
    unsafe {
        asm!(".fpu neon", "vmrs {}, mvfr0", "vmrs {}, mvfr1", out(reg) mvfr0, out(reg) mvfr1,
            options(nomem, nostack, preserves_flags));
    }
    [mvfr0, mvfr1]
}

/// A guest's registers. `vfp.S` knows the layout.
#[derive(Clone)]
#[repr(C)]
pub struct Vfp {
    d: [u64; 32],
    fpscr: u32,
    fpexc: u32,
}

impl Vfp {
    /// As at reset.
    pub const fn new() -> Self {
        Self { d: [0; 32], fpscr: 0, fpexc: 0 }
    }

    /// Takes them out of the hardware.
    #[inline(always)]
    pub fn save(&mut self) {
        // SAFETY: stores to `self`, as many registers as there are.
        unsafe { save_vfp(self) }
    }

    /// Puts them back.
    #[inline(always)]
    pub fn load(&self) {
        // SAFETY: loads from `self`; the hypervisor uses none of these registers itself.
        unsafe { load_vfp(self) }
    }
}
