//! The interrupt controller, and addresses where nothing is: every offset, size and kind of access.

use guest_sdk::abi::arch::layout;
use log::error;

use crate::{calls::Tally, probe};

/// Offsets of the distributor that are put back afterwards.
const CTLR: usize = 0;
const ISENABLER: usize = 0x100;
const ICENABLER: usize = 0x180;
const ICPENDR: usize = 0x280;
const IPRIORITYR: usize = 0x400;

/// Where a board has nothing for a guest.
const NOTHING: [u64; 3] = [layout::VPCI_ECAM_BASE, layout::ACPI_BASE, layout::PL011_BASE];

fn load(tally: &mut Tally, address: usize, size: u8) {
    tally.made += 1;
    tally.refused += u32::from(probe::load(address, size).is_none());
}

fn store(tally: &mut Tally, address: usize, size: u8, value: u32) {
    tally.made += 1;
    tally.refused += u32::from(!probe::store(address, size, value));
}

fn forms(tally: &mut Tally, address: usize) {
    tally.made += 11;
    tally.refused += probe::mmio_forms(address);
}

/// Does all that.
pub fn run() -> Tally {
    let mut tally = Tally::default();
    let gic = layout::GICD_BASE as usize;
    let masked = probe::mask_interrupts();
    let saved = Saved::of(gic);
    for offset in 0..0x1000 {
        for size in [1, 2, 4] {
            load(&mut tally, gic + offset, size);
        }
    }
    for value in [u32::MAX, 0, 0x0302_01ff, 0x8000_0001] {
        for offset in (0..0x1000).filter(|offset| !is_sgir(*offset)) {
            store(&mut tally, gic + offset, 1 << (offset % 3), value);
        }
        // Software interrupts to whoever there is, by every filter.
        for filter in 0..4 {
            store(&mut tally, gic + 0xf00, 4, filter << 24 | value & 0xff_800f);
        }
        saved.put_back(gic);
    }
    for offset in (0..0x1000).step_by(64) {
        forms(&mut tally, gic + offset);
    }
    saved.put_back(gic);
    drop(masked);
    for address in NOTHING {
        match mapped(address) {
            Some(at) => nothing(&mut tally, at),
            None => error!("hostile: WRONG: {address:#x} is not mapped"),
        }
    }
    tally
}

/// Where a page of addresses is mapped for this; nowhere on the host.
fn mapped(address: u64) -> Option<usize> {
    #[cfg(target_os = "none")]
    return guest_sdk::memory::map_device(address, 0x1000).ok().map(|at| at.as_ptr() as usize);
    #[cfg(not(target_os = "none"))]
    return usize::try_from(address).ok().filter(|_| false);
}

/// GICD_SGIR, which is written by word and on purpose only.
fn is_sgir(offset: usize) -> bool {
    offset / 4 == 0xf00 / 4
}

fn nothing(tally: &mut Tally, address: usize) {
    for offset in [0, 1, 2, 4, 0x7fc, 0xffc] {
        for size in [1, 2, 4] {
            load(tally, address + offset, size);
            store(tally, address + offset, size, u32::MAX);
        }
    }
    forms(tally, address);
}

/// What makes this vCPU's interrupts work.
struct Saved {
    enabled: u32,
    priorities: [u32; 8],
}

impl Saved {
    fn of(gic: usize) -> Self {
        let word = |offset| probe::load(gic + offset, 4).unwrap_or(0);
        Self { enabled: word(ISENABLER), priorities: core::array::from_fn(|n| word(IPRIORITYR + 4 * n)) }
    }

    fn put_back(&self, gic: usize) {
        probe::store(gic + ICENABLER, 4, !self.enabled);
        probe::store(gic + ISENABLER, 4, self.enabled);
        probe::store(gic + ICPENDR, 4, !self.enabled);
        for (n, priorities) in self.priorities.iter().enumerate() {
            probe::store(gic + IPRIORITYR + 4 * n, 4, *priorities);
        }
        // Version 3 has its other bit for this.
        probe::store(gic + CTLR, 4, 3);
    }
}
