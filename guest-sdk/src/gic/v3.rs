//! Version 3: distributor, a redistributor for each vCPU, and the CPU interface in system registers.
//! Source: Arm IHI 0069, chapter 12.
// UNSAFETY: accesses to the controller's registers, in ranges that the device tree names and that
// were mapped for it.
#![allow(unsafe_code)]

use core::{
    ptr::NonNull,
    sync::atomic::{AtomicUsize, Ordering},
};

use device_tree::Region;

use super::{LOWEST, PRIORITY, SHARED, register, word_and_bit};
use crate::{arch, board::Regions, boot, mm, mm::tables::MapError, smp::MAX_VCPUS};

/// Offsets in the distributor; those for single interrupts are the same in a redistributor's second
/// frame.
mod gicd {
    pub(super) const CTLR: usize = 0x000;
    pub(super) const IGROUPR: usize = 0x080;
    pub(super) const ISENABLER: usize = 0x100;
    pub(super) const ICENABLER: usize = 0x180;
    pub(super) const IPRIORITYR: usize = 0x400;
    pub(super) const IROUTER: usize = 0x6000;
}

/// Offsets in a redistributor.
mod gicr {
    pub(super) const TYPER: usize = 0x008;
    pub(super) const TYPER_AFFINITY: usize = 0x00c;
    pub(super) const WAKER: usize = 0x014;
    /// The second frame, for a vCPU's private interrupts.
    pub(super) const SGI_FRAME: usize = 0x10000;
}

/// The registers of the controller.
pub(super) struct Gic {
    distributor: NonNull<u8>,
    redistributors: Regions,
    /// Each vCPU's own redistributor, once it has found it.
    own: [AtomicUsize; MAX_VCPUS],
}

// SAFETY: the registers are there for all vCPUs; each access is one load or store.
unsafe impl Send for Gic {}
// SAFETY: as above.
unsafe impl Sync for Gic {}

fn read(base: NonNull<u8>, offset: usize) -> u32 {
    // SAFETY: the register may be read.
    unsafe { arch::mmio_read(register(base, offset)) }
}

fn write(base: NonNull<u8>, offset: usize, value: u32) {
    // SAFETY: the register may be written; what it does is let interrupts in, or keep them out.
    unsafe { arch::mmio_write(register(base, offset), value) }
}

impl Gic {
    /// Finds the controller, and switches its distributor on.
    ///
    /// # Errors
    ///
    /// That its registers cannot be mapped.
    pub(super) fn new(distributor: Region, redistributors: &Regions) -> Result<Self, MapError> {
        /// Affinity routing; interrupts of group 1, in either view.
        const ON: u32 = 1 << 4 | 1 << 1 | 1;
        for region in redistributors {
            mm::map_device(region.base, region.size)?;
        }
        let distributor = mm::map_device(distributor.base, distributor.size)?;
        write(distributor, gicd::CTLR, ON);
        let own = [const { AtomicUsize::new(0) }; MAX_VCPUS];
        Ok(Self { distributor, redistributors: redistributors.clone(), own })
    }

    /// Switches it on for this vCPU.
    pub(super) fn init_cpu(&self) {
        const PROCESSOR_SLEEP: u32 = 1 << 1;
        const CHILDREN_ASLEEP: u32 = 1 << 2;
        let own = self.find(arch::affinity()).expect("each vCPU has a redistributor");
        let waker = read(own, gicr::WAKER);
        write(own, gicr::WAKER, waker & !PROCESSOR_SLEEP);
        while read(own, gicr::WAKER) & CHILDREN_ASLEEP != 0 {}
        self.own[arch::cpu()].store(own.as_ptr() as usize, Ordering::Relaxed);
        arch::gic_cpu_on(LOWEST);
    }

    /// The redistributor of the vCPU with an affinity.
    fn find(&self, affinity: u32) -> Option<NonNull<u8>> {
        const LAST: u32 = 1 << 4;
        const VIRTUAL_LPIS: u32 = 1 << 1;
        for region in &self.redistributors {
            let mut at = region.base;
            while at < region.base + region.size {
                let frame = NonNull::new(at as usize as *mut u8)?;
                let kind = read(frame, gicr::TYPER);
                if read(frame, gicr::TYPER_AFFINITY) == affinity {
                    return Some(frame);
                }
                if kind & LAST != 0 {
                    break;
                }
                at += if kind & VIRTUAL_LPIS != 0 { 0x40000 } else { 0x20000 };
            }
        }
        None
    }

    /// Where the registers of an interrupt are.
    fn bank(&self, id: u32) -> NonNull<u8> {
        if id >= SHARED {
            return self.distributor;
        }
        let own = self.own[arch::cpu()].load(Ordering::Relaxed) + gicr::SGI_FRAME;
        NonNull::new(own as *mut u8).unwrap_or(self.distributor)
    }

    pub(super) fn enable(&self, id: u32) {
        let (word, bit) = word_and_bit(id);
        write(self.bank(id), gicd::ISENABLER + word, bit);
    }

    pub(super) fn disable(&self, id: u32) {
        let (word, bit) = word_and_bit(id);
        write(self.bank(id), gicd::ICENABLER + word, bit);
    }

    pub(super) fn configure(&self, id: u32) {
        let (bank, (word, bit)) = (self.bank(id), word_and_bit(id));
        let group = gicd::IGROUPR + word;
        write(bank, group, read(bank, group) | bit);
        let (priority, shift) = (gicd::IPRIORITYR + (id as usize & !3), 8 * (id % 4));
        write(bank, priority, read(bank, priority) & !(0xff << shift) | PRIORITY << shift);
        if id >= SHARED {
            let (low, high) = route(boot::vcpu_affinity(0).unwrap_or(0));
            let router = gicd::IROUTER + 8 * id as usize;
            write(bank, router, low);
            write(bank, router + 4, high);
        }
    }

    pub(super) fn take(&self) -> u32 {
        arch::gic_take()
    }

    pub(super) fn finish(&self, taken: u32) {
        arch::gic_finish(taken);
    }

    pub(super) fn send_sgi(&self, cpu: usize, id: u32) {
        if let Some(affinity) = boot::vcpu_affinity(cpu) {
            arch::gic_send(sgi(affinity, id));
        }
    }
}

/// An affinity as a device tree has it, in the two words of GICD_IROUTER.
fn route(affinity: u32) -> (u32, u32) {
    (affinity & 0xff_ffff, affinity >> 24)
}

/// ICC_SGI1R for one vCPU.
fn sgi(affinity: u32, id: u32) -> u64 {
    let level = |n: u32| u64::from(affinity >> (8 * n) & 0xff);
    level(3) << 48 | level(2) << 32 | u64::from(id) << 24 | level(1) << 16 | 1 << (level(0) & 0xf)
}
