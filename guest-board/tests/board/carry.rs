//! Trees that come with a kernel, of all generations.

use crate::{BOARD, HOST_ARM, MIB, XL_DOMU, cells, differences};
use device_tree::{Phandles, Region, Tree, Writer, gic};
use guest_board::{Arch, Board, Error, Gic, carry};

/// Where a generation of Xen put things.
struct Generation {
    version: &'static str,
    memory: u32,
    gicd: u32,
    grant_table: u32,
}

const XEN_4_2: Generation =
    Generation { version: "4.2", memory: 0x8000_0000, gicd: 0x2c00_1000, grant_table: 0xb000_0000 };
const XEN_4_17: Generation =
    Generation { version: "4.17", memory: 0x4000_0000, gicd: 0x0300_1000, grant_table: 0x3800_0000 };

/// The tree that came with kernels for the guests of that generation, with 128 MiB and one CPU.
fn given(generation: &Generation) -> Vec<u8> {
    let Generation { version, memory, gicd, grant_table } = *generation;
    let mut out = Writer::new([Region { base: memory.into(), size: 0x1000 }], 0);
    out.begin_node("").str("model", &format!("XENVM-{version}"));
    out.strs("compatible", &[&format!("xen,xenvm-{version}"), "xen,xenvm"]);
    out.u32("interrupt-parent", 1).u32("#address-cells", 2).u32("#size-cells", 2);
    out.begin_node("chosen").str("bootargs", "console=hvc0 root=/dev/xvda");
    out.u32("linux,initrd-start", memory + 0x100_0000)
        .u32("linux,initrd-end", memory + 0x200_0000)
        .end_node();
    out.begin_node("aliases").end_node();
    out.begin_node("cpus").u32("#address-cells", 1).u32("#size-cells", 0);
    out.begin_node("cpu@0").str("device_type", "cpu").str("compatible", "arm,cortex-a15").u32("reg", 0);
    out.u32("phandle", 3).end_node().end_node();
    out.begin_node("psci").str("compatible", "arm,psci").str("method", "hvc");
    out.u32("cpu_off", 1).u32("cpu_on", 2).end_node();
    out.begin_node(&format!("memory@{memory:x}")).str("device_type", "memory");
    out.cells("reg", &[0, memory, 0, 0x800_0000]).end_node();
    out.begin_node(&format!("interrupt-controller@{gicd:x}"));
    out.strs("compatible", &["arm,cortex-a15-gic", "arm,cortex-a9-gic"]);
    out.u32("#interrupt-cells", 3).u32("#address-cells", 0).property("interrupt-controller", &[]);
    out.cells("reg", &[0, gicd, 0, 0x1000, 0, gicd + 0x1000, 0, 0x100]).u32("phandle", 1).end_node();
    out.begin_node("timer").str("compatible", "arm,armv7-timer").u32("clock-frequency", 100_000_000);
    out.cells("interrupts", &[1, 13, 0xf08, 1, 14, 0xf08, 1, 11, 0xf08, 1, 10, 0xf08]).end_node();
    out.begin_node("hypervisor").strs("compatible", &[&format!("xen,xen-{version}"), "xen,xen"]);
    out.cells("reg", &[0, grant_table, 0, 0x2_0000]).cells("interrupts", &[1, 15, 0xf08]).end_node();
    out.begin_node("motherboard").str("arm,v2m-memory-map", "rs1").cells("interrupts", &[0, 5, 4]).end_node();
    out.end_node();
    out.finish()
}

#[test]
fn old_and_new_trees_become_the_board_that_the_guest_has() {
    for generation in [XEN_4_2, XEN_4_17] {
        let blob = carry::carry(&given(&generation), &BOARD).unwrap();
        let tree = Tree::parse(&blob).unwrap();
        let own = BOARD.tree().unwrap();
        let own = Tree::parse(&own).unwrap();
        for path in ["/memory@40000000", "/psci"] {
            let pair = (tree.find(path).unwrap(), own.find(path).unwrap());
            assert_eq!(differences(&pair.0, &pair.1), Vec::<String>::new());
        }
        for (path, name) in [
            ("/interrupt-controller@3001000", "reg"),
            ("/interrupt-controller@3001000", "compatible"),
            ("/hypervisor", "reg"),
            ("/hypervisor", "compatible"),
            ("/hypervisor", "interrupts"),
            ("/timer", "interrupts"),
        ] {
            assert_eq!(cells(&tree, path, name), cells(&own, path, name), "{path} {name}");
        }
        assert_eq!(tree.nodes().filter(|node| node.str("device_type") == Some("memory")).count(), 1);
        assert_eq!(tree.compatible(&["arm,cortex-a15-gic"]).count(), 1);
    }
}

