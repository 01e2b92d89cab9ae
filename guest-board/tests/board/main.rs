//! Boards, held against those that the real Xen and its toolstack make.

mod appended;
mod carry;
mod dom0;
mod domu;
mod place;

use device_tree::{Node, Tree};
use guest_board::{Arch, Board, Gic};

/// QEMU's virt board, 32-bit, GICv2.
const HOST_ARM: &[u8] = include_bytes!("../../../support/device-tree/tests/trees/qemu-virt-arm.dtb");
/// QEMU's virt board, 64-bit, GICv3.
const HOST_ARM64: &[u8] =
    include_bytes!("../../../support/device-tree/tests/trees/qemu-virt-arm64-gicv3.dtb");
/// Arm's Versatile Express with a Cortex-A15.
const HOST_VEXPRESS: &[u8] =
    include_bytes!("../../../support/device-tree/tests/trees/vexpress-v2p-ca15-tc1.dtb");
/// What dom0 of the real Xen got on the first of them.
const XEN_DOM0: &[u8] = include_bytes!("../trees/xen-4.17-dom0.dtb");
/// What a domU of the real xl got.
const XL_DOMU: &[u8] = include_bytes!("../trees/xl-4.17-domu.dtb");

const MIB: u64 = 1 << 20;

/// The board of the domU that the real xl made.
const BOARD: Board<'static> = Board {
    arch: Arch::Arm32,
    gic: Gic::V2,
    vcpus: 1,
    memory: 128 * MIB,
    direct: None,
    address_bits: 40,
    bootargs: None,
    initrd: None,
    clock_frequency: None,
    rng_seed: &[],
    shared: &[],
    vpl011: None,
    version: (4, 17),
    hypervisor: true,
};

/// Says how two trees differ, whatever the order of nodes and properties in them.
fn differences(ours: &Node<'_>, theirs: &Node<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for (from, to, whose) in [(ours, theirs, "only ours"), (theirs, ours, "only theirs")] {
        for property in from.properties().filter(|property| !to.has(property.name)) {
            found.push(format!("{from} {}: {whose}", property.name));
        }
        let known = |name: &str| to.children().any(|child| child.name() == name);
        for child in from.children().filter(|child| !known(child.name())) {
            found.push(format!("{child}: {whose}"));
        }
    }
    for property in ours.properties() {
        let other = theirs.property(property.name);
        if other.is_some_and(|other| other.value != property.value) {
            found.push(format!(
                "{ours} {}: {:02x?}, {:02x?}",
                property.name,
                property.value,
                other.unwrap().value
            ));
        }
    }
    for child in ours.children() {
        if let Some(other) = theirs.children().find(|other| other.name() == child.name()) {
            found.extend(differences(&child, &other));
        }
    }
    found
}

/// The cells of a property.
fn cells(tree: &Tree<'_>, path: &str, name: &str) -> Vec<u32> {
    let node = tree.find(path).unwrap_or_else(|| panic!("no {path}"));
    node.property(name).unwrap_or_else(|| panic!("{path} has no {name}")).cells().collect()
}
