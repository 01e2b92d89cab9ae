//! Values that nodes of any tree have, encoded.

use alloc::vec::Vec;

use device_tree::{Node, Region, gic};
use xen_abi::arch::layout;
use xen_abi::psci;

use crate::{Error, TreeWriter};

/// Encodes regions in the cells that `root` gives its children.
pub(crate) fn regions(root: &Node<'_>, regions: &[Region]) -> Result<Vec<u8>, Error> {
    let (address_cells, size_cells) = (root.address_cells(), root.size_cells());
    let mut value = Vec::new();
    for region in regions {
        for (number, cells) in [(region.base, address_cells), (region.size, size_cells)] {
            match cells {
                1 => value.extend(u32::try_from(number).map_err(|_| Error::Cells(number))?.to_be_bytes()),
                2 => value.extend(number.to_be_bytes()),
                _ => return Err(Error::Cells(number)),
            }
        }
    }
    Ok(value)
}

/// The timer's interrupts as a node has them: secure, non-secure and virtual.
pub(crate) fn timer_interrupts(ppis: [u32; 3]) -> [[u32; 3]; 3] {
    ppis.map(gic::ppi)
}

/// The timer's interrupts of a domU.
pub(crate) const TIMER_PPIS: [u32; 3] =
    [layout::TIMER_PHYS_S_PPI, layout::TIMER_PHYS_NS_PPI, layout::TIMER_VIRT_PPI];

/// What a PSCI node says it is compatible with.
pub(crate) const PSCI_COMPATIBLE: [&str; 3] = ["arm,psci-1.0", "arm,psci-0.2", "arm,psci"];

/// What a node of shared memory is called, and what it is compatible with.
pub(crate) const SHARED: (&str, &str) = ("xen-shmem", "xen,shared-memory-v1");

/// Writes the node by which a guest starts its CPUs.
pub(crate) fn write_psci(out: &mut impl TreeWriter) {
    out.begin_node("psci");
    out.strings("compatible", &PSCI_COMPATIBLE);
    out.strings("method", &["hvc"]);
    out.cells("cpu_off", &[psci::v0_1::CPU_OFF]);
    out.cells("cpu_on", &[psci::v0_1::CPU_ON]);
    out.end_node();
}

/// What the first GIC of a tree may say it is compatible with.
pub(crate) const GICV2_COMPATIBLE: [&str; 6] = [
    "arm,cortex-a15-gic",
    "arm,cortex-a7-gic",
    "arm,cortex-a9-gic",
    "arm,gic-400",
    "arm,eb11mp-gic",
    "arm,pl390",
];
/// The same for GICv3.
pub(crate) const GICV3_COMPATIBLE: [&str; 1] = ["arm,gic-v3"];
/// What a timer may say it is compatible with.
pub(crate) const TIMER_COMPATIBLE: [&str; 2] = ["arm,armv7-timer", "arm,armv8-timer"];

/// Says whether a node is a GIC.
pub(crate) fn is_gic(node: &Node<'_>) -> bool {
    node.is_compatible(&GICV2_COMPATIBLE) || node.is_compatible(&GICV3_COMPATIBLE)
}

/// Says whether a node describes memory.
pub(crate) fn is_memory(node: &Node<'_>) -> bool {
    node.str("device_type") == Some("memory")
}
