extern crate std;

use std::{string::ToString, vec, vec::Vec};

use device_tree::{Phandles, Region, Tree, Writer};

use super::{
    chosen::{self, Chosen, ModuleKind},
    devices::{Nodes, Psci, Timer, processors},
    gic::Gic,
    memory::{self, Ranges},
};

/// A tree whose root has two cells for addresses and sizes.
fn tree(fill: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut writer = Writer::new([Region { base: 0x4800_0000, size: 0x2000 }], 0);
    writer.begin_node("");
    writer.u32("#address-cells", 2).u32("#size-cells", 2);
    fill(&mut writer);
    writer.end_node();
    writer.finish()
}

fn module(writer: &mut Writer, name: &str, compatible: &[&str], base: u64, args: Option<&str>) {
    writer.begin_node(name);
    writer.strs("compatible", compatible);
    writer.regions("reg", &[Region { base, size: 0x1000 }]);
    if let Some(args) = args {
        writer.str("bootargs", args);
    }
    writer.end_node();
}

fn chosen_node(writer: &mut Writer, fill: impl FnOnce(&mut Writer)) {
    writer.begin_node("chosen");
    writer.u32("#address-cells", 2).u32("#size-cells", 2);
    fill(writer);
    writer.end_node();
}

fn ranges(of: &[core::ops::Range<u64>]) -> Ranges {
    let mut ranges = Ranges::default();
    for range in of {
        ranges.add(range.clone()).unwrap();
    }
    ranges
}

#[test]
fn ranges_that_touch_become_one() {
    let ranges = ranges(&[10..20, 40..50, 20..30, 45..60]);
    assert_eq!(ranges.as_slice(), [10..30, 40..60]);
    assert_eq!(ranges.total(), 40);
}

#[test]
fn a_hole_splits_what_it_lies_in() {
    let mut ranges = ranges(&[10..30, 40..60]);
    ranges.remove(20..50).unwrap();
    ranges.remove(52..53).unwrap();
    ranges.remove(0..5).unwrap();
    assert_eq!(ranges.as_slice(), [10..20, 50..52, 53..60]);
}

#[test]
fn partial_pages_are_dropped() {
    let mut ranges = ranges(&[1..0x1000, 0x1800..0x4800, 0x5000..u64::MAX]);
    ranges.keep_whole_pages(0x1000);
    assert_eq!(ranges.as_slice(), [0x2000..0x4000, 0x5000..!0xfff]);
}

#[test]
fn memory_in_too_many_pieces_is_an_error() {
    let mut ranges = Ranges::default();
    ranges.add(0..1000).unwrap();
    let split = (0..100).map(|n| ranges.remove(n * 10..n * 10 + 1));
    assert!(split.filter_map(Result::err).count() > 0);
}

#[test]
fn ram_is_found_by_type_or_name() {
    let blob = tree(|writer| {
        for (name, kind) in [("memory@40000000", Some("memory")), ("ram@8000000000", Some("memory"))] {
            writer.begin_node(name);
            kind.map(|kind| writer.str("device_type", kind));
            let base = u64::from_str_radix(name.split_once('@').unwrap().1, 16).unwrap();
            writer.regions("reg", &[Region { base, size: 0x1000_0000 }]);
            writer.end_node();
        }
        writer.begin_node("memory-controller@1000").end_node();
    });
    let ram = Ranges::of_ram(&Tree::parse(&blob).unwrap()).unwrap();
    assert_eq!(ram.as_slice(), [0x4000_0000..0x5000_0000, 0x80_0000_0000..0x80_1000_0000]);
}

#[test]
fn a_tree_without_memory_is_refused() {
    let blob = tree(|_| {});
    let error = Ranges::of_ram(&Tree::parse(&blob).unwrap()).unwrap_err();
    assert_eq!(error.to_string(), "the device tree has no memory");
}

