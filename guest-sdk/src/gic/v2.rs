//! Version 2: distributor and CPU interface.
// UNSAFETY: accesses to the controller's registers, in ranges that the device tree names and that
// were mapped for it.
#![allow(unsafe_code)]

use core::ptr::NonNull;

use device_tree::Region;

use super::{LOWEST, PRIORITY, SHARED, register, word_and_bit};
use crate::{arch, mm, mm::tables::MapError};

/// Offsets in the distributor.
mod gicd {
    pub(super) const CTLR: usize = 0x000;
    pub(super) const ISENABLER: usize = 0x100;
    pub(super) const ICENABLER: usize = 0x180;
    pub(super) const IPRIORITYR: usize = 0x400;
    pub(super) const ITARGETSR: usize = 0x800;
    pub(super) const SGIR: usize = 0xf00;
}

/// Offsets in the CPU interface.
mod gicc {
    pub(super) const CTLR: usize = 0x000;
    pub(super) const PMR: usize = 0x004;
    pub(super) const IAR: usize = 0x00c;
    pub(super) const EOIR: usize = 0x010;
}

/// The registers of the controller.
pub(super) struct Gic {
    distributor: NonNull<u8>,
    cpu_interface: NonNull<u8>,
}

// SAFETY: the registers are there for all vCPUs; each access is one load or store.
unsafe impl Send for Gic {}
// SAFETY: as above.
unsafe impl Sync for Gic {}

impl Gic {
    fn read(&self, base: NonNull<u8>, offset: usize) -> u32 {
        // SAFETY: the register may be read.
        unsafe { arch::mmio_read(register(base, offset)) }
    }

    fn write(&self, base: NonNull<u8>, offset: usize, value: u32) {
        // SAFETY: the register may be written; what it does is let interrupts in, or keep them out.
        unsafe { arch::mmio_write(register(base, offset), value) }
    }

    /// Changes one byte of a register of bytes, which is written by words.
    fn set_byte(&self, offset: usize, id: u32, value: u32) {
        let (word, shift) = (offset + (id as usize & !3), 8 * (id % 4));
        let old = self.read(self.distributor, word) & !(0xff << shift);
        self.write(self.distributor, word, old | value << shift);
    }

    /// Finds the controller, and switches its distributor on.
    ///
    /// # Errors
    ///
    /// That its registers cannot be mapped.
    pub(super) fn new(distributor: Region, cpu_interface: Region) -> Result<Self, MapError> {
        let gic = Self {
            distributor: mm::map_device(distributor.base, distributor.size)?,
            cpu_interface: mm::map_device(cpu_interface.base, cpu_interface.size)?,
        };
        gic.write(gic.distributor, gicd::CTLR, 1);
        Ok(gic)
    }

    /// Switches it on for this vCPU.
    pub(super) fn init_cpu(&self) {
        self.write(self.cpu_interface, gicc::PMR, LOWEST);
        self.write(self.cpu_interface, gicc::CTLR, 1);
    }

    pub(super) fn enable(&self, id: u32) {
        let (word, bit) = word_and_bit(id);
        self.write(self.distributor, gicd::ISENABLER + word, bit);
    }

    pub(super) fn disable(&self, id: u32) {
        let (word, bit) = word_and_bit(id);
        self.write(self.distributor, gicd::ICENABLER + word, bit);
    }

    pub(super) fn configure(&self, id: u32) {
        self.set_byte(gicd::IPRIORITYR, id, PRIORITY);
        if id >= SHARED {
            self.set_byte(gicd::ITARGETSR, id, 1);
        }
    }

    pub(super) fn take(&self) -> u32 {
        self.read(self.cpu_interface, gicc::IAR)
    }

    pub(super) fn finish(&self, taken: u32) {
        self.write(self.cpu_interface, gicc::EOIR, taken);
    }

    pub(super) fn send_sgi(&self, cpu: usize, id: u32) {
        const TARGETS: u32 = 16;
        self.write(self.distributor, gicd::SGIR, 1 << (TARGETS + cpu as u32) | id);
    }
}
