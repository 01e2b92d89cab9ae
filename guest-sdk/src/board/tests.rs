use std::vec::Vec;

use vm_fdt::FdtWriter;

use super::*;

/// A tree in the shape that the toolstack gives a guest.
fn guest_tree() -> Vec<u8> {
    let mut w = FdtWriter::new().unwrap();
    let root = w.begin_node("").unwrap();
    w.property_u32("#address-cells", 2).unwrap();
    w.property_u32("#size-cells", 2).unwrap();

    let chosen = w.begin_node("chosen").unwrap();
    w.property_string("bootargs", "a b=c").unwrap();
    w.property_u64("linux,initrd-start", 0x4800_0000).unwrap();
    w.property_u64("linux,initrd-end", 0x4800_1234).unwrap();
    w.end_node(chosen).unwrap();

    let cpus = w.begin_node("cpus").unwrap();
    w.property_u32("#address-cells", 1).unwrap();
    w.property_u32("#size-cells", 0).unwrap();
    for (name, reg) in [("cpu@0", 0), ("cpu@1", 1)] {
        let cpu = w.begin_node(name).unwrap();
        w.property_u32("reg", reg).unwrap();
        w.end_node(cpu).unwrap();
    }
    w.end_node(cpus).unwrap();

    let reserved = w.begin_node("reserved-memory").unwrap();
    w.property_u32("#address-cells", 2).unwrap();
    w.property_u32("#size-cells", 2).unwrap();
    let vram = w.begin_node("vram@200800000").unwrap();
    w.property_array_u64("reg", &[0x2_0080_0000, 0x80_0000]).unwrap();
    w.end_node(vram).unwrap();
    w.end_node(reserved).unwrap();

    for (name, reg) in
        [("memory@40000000", [0x4000_0000, 0xc000_0000]), ("memory@200000000", [0x2_0000_0000, 0x1000_0000])]
    {
        let memory = w.begin_node(name).unwrap();
        w.property_array_u64("reg", &reg).unwrap();
        w.end_node(memory).unwrap();
    }

    let gic = w.begin_node("interrupt-controller@3001000").unwrap();
    w.property_string_list("compatible", Vec::from(["arm,cortex-a15-gic".into()])).unwrap();
    let reg = [0x300_1000, 0x1000, 0x300_2000, 0x2000];
    w.property_array_u64("reg", &reg).unwrap();
    w.end_node(gic).unwrap();

    let timer = w.begin_node("timer").unwrap();
    let interrupts = [1, 13, 0xf08, 1, 14, 0xf08, 1, 11, 0xf08];
    w.property_array_u32("interrupts", &interrupts).unwrap();
    w.end_node(timer).unwrap();

    let hypervisor = w.begin_node("hypervisor").unwrap();
    w.property_array_u64("reg", &[0x3800_0000, 0x100_0000]).unwrap();
    w.property_array_u32("interrupts", &[1, 15, 0xf08]).unwrap();
    w.end_node(hypervisor).unwrap();

    w.end_node(root).unwrap();
    w.finish().unwrap()
}

fn regions<const N: usize>(list: [(u64, u64); N]) -> Regions {
    let region = |(base, size)| Region { base, size };
    list.into_iter().map(region).collect()
}

#[test]
fn a_guest_s_tree_says_all_that_is_needed() {
    let blob = guest_tree();
    let board = Board::read(&Tree::parse(&blob).unwrap()).unwrap();
    let memory = [(0x4000_0000, 0xc000_0000), (0x2_0000_0000, 0x80_0000), (0x2_0100_0000, 0xf00_0000)];
    assert_eq!(board.memory, regions(memory));
    assert_eq!(board.reserved, regions([(0x4800_0000, 0x1234)]));
    assert_eq!(board.vcpus.as_slice(), [0, 1]);
    assert_eq!((board.timer, board.events), (Some(27), Some(31)));
    assert_eq!(board.grant_table.unwrap().base, 0x3800_0000);
    let distributor = Region { base: 0x300_1000, size: 0x1000 };
    let cpu_interface = Region { base: 0x300_2000, size: 0x2000 };
    assert_eq!(board.controller, Some(Controller::V2 { distributor, cpu_interface }));
    assert_eq!(board.cpu_on, None);
}

#[test]
fn what_is_taken_out_of_ranges_is_gone_from_all() {
    let start = [(0x1000, 0x1000), (0x4000, 0x4000)];
    for (hole, left) in [
        ((0x5000, 0x1000), &[(0x1000, 0x1000), (0x4000, 0x1000), (0x6000, 0x2000)][..]),
        ((0x1800, 0x3000), &[(0x1000, 0x800), (0x4800, 0x3800)]),
        ((0, u64::MAX), &[]),
        ((0x2000, 0x2000), &start),
        ((0x4000, 0), &start),
    ] {
        let mut list = regions(start);
        let (base, size) = hole;
        subtract(&mut list, Region { base, size });
        let got: Vec<_> = list.iter().map(|r| (r.base, r.size)).collect();
        let mut merged = got.clone();
        // A hole of nothing may split a range without losing anything.
        merged.dedup_by(|b, a| {
            a.0 + a.1 == b.0 && {
                a.1 += b.1;
                true
            }
        });
        assert_eq!(merged, left, "{hole:x?}");
    }
}

#[test]
fn pages_are_rounded_inwards_to_use_and_outwards_to_avoid() {
    let region = |base, size| Region { base, size };
    assert_eq!(whole_pages(region(0x1001, 0x2fff), 1 << 32), Some((0x2000, 0x4000)));
    assert_eq!(whole_pages(region(0x1001, 0xfff), 1 << 32), None);
    let beyond = region(0xffff_f000, 0x10_0000);
    assert_eq!(whole_pages(beyond, 1 << 32), Some((0xffff_f000, 1 << 32)));
    assert_eq!(whole_pages(region(u64::MAX, 5), 1 << 32), None);
    assert_eq!(touched_pages(region(0x1fff, 2)), region(0x1000, 0x2000));
    assert_eq!(touched_pages(region(0x1000, 0x1000)), region(0x1000, 0x1000));
}