#[test]
fn what_the_board_does_not_decide_is_kept() {
    let blob = carry::carry(&given(&XEN_4_2), &BOARD).unwrap();
    let tree = Tree::parse(&blob).unwrap();
    assert_eq!(tree.root().str("model"), Some("XENVM-4.2"));
    assert!(tree.root().is_compatible(&["xen,xenvm-4.2"]));
    assert_eq!(tree.find("/motherboard").unwrap().str("arm,v2m-memory-map"), Some("rs1"));
    assert_eq!(tree.find("/cpus/cpu@0").unwrap().phandle(), Some(3));
    let interrupts = tree.find("/motherboard").unwrap().interrupts(&Phandles::of(&tree)).unwrap();
    assert_eq!(interrupts[0].controller.name(), "interrupt-controller@3001000");
    assert_eq!(gic::decode(&interrupts[0].cells), Some((37, gic::Trigger::Level)));
}

#[test]
fn a_wrong_timer_frequency_does_not_survive() {
    let blob = carry::carry(&given(&XEN_4_2), &BOARD).unwrap();
    assert!(!Tree::parse(&blob).unwrap().find("/timer").unwrap().has("clock-frequency"));
    let board = Board { clock_frequency: Some(62_500_000), ..BOARD };
    let blob = carry::carry(&given(&XEN_4_2), &board).unwrap();
    assert_eq!(cells(&Tree::parse(&blob).unwrap(), "/timer", "clock-frequency"), [62_500_000]);
}

#[test]
fn memory_is_what_the_config_says() {
    for memory in [16 * MIB, 1024 * MIB, 4096 * MIB] {
        let blob = carry::carry(&given(&XEN_4_2), &Board { memory, ..BOARD }).unwrap();
        let tree = Tree::parse(&blob).unwrap();
        let found: u64 = tree
            .nodes()
            .filter(|node| node.str("device_type") == Some("memory"))
            .flat_map(|node| node.regions().unwrap().map(|region| region.size).collect::<Vec<_>>())
            .sum();
        assert_eq!(found, memory);
    }
}

#[test]
fn the_configs_command_line_follows_that_of_the_tree() {
    let bootargs = |board: &Board<'_>| {
        let blob = carry::carry(&given(&XEN_4_2), board).unwrap();
        Tree::parse(&blob).unwrap().find("/chosen").unwrap().str("bootargs").unwrap().to_string()
    };
    assert_eq!(bootargs(&BOARD), "console=hvc0 root=/dev/xvda");
    let board = Board { bootargs: Some("root=/dev/xvdb ro"), ..BOARD };
    assert_eq!(bootargs(&board), "console=hvc0 root=/dev/xvda root=/dev/xvdb ro");
    assert_eq!(bootargs(&Board { bootargs: Some(""), ..BOARD }), "console=hvc0 root=/dev/xvda");
}

#[test]
fn the_initrd_is_the_configs_or_none() {
    let blob = carry::carry(&given(&XEN_4_2), &BOARD).unwrap();
    assert!(!Tree::parse(&blob).unwrap().find("/chosen").unwrap().has("linux,initrd-start"));
    let initrd = Some(Region { base: 0x4700_0000, size: 0x1234 });
    let blob = carry::carry(&given(&XEN_4_2), &Board { initrd, ..BOARD }).unwrap();
    let tree = Tree::parse(&blob).unwrap();
    assert_eq!(cells(&tree, "/chosen", "linux,initrd-start"), [0, 0x4700_0000]);
    assert_eq!(cells(&tree, "/chosen", "linux,initrd-end"), [0, 0x4700_1234]);
}

#[test]
fn missing_vcpus_are_made_like_the_first() {
    let blob = carry::carry(&given(&XEN_4_2), &Board { vcpus: 3, ..BOARD }).unwrap();
    let tree = Tree::parse(&blob).unwrap();
    let cpus: Vec<_> = tree.find("/cpus").unwrap().children().collect();
    assert_eq!(cpus.iter().map(|cpu| cpu.u32("reg").unwrap()).collect::<Vec<_>>(), [0, 1, 2]);
    assert!(cpus.iter().all(|cpu| cpu.str("compatible") == Some("arm,cortex-a15")));
    assert!(cpus.iter().all(|cpu| cpu.str("enable-method") == Some("psci")));
    assert_eq!(cpus.iter().filter(|cpu| cpu.has("phandle")).count(), 1);
}

#[test]
fn reservations_move_with_the_memory() {
    let blob = carry::carry(&given(&XEN_4_2), &BOARD).unwrap();
    let reservations: Vec<_> = Tree::parse(&blob).unwrap().reservations().collect();
    assert_eq!(reservations, [Region { base: 0x4000_0000, size: 0x1000 }]);

    let mut out = Writer::new([Region { base: 0x1000, size: 0x1000 }], 0);
    out.begin_node("").u32("#address-cells", 1).u32("#size-cells", 1);
    out.begin_node("memory").cells("reg", &[0x8000_0000, 0x800_0000]).end_node();
    out.begin_node("reserved-memory").u32("#address-cells", 1).u32("#size-cells", 1).property("ranges", &[]);
    out.begin_node("in@80100000").cells("reg", &[0x8010_0000, 0x1000]).end_node();
    out.begin_node("out@1000").cells("reg", &[0x1000, 0x1000]).end_node();
    out.begin_node("anywhere").u32("size", 0x1000).end_node().end_node();
    out.end_node();
    let narrow = Board { address_bits: 32, ..BOARD };
    let blob = carry::carry(&out.finish(), &narrow).unwrap();
    let tree = Tree::parse(&blob).unwrap();
    assert_eq!(tree.reservations().count(), 0);
    assert_eq!(cells(&tree, "/reserved-memory/in", "reg"), [0x4010_0000, 0x1000]);
    assert!(tree.find("/reserved-memory/out").is_none());
    assert!(tree.find("/reserved-memory/anywhere").is_some());
}