#[test]
fn reserved_memory_and_modules_of_all_domains_are_listed() {
    let blob = tree(|writer| {
        writer.begin_node("reserved-memory");
        writer.u32("#address-cells", 2).u32("#size-cells", 2).property("ranges", &[]);
        writer.begin_node("firmware@50000000");
        writer.regions("reg", &[Region { base: 0x5000_0000, size: 0x10_0000 }]);
        writer.end_node();
        writer.begin_node("anywhere").u64("size", 0x1000).end_node();
        writer.end_node();
        chosen_node(writer, |writer| {
            module(writer, "module@0", &["multiboot,module"], 0x6000_0000, None);
            writer.begin_node("domU1").str("compatible", "xen,domain");
            writer.u32("#address-cells", 2).u32("#size-cells", 2);
            let regions =
                [Region { base: 0x7000_0000, size: 0x1000 }, Region { base: u64::MAX, size: 0x1000 }];
            writer.regions("xen,static-mem", &regions);
            module(writer, "module@1", &["multiboot,module"], 0x6100_0000, None);
            writer.end_node();
            for (name, host) in [("a@0", 0x7800_0000), ("odd@0", 0x7900_0800)] {
                writer.begin_node(name).str("compatible", "xen,domain-shared-memory-v1");
                writer
                    .str("xen,shm-id", name)
                    .cells("xen,shared-mem", &[0, host, 0, 0x1000, 0, 0x2000])
                    .end_node();
            }
            // What makes no sense sets nothing aside.
            writer.begin_node("domU2").str("compatible", "xen,domain").cells("xen,static-mem", &[1, 2, 3]);
            writer.end_node();
        });
    });
    let tree = Tree::parse(&blob).unwrap();
    let mut reserved = vec![];
    let keep = |range| {
        reserved.push(range);
        Ok(())
    };
    memory::reserved(&tree, keep).unwrap();
    assert!(reserved.iter().eq([&(0x5000_0000..0x5010_0000)]));
    let mut used = vec![];
    let keep = |range: core::ops::Range<u64>| {
        used.push(range.start);
        Ok(())
    };
    memory::modules(&Chosen::of(&tree), keep).unwrap();
    assert_eq!(used, [0x6000_0000, 0x6100_0000]);
    let mut aside = vec![];
    let keep = |range| {
        aside.push(range);
        Ok(())
    };
    memory::all_set_aside(&Chosen::of(&tree), keep).unwrap();
    assert_eq!(aside, [0x7000_0000..0x7000_1000, u64::MAX..u64::MAX, 0x7800_0000..0x7800_2000]);
}

#[test]
fn a_heap_is_what_all_memory_comes_from() {
    let heap = |value: &[u32]| {
        let blob = tree(|writer| {
            chosen_node(writer, |writer| {
                writer.cells("xen,static-heap", value);
            });
        });
        let tree = Tree::parse(&blob).unwrap();
        memory::heap(&Chosen::of(&tree)).map_err(|error| error.to_string())
    };
    let mut free = Ranges::default();
    free.add(0x4000_0000..0x8000_0000).unwrap();
    free.keep(&heap(&[0, 0x7fff_0000, 0, 0x2_0000, 0, 0x5000_0000, 0, 0x1_0000]).unwrap().unwrap()).unwrap();
    assert_eq!(free.as_slice(), [0x5000_0000..0x5001_0000, 0x7fff_0000..0x8000_0000]);
    for odd in [&[][..], &[0, 0x5000_0000, 0], &[0, 0x5000_8000, 0, 0x1_0000], &[0, 0x5000_0000, 0, 0x8000]] {
        assert_eq!(heap(odd), Err("/chosen: bad or missing `xen,static-heap`".into()), "{odd:x?}");
    }
    assert!(heap(&[u32::MAX, 0xffff_0000, 0, 0x1_0000]).is_err());
    let none = tree(|writer| chosen_node(writer, |_| ()));
    assert_eq!(memory::heap(&Chosen::of(&Tree::parse(&none).unwrap())), Ok(None));
}

#[test]
fn modules_that_do_not_say_are_kernel_and_ramdisk() {
    let blob = tree(|writer| {
        chosen_node(writer, |writer| {
            module(writer, "module@1", &["xen,xsm-policy", "multiboot,module"], 1, None);
            module(writer, "module@2", &["multiboot,module"], 2, None);
            writer.begin_node("domU1").str("compatible", "xen,domain");
            writer.u32("#address-cells", 2).u32("#size-cells", 2);
            module(writer, "module@3", &["multiboot,module"], 3, None);
            writer.end_node();
            module(writer, "module@4", &["xen,multiboot-module"], 4, None);
        });
    });
    let tree = Tree::parse(&blob).unwrap();
    let chosen = Chosen::of(&tree);
    for (kind, base) in [(ModuleKind::Policy, 1), (ModuleKind::Kernel, 2), (ModuleKind::Ramdisk, 4)] {
        assert_eq!(
            chosen.dom0_module(kind).unwrap().map(|module| module.region.base),
            Some(base),
            "{kind:?}"
        );
    }
    let domain = chosen.domains().next().unwrap();
    assert_eq!(chosen::modules_of(&domain).count(), 1);
}

