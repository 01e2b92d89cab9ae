//! The tree of a domU.

use crate::{BOARD, MIB, XL_DOMU, cells, differences};
use device_tree::{Phandles, Region, Tree, Writer, gic};
use guest_board::{Arch, Board, Direct, Error, Gic, Shared, Uart, affinity, banks, boot};
use xen_abi::arch::{aarch32, psr};

fn region(base: u64, size: u64) -> Region {
    Region { base, size }
}

#[test]
fn it_is_the_tree_that_xl_makes() {
    let theirs = Tree::parse(XL_DOMU).unwrap();
    let initrd = Region { base: 0x47ea_8000, size: 0x15_7000 };
    let board = Board { bootargs: Some("console=hvc0 rdinit=/init"), initrd: Some(initrd), ..BOARD };
    let ours = board.tree().unwrap();
    let ours = Tree::parse(&ours).unwrap();
    assert_eq!(differences(&ours.root(), &theirs.root()), Vec::<String>::new());
}

#[test]
fn memory_beyond_3_gib_is_a_second_bank() {
    let gib = 1024 * MIB;
    let regions = banks(5 * gib).unwrap();
    assert_eq!(
        regions,
        [Region { base: 0x4000_0000, size: 3 * gib }, Region { base: 0x2_0000_0000, size: 2 * gib }]
    );
    let blob = Board { memory: 5 * gib, ..BOARD }.tree().unwrap();
    let tree = Tree::parse(&blob).unwrap();
    assert_eq!(cells(&tree, "/memory@200000000", "reg"), [2, 0, 0, 0x8000_0000]);
    assert_eq!(banks(0), Err(Error::MemorySize(0)));
    assert_eq!(banks(u64::MAX), Err(Error::MemorySize(u64::MAX)));
}

#[test]
fn extended_regions_are_what_memory_leaves() {
    let all = Board { memory: 3 * MIB, ..BOARD };
    assert_eq!(
        all.extended_regions(),
        [region(0x4040_0000, 0xbfc0_0000), region(0x2_0000_0000, 0xfe_0000_0000)]
    );
    let narrow = Board { address_bits: 32, ..BOARD };
    assert_eq!(narrow.extended_regions(), [region(0x4800_0000, 0xb800_0000)]);
    let full = Board { memory: 3 * 1024 * MIB, address_bits: 34, ..BOARD };
    assert_eq!(full.extended_regions(), [region(0x2_0000_0000, 0x2_0000_0000)]);
    let shared = [
        Shared { id: "a", region: region(0x1000_0000, MIB) },
        Shared { id: "b", region: region(0x5000_0000, MIB) },
        Shared { id: "c", region: region(0x5400_0000, u64::MAX) },
    ];
    let sharing = Board { shared: &shared, ..BOARD };
    assert_eq!(sharing.extended_regions(), [region(0x4800_0000, 0x800_0000)], "what is left is too small");
}

#[test]
fn shared_memory_is_told() {
    let shared = [("a", 0x5000_0000), ("b", 0x7000_0000)]
        .map(|(id, base)| Shared { id, region: region(base, 2 * MIB) });
    let blob = Board { shared: &shared, ..BOARD }.tree().unwrap();
    let tree = Tree::parse(&blob).unwrap();
    assert_eq!(tree.find("/reserved-memory").unwrap().children().count(), 2);
    for Shared { id, region } in shared {
        let node = tree.find(&format!("/reserved-memory/xen-shmem@{:x}", region.base)).unwrap();
        assert!(node.is_compatible(&["xen,shared-memory-v1"]));
        assert_eq!((node.regions().unwrap().next(), node.str("xen,id")), (Some(region), Some(id)));
    }
    assert!(Tree::parse(&BOARD.tree().unwrap()).unwrap().find("/reserved-memory").is_none());
}

#[test]
fn vcpus_beyond_16_are_in_another_cluster() {
    assert_eq!([affinity(0), affinity(15), affinity(16), affinity(127)], [0, 15, 0x100, 0x70f]);
    let blob = Board { gic: Gic::V3, vcpus: 18, arch: Arch::Arm64, ..BOARD }.tree().unwrap();
    let tree = Tree::parse(&blob).unwrap();
    assert_eq!(cells(&tree, "/cpus/cpu@101", "reg"), [0x101]);
    assert_eq!(tree.find("/cpus/cpu@0").unwrap().str("compatible"), Some("arm,armv8"));
    assert_eq!(tree.find("/timer").unwrap().str("compatible"), Some("arm,armv8-timer"));
    assert_eq!(
        cells(&tree, "/interrupt-controller", "reg"),
        [0, 0x300_1000, 0, 0x1_0000, 0, 0x302_0000, 0, 0x100_0000]
    );
}

#[test]
fn more_vcpus_than_the_interrupt_controller_serves_are_refused() {
    assert_eq!(Board { vcpus: 9, ..BOARD }.tree(), Err(Error::Vcpus(9)));
    assert_eq!(Board { vcpus: 0, ..BOARD }.tree(), Err(Error::Vcpus(0)));
    assert!(Board { vcpus: 9, gic: Gic::V3, ..BOARD }.tree().is_ok());
}