#[test]
fn a_tree_that_counts_in_single_cells_keeps_doing_so() {
    let mut out = Writer::new([], 0);
    out.begin_node("")
        .u32("#address-cells", 1)
        .u32("#size-cells", 1)
        .str("compatible", "xen,xenvm")
        .end_node();
    let blob = out.finish();
    let carried = carry::carry(&blob, &BOARD).unwrap();
    let tree = Tree::parse(&carried).unwrap();
    assert_eq!(cells(&tree, "/memory", "reg"), [0x4000_0000, 0x800_0000]);
    assert_eq!(cells(&tree, "/hypervisor", "reg"), [0x3800_0000, 0x100_0000]);
    let gib = 1024 * MIB;
    assert_eq!(carry::carry(&blob, &Board { memory: 4 * gib, ..BOARD }), Err(Error::Cells(0x2_0000_0000)));
}

#[test]
fn an_empty_tree_gets_a_whole_board() {
    let mut out = Writer::new([], 0);
    out.begin_node("").u32("#address-cells", 2).u32("#size-cells", 2).end_node();
    let blob = carry::carry(&out.finish(), &Board { bootargs: Some("quiet"), ..BOARD }).unwrap();
    let tree = Tree::parse(&blob).unwrap();
    let own = Board { bootargs: Some("quiet"), ..BOARD }.tree().unwrap();
    let mut left = differences(&tree.root(), &Tree::parse(&own).unwrap().root());
    left.sort();
    let only_names = [
        "/ compatible: only theirs",
        "/ model: only theirs",
        "/interrupt-controller@3001000 linux,phandle: only theirs",
    ];
    assert_eq!(left, only_names);
}

#[test]
fn carrying_over_twice_changes_nothing() {
    let board = Board { vcpus: 2, ..BOARD };
    let once = carry::carry(&given(&XEN_4_2), &board).unwrap();
    let twice = carry::carry(&once, &board).unwrap();
    let (once, twice) = (Tree::parse(&once).unwrap(), Tree::parse(&twice).unwrap());
    assert_eq!(differences(&twice.root(), &once.root()), Vec::<String>::new());
}

#[test]
fn a_tree_for_gicv2_serves_a_board_with_gicv3() {
    let board = Board { gic: Gic::V3, arch: Arch::Arm64, ..BOARD };
    let blob = carry::carry(&given(&XEN_4_17), &board).unwrap();
    let tree = Tree::parse(&blob).unwrap();
    let gic = tree.compatible(&["arm,gic-v3"]).next().unwrap();
    assert_eq!(gic.regions().unwrap().nth(1), Some(Region { base: 0x302_0000, size: 0x100_0000 }));
    assert_eq!(tree.compatible(&["arm,cortex-a15-gic"]).count(), 0);
}

#[test]
fn whole_guests_are_told_from_parts() {
    let whole = |blob: &[u8]| carry::is_whole_guest(&Tree::parse(blob).unwrap());
    assert!(whole(&given(&XEN_4_2)));
    assert!(whole(XL_DOMU));
    assert!(!whole(HOST_ARM));
    let mut out = Writer::new([], 0);
    out.begin_node("").begin_node("passthrough").end_node().end_node();
    assert!(!whole(&out.finish()));
}

#[test]
fn broken_trees_are_errors() {
    let good = given(&XEN_4_2);
    assert_eq!(carry::carry(&good[..100], &BOARD), Err(Error::Tree(device_tree::Error::Truncated)));
    assert_eq!(carry::carry(b"no tree", &BOARD), Err(Error::Tree(device_tree::Error::NoMagic)));
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |limit: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 16) as usize % limit
    };
    for _ in 0..5000 {
        let mut bad = good.clone();
        for _ in 0..3 {
            let at = random(bad.len());
            bad[at] = random(256) as u8;
        }
        if let Ok(carried) = carry::carry(&bad, &BOARD) {
            Tree::parse(&carried).expect("what is carried over can be read");
        }
    }
}

#[test]
fn an_interrupt_controller_that_a_guest_cannot_have_is_refused() {
    let mut out = Writer::new([], 0);
    out.begin_node("").begin_node("pic").property("interrupt-controller", &[]).u32("#interrupt-cells", 1);
    out.end_node().end_node();
    assert_eq!(carry::carry(&out.finish(), &BOARD), Err(Error::NoGic));
    let mut out = Writer::new([], 0);
    out.begin_node("").begin_node("gic").str("compatible", "arm,gic-400").u32("#interrupt-cells", 1);
    out.end_node().end_node();
    assert_eq!(carry::carry(&out.finish(), &BOARD), Err(Error::OddGic));
}
