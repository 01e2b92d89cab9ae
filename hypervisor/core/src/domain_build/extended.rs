//! Addresses at which a domain whose frame numbers are the machine's maps the memory of others.
//!
//! They are Xen's (`find_unallocated_memory`), but that the tree's list of reservations is left out too.

use alloc::vec::Vec;
use core::ops::Range;

use device_tree::Tree;
use guest_board::{Arch, Region, extended_regions};

use crate::{
    Hypervisor,
    host::{
        Error,
        chosen::Chosen,
        memory::{self, Ranges},
    },
    machine::Machine,
    p2m::IPA_BITS,
};

impl<M: Machine> Hypervisor<M> {
    /// Where a domain whose addresses are the machine's is to map others' memory. Without, it gives up memory of its own
    /// for that, as one of 32 bits does always.
    pub(super) fn extended_regions<'a>(
        &self,
        arch: Arch,
        tree: &Tree<'a>,
        chosen: &Chosen<'a>,
        used: Vec<Region>,
    ) -> Vec<Region> {
        if !self.options.ext_regions || arch == Arch::Arm32 {
            return Vec::new();
        }
        let regions = regions(tree, chosen, used)
            .inspect_err(|why| log::warn!("no extended regions: {why}"))
            .unwrap_or_default();
        for region in &regions {
            log::info!("extended region: {:#x}-{:#x}", region.base, region.base + region.size - 1);
        }
        regions
    }
}

/// RAM of the board that is neither `used` by the domain, nor firmware's, nor set aside for a guest: no device is there,
/// and the domain never has that RAM at its own address.
fn regions<'a>(
    tree: &Tree<'a>,
    chosen: &Chosen<'a>,
    mut used: Vec<Region>,
) -> Result<Vec<Region>, Error<'a>> {
    let mut unused = Ranges::of_ram(tree)?;
    memory::reserved(tree, |range| unused.remove(range))?;
    memory::all_set_aside(chosen, |range| unused.remove(range))?;
    used.extend(tree.reservations());
    for region in used {
        unused.remove(range(region))?;
    }
    unused.remove(1 << IPA_BITS..u64::MAX)?;
    Ok(extended_regions(unused.as_slice()))
}

fn range(region: Region) -> Range<u64> {
    region.base..region.base.saturating_add(region.size)
}

#[cfg(test)]
mod tests {
    use alloc::{format, vec, vec::Vec};

    use device_tree::Writer;

    use super::*;

    const MIB: u64 = 1 << 20;
    const NONE: Region = Region { base: 0, size: 0 };

    fn region(base: u64, size: u64) -> Region {
        Region { base, size }
    }

    fn found(ram: &[Region], reserved: &[Region], banks: &[Region], grants: Region) -> Vec<Region> {
        let mut writer = Writer::new([region(0x7000_0000, 0x1000)], 0);
        writer.begin_node("").u32("#address-cells", 2).u32("#size-cells", 2);
        writer.begin_node("memory").str("device_type", "memory").regions("reg", ram).end_node();
        writer.begin_node("reserved-memory").u32("#address-cells", 2).u32("#size-cells", 2);
        writer.property("ranges", &[]);
        for (n, region) in reserved.iter().enumerate() {
            writer.begin_node(&format!("firmware@{n}")).regions("reg", &[*region]).end_node();
        }
        writer.end_node().end_node();
        let blob = writer.finish();
        let tree = Tree::parse(&blob).unwrap();
        regions(&tree, &Chosen::of(&tree), [banks, &[grants]].concat()).unwrap()
    }

    #[test]
    fn what_memory_firmware_and_grant_table_leave_is_found() {
        let ram = [region(0x4000_0000, 1024 * MIB), region(0x8_0000_0000, 128 * MIB)];
        let reserved = [region(0x5000_0000, 0x1000)];
        let banks = [region(0x4800_0000, 64 * MIB), region(0x8_0000_0000, 65 * MIB)];
        let expected = [
            region(0x4000_0000, 128 * MIB),
            region(0x4c00_0000, 64 * MIB),
            region(0x5020_0000, 510 * MIB),
            region(0x7020_0000, 190 * MIB),
        ];
        assert_eq!(found(&ram, &reserved, &banks, region(0x7c00_0000 + MIB, 0x4_0000)), expected);
    }

    #[test]
    fn what_is_set_aside_for_a_guest_is_left_to_it() {
        let mut writer = Writer::new([], 0);
        writer.begin_node("").u32("#address-cells", 2).u32("#size-cells", 2);
        writer.begin_node("memory").str("device_type", "memory");
        writer.regions("reg", &[region(0x4000_0000, 256 * MIB)]).end_node();
        writer.begin_node("chosen").begin_node("domU1").str("compatible", "xen,domain");
        writer.regions("xen,static-mem", &[region(0x4400_0000, 64 * MIB)]);
        writer.end_node().end_node().end_node();
        let blob = writer.finish();
        let tree = Tree::parse(&blob).unwrap();
        let found = regions(&tree, &Chosen::of(&tree), vec![]).unwrap();
        assert_eq!(found, [region(0x4000_0000, 64 * MIB), region(0x4800_0000, 128 * MIB)]);
    }

    #[test]
    fn pieces_that_are_small_once_they_are_aligned_are_left() {
        let piece = |base, size| found(&[region(base, size)], &[], &[], NONE);
        assert_eq!(piece(0x4000_0000, 64 * MIB), [region(0x4000_0000, 64 * MIB)]);
        assert_eq!(piece(0x4000_0000, 64 * MIB - 1), []);
        assert_eq!(piece(0x4000_0001, 65 * MIB), []);
        assert_eq!(piece(0x4000_0001, 66 * MIB - 1), [region(0x4020_0000, 64 * MIB)]);
    }

    #[test]
    fn trees_of_overlaps_and_overflows_give_nothing_beyond_what_there_is() {
        let ram = [
            region(0x4000_0000, 256 * MIB),
            region(0x4800_0000, 512 * MIB),
            region(u64::MAX - 0xfff, 0x10_0000),
            region(0xff_0000_0000, 0x2_0000_0000),
        ];
        // The last one is none, as it has no end; nor is the third of RAM.
        let reserved = [region(0x4800_0fff, 2), region(0x4800_0000, 0x2000), region(0x6000_0000, u64::MAX)];
        assert_eq!(
            found(&ram, &reserved, &[], NONE),
            [
                region(0x4000_0000, 128 * MIB),
                region(0x4820_0000, 510 * MIB),
                region(0xff_0000_0000, 4096 * MIB)
            ]
        );
        assert_eq!(
            found(&ram, &[], &[region(0, 0xff_8000_0000)], NONE),
            [region(0xff_8000_0000, 2048 * MIB)]
        );
        assert_eq!(found(&ram, &[region(0, u64::MAX)], &[], NONE), vec![]);
    }

    #[test]
    fn more_pieces_than_are_told_apart_are_an_error() {
        let ram = [region(0x4000_0000, 0x8000_0000)];
        let mut writer = Writer::new([], 0);
        writer.begin_node("").u32("#address-cells", 2).u32("#size-cells", 2);
        writer.begin_node("memory").str("device_type", "memory").regions("reg", &ram).end_node().end_node();
        let blob = writer.finish();
        let banks: Vec<_> = (0..40).map(|n| region(0x4010_0000 + n * 32 * MIB, MIB)).collect();
        let tree = Tree::parse(&blob).unwrap();
        let error = regions(&tree, &Chosen::of(&tree), banks).unwrap_err();
        assert!(matches!(error, Error::TooManyRanges), "{error}");
    }
}
