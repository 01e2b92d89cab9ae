//! ThumbEE registers, which only some cores have and a guest's kernel switches with its threads.
#![allow(unsafe_code)]
// UNSAFETY: the registers are undefined elsewhere.

use super::{
    identity,
    sysregs::{TEECR, TEEHBR},
};

/// A guest's registers.
#[derive(Clone, Default)]
pub struct ThumbEe {
    control: u32,
    handler_base: u32,
}

impl ThumbEe {
    /// Takes them out of the hardware.
    #[inline]
    pub fn save(&mut self) {
        if identity::has_thumbee() {
            // SAFETY: the registers exist.
            unsafe {
                self.control = TEECR::read();
                self.handler_base = TEEHBR::read();
            }
        }
    }

    /// Puts them back.
    #[inline]
    pub fn load(&self) {
        if identity::has_thumbee() {
            // SAFETY: the registers exist.
            unsafe {
                TEECR::write(self.control);
                TEEHBR::write(self.handler_base);
            }
        }
    }
}
