//! The interrupt controller, version 2: distributor and CPU interface.
// UNSAFETY: accesses to the controller's registers, in ranges that the device tree names and that
// were mapped for it.
#![allow(unsafe_code)]

use core::ptr::NonNull;

use device_tree::Region;
use spin::Once;

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

/// The id that says that there is no interrupt.
const SPURIOUS: u32 = 1020;
/// All interrupts have the same priority, and are let through.
const PRIORITY: u32 = 0xa0;
const LOWEST: u32 = 0xff;

/// The registers of the controller.
struct Gic {
    distributor: NonNull<u8>,
    cpu_interface: NonNull<u8>,
}

// SAFETY: the registers are there for all vCPUs; each access is one load or store.
unsafe impl Send for Gic {}
// SAFETY: as above.
unsafe impl Sync for Gic {}

static GIC: Once<Gic> = Once::new();

/// An interrupt that was taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taken(u32);

impl Taken {
    /// Its id.
    pub(crate) fn id(self) -> u32 {
        self.0 & 0x3ff
    }
}

fn register(base: NonNull<u8>, offset: usize) -> NonNull<u32> {
    // SAFETY: the offsets lie in the ranges that were mapped.
    unsafe { base.add(offset).cast() }
}

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
}

/// Finds the controller, and switches it on for vCPU 0.
///
/// # Errors
///
/// That its registers cannot be mapped.
pub(crate) fn init(distributor: Region, cpu_interface: Region) -> Result<(), MapError> {
    let gic = Gic {
        distributor: mm::map_device(distributor.base, distributor.size)?,
        cpu_interface: mm::map_device(cpu_interface.base, cpu_interface.size)?,
    };
    gic.write(gic.distributor, gicd::CTLR, 1);
    GIC.call_once(|| gic);
    init_cpu();
    Ok(())
}

fn gic() -> &'static Gic {
    GIC.get().expect("interrupts are used after they are set up")
}

/// Switches it on for this vCPU.
pub(crate) fn init_cpu() {
    let gic = gic();
    gic.write(gic.cpu_interface, gicc::PMR, LOWEST);
    gic.write(gic.cpu_interface, gicc::CTLR, 1);
}

/// Lets an interrupt in. For those private to a vCPU, to this one.
pub(crate) fn enable(id: u32) {
    let (word, bit) = (id as usize / 32 * 4, 1 << (id % 32));
    let gic = gic();
    gic.write(gic.distributor, gicd::ISENABLER + word, bit);
}

/// Sets up an interrupt: its priority and, if it is one for all, that it comes to vCPU 0.
pub(crate) fn configure(id: u32) {
    /// The first interrupt that is not private to a vCPU.
    const SHARED: u32 = 32;
    let gic = gic();
    gic.set_byte(gicd::IPRIORITYR, id, PRIORITY);
    if id >= SHARED {
        gic.set_byte(gicd::ITARGETSR, id, 1);
    }
}

/// Keeps an interrupt out.
pub(crate) fn disable(id: u32) {
    let (word, bit) = (id as usize / 32 * 4, 1 << (id % 32));
    let gic = gic();
    gic.write(gic.distributor, gicd::ICENABLER + word, bit);
}

/// Takes the interrupt that is due, if there is one.
pub(crate) fn take() -> Option<Taken> {
    let gic = gic();
    let taken = Taken(gic.read(gic.cpu_interface, gicc::IAR));
    (taken.id() < SPURIOUS).then_some(taken)
}

/// Is done with an interrupt.
pub(crate) fn finish(taken: Taken) {
    let gic = gic();
    gic.write(gic.cpu_interface, gicc::EOIR, taken.0);
}

/// Interrupts another vCPU.
pub(crate) fn send_sgi(cpu: usize, id: u32) {
    const TARGETS: u32 = 16;
    // What the other one is to see is there before it looks.
    arch::barrier();
    let gic = gic();
    gic.write(gic.distributor, gicd::SGIR, 1 << (TARGETS + cpu as u32) | id);
}