#[test]
fn a_frequency_a_seed_and_a_uart_are_written_if_there_are_any() {
    let blob = Board {
        clock_frequency: Some(62_500_000),
        rng_seed: &[7; 128],
        vpl011: Some(Uart::default()),
        ..BOARD
    }
    .tree()
    .unwrap();
    let tree = Tree::parse(&blob).unwrap();
    assert_eq!(cells(&tree, "/timer", "clock-frequency"), [62_500_000]);
    assert_eq!(tree.find("/chosen").unwrap().property("rng-seed").unwrap().value, [7; 128]);
    let uart = tree.find("/sbsa-pl011@22000000").unwrap();
    let interrupts = uart.interrupts(&Phandles::of(&tree)).unwrap();
    assert_eq!(gic::decode(&interrupts[0].cells), Some((32, gic::Trigger::Level)));
}

#[test]
fn what_is_at_the_machines_addresses_is_said_to_be_there() {
    let direct = Direct {
        banks: vec![region(0x7000_0000, 32 * MIB), region(0x6000_0000, 16 * MIB)],
        gic: vec![
            region(0x800_0000, 0x1_0000),
            region(0x80a_0000, 0x4_0000),
            region(0x90_0000_0000, 0x2_0000),
        ],
        hypervisor: vec![region(0x4400_0000, 0x10_0000), region(0x5000_0000, 64 * MIB)],
    };
    let uart = Uart { base: 0x900_0000, spi: 33 };
    let board = Board { gic: Gic::V3, vpl011: Some(uart), direct: Some(&direct), memory: 48 * MIB, ..BOARD };
    let blob = board.tree().unwrap();
    let tree = Tree::parse(&blob).unwrap();
    let memory = tree.root().children().filter(|node| node.base_name() == "memory");
    assert_eq!(memory.flat_map(|node| node.reg().unwrap()).collect::<Vec<_>>(), direct.banks);
    let reg = |path: &str| tree.find(path).unwrap().reg().unwrap().collect::<Vec<_>>();
    assert_eq!(reg("/interrupt-controller@8000000"), direct.gic);
    assert_eq!(cells(&tree, "/interrupt-controller@8000000", "#redistributor-regions"), [2]);
    assert_eq!(reg("/hypervisor"), direct.hypervisor);
    assert_eq!(reg("/sbsa-pl011@9000000"), [region(0x900_0000, 0x1000)]);
    let interrupts = tree.find("/sbsa-pl011@9000000").unwrap().interrupts(&Phandles::of(&tree)).unwrap();
    assert_eq!(gic::decode(&interrupts[0].cells), Some((33, gic::Trigger::Level)));
}

#[test]
fn a_partial_tree_adds_what_it_passes_through() {
    let mut partial = Writer::new([], 0);
    partial.begin_node("").begin_node("aliases").str("net", "/passthrough/mac@10000000").end_node();
    partial.begin_node("ignored").end_node();
    partial.begin_node("passthrough").str("compatible", "simple-bus").property("ranges", &[]);
    partial
        .begin_node("mac@10000000")
        .property("snps,dis-del-phy-power-chg-quirk", &[])
        .end_node()
        .end_node();
    partial.end_node();
    let blob = BOARD.tree_with_partial(&partial.finish()).unwrap();
    let tree = Tree::parse(&blob).unwrap();
    assert!(tree.find("net").unwrap().has("snps,dis-del-phy-power-chg-quirk"));
    assert!(tree.find("/ignored").is_none());
    assert!(tree.find("/hypervisor").is_some());
}

#[test]
fn a_partial_tree_must_not_use_the_toolstacks_phandle() {
    let mut partial = Writer::new([], 0);
    partial.begin_node("").begin_node("passthrough").u32("phandle", 65000).end_node().end_node();
    assert_eq!(BOARD.tree_with_partial(&partial.finish()), Err(Error::Phandle(65000)));
}

#[test]
fn an_aarch32_guest_starts_as_linux_wants_it() {
    let context = boot::first_vcpu(Arch::Arm32, 0x4000_8000, 0x4800_0000);
    let registers = context.user_regs;
    assert_eq!((registers.x[0], registers.x[1], registers.x[2]), (0, 0xffff_ffff, 0x4800_0000));
    assert_eq!((registers.pc, registers.cpsr), (0x4000_8000, 0x4000_01d3));
    assert_eq!(registers.cpsr as u32 & 0x1f, psr::MODE_SVC);
    assert_eq!((context.flags, context.sctlr), (1, 0x00c5_0078));
    assert_eq!(registers.x[aarch32::SP_SVC], 0);
}

#[test]
fn an_aarch64_guest_starts_as_linux_wants_it() {
    let registers = boot::first_vcpu(Arch::Arm64, 0x4000_0000, 0x4800_0000).user_regs;
    assert_eq!((registers.x[0], registers.x[1], registers.x[2]), (0x4800_0000, 0, 0));
    assert_eq!((registers.pc, registers.cpsr), (0x4000_0000, 0x1c5));
}
