//! Device registers: one plain load or store each.
#![allow(unsafe_code)]
// UNSAFETY: device registers lie at addresses that Rust knows nothing about.

use crate::{
    arch,
    mm::{tables::MapError, window},
};

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
        // SAFETY: `map` mapped this address as device memory, and `at` checked the offset.
        unsafe { arch::device::load(self.at(offset)) }
    }

    /// Writes the 32-bit register at `offset`.
    #[inline(always)]
    pub fn write(&self, offset: usize, value: u32) {
        // SAFETY: as in `read`; no device behind this type reaches memory by itself.
        unsafe { arch::device::store(self.at(offset), value) }
    }

    /// Writes the 8-bit register at `offset`.
    #[inline(always)]
    pub fn write8(&self, offset: usize, value: u8) {
        // SAFETY: as in `write`.
        unsafe { arch::device::store8(self.at(offset), value) }
    }

    #[inline(always)]
    fn at(&self, offset: usize) -> usize {
        assert!(offset < LEN, "register {offset:#x} of a block of {LEN:#x}");
        // `map` found room for all of it.
        self.base.wrapping_add(offset)
    }
}