#[test]
fn a_module_without_an_address_is_named() {
    let blob = tree(|writer| {
        chosen_node(writer, |writer| {
            writer.begin_node("module").str("compatible", "multiboot,module").end_node();
        });
    });
    let tree = Tree::parse(&blob).unwrap();
    let error = Chosen::of(&tree).dom0_module(ModuleKind::Kernel).unwrap_err();
    assert_eq!(error.to_string(), "/chosen/module: bad or missing `reg` entry 0");
}

#[test]
fn bootargs_are_ours_only_when_dom0_has_its_own() {
    let line = |own: Option<&str>, dom0: Option<&str>, kernel: Option<&str>| {
        let blob = tree(|writer| {
            chosen_node(writer, |writer| {
                writer.str("bootargs", "common");
                own.map(|own| writer.str("xen,xen-bootargs", own));
                dom0.map(|dom0| writer.str("xen,dom0-bootargs", dom0));
                module(writer, "module@1", &["multiboot,kernel", "multiboot,module"], 1, kernel);
            });
        });
        Chosen::of(&Tree::parse(&blob).unwrap()).command_line().to_string()
    };
    assert_eq!(line(None, None, None), "");
    assert_eq!(line(None, Some("dom0"), None), "common");
    assert_eq!(line(None, None, Some("kernel")), "common");
    assert_eq!(line(Some("own"), Some("dom0"), None), "own");
}

#[test]
fn the_console_is_a_path_or_an_alias_with_options() {
    let blob = tree(|writer| {
        writer.begin_node("aliases").str("serial0", "/uart@1").end_node();
        writer.begin_node("uart@1").end_node();
        writer.begin_node("uart@2").end_node();
        writer.begin_node("chosen").str("stdout-path", "/uart@2:115200n8").end_node();
    });
    let tree = Tree::parse(&blob).unwrap();
    assert_eq!(Chosen::of(&tree).console(None).unwrap().name(), "uart@2");
    assert_eq!(Chosen::of(&tree).console(Some("serial0:9600")).unwrap().name(), "uart@1");
    assert!(Chosen::of(&tree).console(Some("serial1")).is_none());
}

/// The interrupt controller, timer, firmware and processors of QEMU's `virt`.
fn board(method: &str) -> Vec<u8> {
    tree(|writer| {
        writer.u32("interrupt-parent", 1);
        writer.begin_node("psci").strs("compatible", &["arm,psci-1.0", "arm,psci-0.2", "arm,psci"]);
        writer.str("method", method).u32("cpu_on", 0x8400_0003).end_node();
        writer.begin_node("cpus").u32("#address-cells", 1).u32("#size-cells", 0);
        for (name, affinity) in [("cpu@0", 0), ("cpu@100", 0x100)] {
            writer.begin_node(name).str("device_type", "cpu").u32("reg", affinity).end_node();
        }
        writer.begin_node("cpu-map").end_node();
        writer.end_node();
        writer.begin_node("intc@8000000").str("compatible", "arm,cortex-a15-gic");
        writer.u32("phandle", 1).u32("#interrupt-cells", 3).property("interrupt-controller", &[]);
        let block = |base| Region { base, size: 0x1_0000 };
        writer.regions("reg", &[block(0x800_0000), block(0x801_0000), block(0x803_0000), block(0x804_0000)]);
        writer.cells("interrupts", &[1, 9, 4]).end_node();
        writer.begin_node("timer").str("compatible", "arm,armv7-timer");
        writer.cells("interrupts", &[1, 13, 4, 1, 14, 4, 1, 11, 4, 1, 10, 4]).end_node();
    })
}

#[test]
fn the_devices_of_a_board_are_found() {
    let blob = board("smc");
    let tree = Tree::parse(&blob).unwrap();
    let phandles = Phandles::of(&tree);
    let Gic::V2(gic) = Gic::read(&Nodes::find(&tree), &phandles).unwrap() else { panic!("version 2") };
    assert_eq!((gic.control.base, gic.maintenance), (0x803_0000, 25));
    let timer = Timer::read(&Nodes::find(&tree), &phandles).unwrap();
    assert_eq!((timer.virtual_timer, timer.hypervisor), (27, 26));
    assert_eq!(Psci::read(&Nodes::find(&tree)).unwrap(), Psci::Standard);
    assert_eq!(processors(&tree).unwrap(), [0, 0x100]);
}

