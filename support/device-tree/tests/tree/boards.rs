//! What real machines' trees say.

use crate::{VEXPRESS, VIRT_ARM, VIRT_ARM64};
use device_tree::gic::{self, Trigger};
use device_tree::{Node, Phandles, Region, Tree};

fn regions(node: &Node<'_>) -> Vec<Region> {
    node.regions().unwrap().collect()
}

/// Numbers and triggers of a node's interrupts at the GIC.
fn interrupts(tree: &Tree<'_>, path: &str) -> Vec<(u32, Trigger)> {
    let interrupts = tree.find(path).unwrap().interrupts(&Phandles::of(tree)).unwrap();
    interrupts.iter().map(|interrupt| gic::decode(&interrupt.cells).unwrap()).collect()
}

#[test]
fn memory_and_gic_of_virt_are_found() {
    let tree = Tree::parse(VIRT_ARM).unwrap();
    let memory = tree.root().children().find(|node| node.str("device_type") == Some("memory")).unwrap();
    assert_eq!(regions(&memory), [Region { base: 0x4000_0000, size: 0x4000_0000 }]);
    let gic = tree.compatible(&["arm,cortex-a15-gic"]).next().unwrap();
    assert_eq!(regions(&gic)[0], Region { base: 0x0800_0000, size: 0x1_0000 });
    assert_eq!(Phandles::of(&tree).get(gic.phandle().unwrap()).unwrap(), gic);
}

#[test]
fn paths_names_and_aliases_find_nodes() {
    let tree = Tree::parse(VIRT_ARM).unwrap();
    assert_eq!(tree.find("/").unwrap(), tree.root());
    assert_eq!(tree.find("/cpus/cpu@1").unwrap().to_string(), "/cpus/cpu@1");
    assert_eq!(tree.find("/pl011").unwrap(), tree.find("/pl011@9000000").unwrap());
    assert_eq!(tree.find("/nothing"), None);
    assert_eq!(tree.find("no-alias"), None);
    let vexpress = Tree::parse(VEXPRESS).unwrap();
    let serial = vexpress.find("serial0").unwrap();
    assert!(serial.is_compatible(&["arm,pl011"]));
    assert_eq!(vexpress.find("i2c0").unwrap().parent().unwrap().base_name(), "iofpga-bus");
}

#[test]
fn cpus_have_ids_that_are_no_addresses() {
    let tree = Tree::parse(VIRT_ARM).unwrap();
    let cpus: Vec<_> =
        tree.find("/cpus").unwrap().children().filter(|node| node.base_name() == "cpu").collect();
    assert_eq!(cpus.len(), 2);
    assert_eq!(cpus[1].reg().unwrap().next(), Some(Region { base: 1, size: 0 }));
    assert_eq!(regions(&cpus[1]), []);
}

#[test]
fn interrupts_of_virt_are_those_of_its_manual() {
    for blob in [VIRT_ARM, VIRT_ARM64] {
        let tree = Tree::parse(blob).unwrap();
        assert_eq!(interrupts(&tree, "/pl011@9000000"), [(33, Trigger::Level)]);
        assert_eq!(interrupts(&tree, "/virtio_mmio@a000000"), [(48, Trigger::Edge)]);
        let timer: Vec<_> = interrupts(&tree, "/timer").into_iter().map(|(intid, _)| intid).collect();
        assert_eq!(timer, [29, 30, 27, 26]);
    }
}

#[test]
fn pci_of_virt_has_its_windows_and_interrupts() {
    let tree = Tree::parse(VIRT_ARM64).unwrap();
    let pci = tree.compatible(&["pci-host-ecam-generic"]).next().unwrap();
    let ranges: Vec<_> = pci.ranges().unwrap().collect();
    let memory = ranges.iter().find(|range| range.space >> 24 == 2).unwrap();
    assert_eq!((memory.parent, memory.size), (0x1000_0000, 0x2eff_0000));
    let mut targets: Vec<_> = pci
        .interrupt_map_targets(&Phandles::of(&tree))
        .unwrap()
        .iter()
        .map(|interrupt| gic::decode(&interrupt.cells).unwrap().0)
        .collect();
    targets.sort_unstable();
    targets.dedup();
    assert_eq!(targets, [35, 36, 37, 38]);
}

#[test]
fn devices_behind_buses_and_a_nexus_are_where_the_cpu_sees_them() {
    let tree = Tree::parse(VEXPRESS).unwrap();
    let uart = tree.find("serial0").unwrap();
    assert_eq!(uart.reg().unwrap().next().unwrap().base, 0x9_0000);
    assert_eq!(regions(&uart), [Region { base: 0x1c09_0000, size: 0x1000 }]);
    assert_eq!(interrupts(&tree, &uart.to_string()), [(37, Trigger::Level)]);
}

#[test]
fn memory_above_4_gib_keeps_its_address() {
    let tree = Tree::parse(VEXPRESS).unwrap();
    let memory = tree.find("/memory").unwrap();
    assert_eq!(regions(&memory), [Region { base: 0x8000_0000, size: 0x4000_0000 }]);
    let mut high = vm_fdt::FdtWriter::new().unwrap();
    let root = high.begin_node("").unwrap();
    high.property_u32("#address-cells", 2).unwrap();
    high.property_u32("#size-cells", 2).unwrap();
    let node = high.begin_node("memory@880000000").unwrap();
    high.property_array_u64("reg", &[0x8_8000_0000, 0x1_0000_0000]).unwrap();
    high.end_node(node).unwrap();
    high.end_node(root).unwrap();
    let blob = high.finish().unwrap();
    let tree = Tree::parse(&blob).unwrap();
    let memory = tree.find("/memory").unwrap();
    assert_eq!(regions(&memory), [Region { base: 0x8_8000_0000, size: 0x1_0000_0000 }]);
}
