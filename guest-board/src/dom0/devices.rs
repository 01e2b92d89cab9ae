//! Collects what a device needs.

use alloc::vec::Vec;

use device_tree::gic::{self, Trigger};
use device_tree::{Interrupt, Node, Phandles, Region};
use xen_abi::PAGE_SIZE;

use super::Devices;

impl Devices {
    /// Adds a device's registers and interrupts, and for a PCI host those of what is behind it. What the CPU
    /// does not see, or what is not wired to `gic`, is not for us to map.
    pub(super) fn add<'a>(
        &mut self,
        node: &Node<'a>,
        interrupts: &[Interrupt<'a>],
        gic: &Node<'a>,
        phandles: &Phandles<'a>,
    ) {
        if let Ok(regions) = node.regions() {
            regions.for_each(|region| self.add_mmio(region));
        }
        self.add_interrupts(interrupts, gic);
        if node.str("device_type") == Some("pci") {
            self.add_interrupts(&node.interrupt_map_targets(phandles).unwrap_or_default(), gic);
            self.add_windows(node);
        }
    }

    fn add_windows(&mut self, pci: &Node<'_>) {
        let (Ok(ranges), Some(bus)) = (pci.ranges(), pci.parent()) else { return };
        ranges
            .filter_map(|range| bus.translate(Region { base: range.parent, size: range.size }))
            .for_each(|region| self.add_mmio(region));
    }

    fn add_interrupts(&mut self, interrupts: &[Interrupt<'_>], gic: &Node<'_>) {
        for (intid, trigger) in at_gic(interrupts, gic) {
            self.add_spi(intid, trigger);
        }
    }

    pub(super) fn add_spi(&mut self, intid: u32, trigger: Trigger) {
        if intid >= gic::SPI_BASE && self.spis.iter().all(|(known, _)| *known != intid) {
            self.spis.push((intid, trigger));
        }
    }

    pub(super) fn add_mmio(&mut self, region: Region) {
        if let Some(pages) = pages(region) {
            self.mmio.push(pages);
        }
    }

    /// Puts everything in order.
    pub(super) fn finish(&mut self) {
        self.spis.sort_unstable_by_key(|(intid, _)| *intid);
        self.mmio = merged(core::mem::take(&mut self.mmio));
    }
}

/// Those of some interrupts that arrive at `gic`.
pub(super) fn at_gic(interrupts: &[Interrupt<'_>], gic: &Node<'_>) -> impl Iterator<Item = (u32, Trigger)> {
    let own = interrupts.iter().filter(move |interrupt| interrupt.controller == *gic);
    own.filter_map(|interrupt| gic::decode(&interrupt.cells))
}

/// The private interrupts among some that arrive at `gic`.
pub(super) fn private(interrupts: &[Interrupt<'_>], gic: &Node<'_>) -> Vec<u32> {
    at_gic(interrupts, gic).map(|(intid, _)| intid).filter(|intid| *intid < gic::SPI_BASE).collect()
}

/// The whole pages that a region touches; none for an empty one.
fn pages(region: Region) -> Option<Region> {
    let page = PAGE_SIZE as u64;
    let end = region.end()?.checked_next_multiple_of(page)?;
    let base = region.base - region.base % page;
    (region.size > 0).then_some(Region { base, size: end - base })
}

/// Sorts regions and joins those that overlap or touch.
pub fn merged(mut regions: Vec<Region>) -> Vec<Region> {
    regions.sort_unstable();
    let mut joined: Vec<Region> = Vec::with_capacity(regions.len());
    for region in regions {
        match joined.last_mut() {
            Some(last) if region.base - last.base <= last.size => {
                last.size = last.size.max(region.base - last.base + region.size);
            }
            _ => joined.push(region),
        }
    }
    joined
}
