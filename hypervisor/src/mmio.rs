//! Device registers: one plain load or store each.
#![allow(unsafe_code)]
// UNSAFETY: device registers lie at addresses that Rust knows nothing about.

use core::arch::asm;

use crate::mm::{tables::MapError, window};

/// A block of device registers `LEN` bytes long, mapped for good.
#[derive(Clone, Copy, Debug)]
pub struct Registers<const LEN: usize> {
    base: usize,
}

impl<const LEN: usize> Registers<LEN> {
    /// Maps the registers at a physical address.
    pub fn map(pa: u64) -> Result<Self, MapError> {
        Ok(Self { base: window::map_device(pa, LEN as u64)? })
    }

    /// Reads the 32-bit register at `offset`.
    #[inline(always)]
    pub fn read(&self, offset: usize) -> u32 {
        let at = self.at(offset);
        let value;
        // SAFETY: `map` mapped this address as device memory, and `at` checked the offset. A form
        // without writeback, so that a hypervisor below us can emulate it.
        unsafe { asm!("ldr {}, [{}]", out(reg) value, in(reg) at, options(nostack, preserves_flags)) };
        value
    }

    /// Writes the 32-bit register at `offset`.
    #[inline(always)]
    pub fn write(&self, offset: usize, value: u32) {
        let at = self.at(offset);
        // SAFETY: as in `read`; no device behind this type reaches memory by itself.
        unsafe { asm!("str {}, [{}]", in(reg) value, in(reg) at, options(nostack, preserves_flags)) };
    }

    /// Writes the 8-bit register at `offset`.
    #[inline(always)]
    pub fn write8(&self, offset: usize, value: u8) {
        let at = self.at(offset);
        // SAFETY: as in `write`.
        unsafe { asm!("strb {}, [{}]", in(reg) value, in(reg) at, options(nostack, preserves_flags)) };
    }

    #[inline(always)]
    fn at(&self, offset: usize) -> usize {
        assert!(offset < LEN, "register {offset:#x} of a block of {LEN:#x}");
        // `map` found room for all of it.
        self.base.wrapping_add(offset)
    }
}
