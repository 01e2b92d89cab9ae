//! Floating-point and Advanced SIMD registers.
#![allow(unsafe_code)]
// UNSAFETY: the registers are reached by assembly only.

use core::arch::global_asm;

global_asm!(include_str!("fp.S"));

unsafe extern "C" {
    fn save_fp(to: &mut Fp);
    fn load_fp(from: &Fp);
}

/// A guest's registers. `fp.S` knows the layout.
#[derive(Clone)]
#[repr(C, align(16))]
pub struct Fp {
    q: [u128; 32],
    fpsr: u64,
    fpcr: u64,
}

impl Fp {
    /// As at reset.
    pub const fn new() -> Self {
        Self { q: [0; 32], fpsr: 0, fpcr: 0 }
    }

    /// Takes them out of the hardware.
    #[inline(always)]
    pub fn save(&mut self) {
        // SAFETY: stores to `self`; CPTR_EL2 does not trap the registers.
        unsafe { save_fp(self) }
    }

    /// Puts them back.
    #[inline(always)]
    pub fn load(&self) {
        // SAFETY: loads from `self`; the hypervisor uses none of these registers itself.
        unsafe { load_fp(self) }
    }
}