#[test]
fn firmware_that_is_a_hypervisor_is_not_used() {
    let blob = board("hvc");
    let error = Psci::read(&Nodes::find(&Tree::parse(&blob).unwrap())).unwrap_err().to_string();
    assert_eq!(error, "/psci: bad or missing `method`");
}

#[test]
fn what_is_missing_is_named() {
    let blob = tree(|_| {});
    let tree = Tree::parse(&blob).unwrap();
    let phandles = Phandles::of(&tree);
    let error = Gic::read(&Nodes::find(&tree), &phandles).unwrap_err().to_string();
    assert_eq!(error, "the device tree has no interrupt controller");
    assert_eq!(
        Timer::read(&Nodes::find(&tree), &phandles).unwrap_err().to_string(),
        "the device tree has no generic timer"
    );
}

/// A GICv3 with these properties beside the usual ones, and blocks of this size.
fn gicv3(sizes: &[u64], fill: impl FnOnce(&mut Writer)) -> Vec<u8> {
    tree(|writer| {
        writer.u32("interrupt-parent", 1);
        writer.begin_node("intc@8000000").str("compatible", "arm,gic-v3");
        writer.u32("phandle", 1).u32("#interrupt-cells", 3).property("interrupt-controller", &[]);
        let mut base = 0x800_0000;
        let mut block = |size: &u64| {
            base += 0x100_0000;
            Region { base: base - 0x100_0000, size: *size }
        };
        let blocks: Vec<_> = sizes.iter().map(&mut block).collect();
        writer.regions("reg", &blocks).cells("interrupts", &[1, 9, 4]);
        fill(writer);
        writer.end_node();
    })
}

fn read_gicv3<T>(blob: &[u8], look: impl FnOnce(Result<Gic<'_>, super::Error<'_>>) -> T) -> T {
    let tree = Tree::parse(blob).unwrap();
    look(Gic::read(&Nodes::find(&tree), &Phandles::of(&tree)))
}

#[test]
fn a_gicv3_has_one_region_of_redistributors_unless_it_says_more() {
    read_gicv3(&gicv3(&[0x1_0000, 0xf6_0000], |_| {}), |gic| {
        let Gic::V3(gic) = gic.unwrap() else { panic!("version 3") };
        assert_eq!((gic.distributor.base, gic.maintenance, gic.stride), (0x800_0000, 25, None));
        assert_eq!(gic.redistributors, [Region { base: 0x900_0000, size: 0xf6_0000 }]);
    });
    let two = |writer: &mut Writer| {
        writer.u32("#redistributor-regions", 2).u64("redistributor-stride", 0x4_0000);
    };
    // The CPU interface of version 2 that follows is not used.
    read_gicv3(&gicv3(&[0x1_0000, 0x8_0000, 0x10_0000, 0x2000], two), |gic| {
        let Gic::V3(gic) = gic.unwrap() else { panic!("version 3") };
        let regions = [(0x900_0000, 0x8_0000), (0xa00_0000, 0x10_0000)];
        assert_eq!(gic.redistributors, regions.map(|(base, size)| Region { base, size }));
        assert_eq!(gic.stride, Some(0x4_0000));
    });
}

#[test]
fn a_gicv3_that_makes_no_sense_is_refused() {
    let error = |sizes: &[u64], fill: fn(&mut Writer)| {
        read_gicv3(&gicv3(sizes, fill), |gic| gic.unwrap_err().to_string())
    };
    let usual = [0x1_0000, 0xf6_0000];
    for count in [0, 65, u32::MAX] {
        let fill = move |writer: &mut Writer| {
            writer.u32("#redistributor-regions", count);
        };
        let blob = gicv3(&usual, fill);
        let said = read_gicv3(&blob, |gic| gic.unwrap_err().to_string());
        assert_eq!(said, "/intc@8000000: bad or missing `#redistributor-regions`");
    }
    let stride = |writer: &mut Writer| {
        writer.u64("redistributor-stride", 0x2_1000);
    };
    assert_eq!(error(&usual, stride), "/intc@8000000: bad or missing `redistributor-stride`");
    let more = |writer: &mut Writer| {
        writer.u32("#redistributor-regions", 2);
    };
    assert!(!error(&usual, more).is_empty(), "a region that `reg` does not have");
}
