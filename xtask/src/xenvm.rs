//! Device trees of Xen's virtual board as a guest image of old carries one: appended to the zImage.
//!
//! The first Xen on ARM (4.2) gave guests no tree; the image brought its own, compatible
//! `xen,xenvm-4.2`, with the addresses of the board it was emulating. Later Xen moved everything.
use dtoolkit::{
    ToPropertyValue,
    model::{DeviceTree, DeviceTreeNode, DeviceTreeProperty},
};
use std::ops::Range;

/// A generation of the guest memory map.
#[derive(Clone, Debug)]
pub struct Layout {
    version: &'static str,
    /// Start of RAM.
    pub ram: u64,
    gic: u64,
    grant_table: Range<u64>,
}

/// The map of Xen 4.2.
pub const XEN_4_2: Layout =
    Layout { version: "4.2", ram: 0x8000_0000, gic: 0x2c00_1000, grant_table: 0xb000_0000..0xb002_0000 };

/// The map since Xen 4.5.
pub const TODAY: Layout =
    Layout { version: "4.17", ram: 0x4000_0000, gic: 0x0300_1000, grant_table: 0x3800_0000..0x3900_0000 };

const GIC_PHANDLE: u32 = 1;

/// Writes the tree of a one-CPU guest with `memory` bytes of RAM.
pub fn tree(layout: &Layout, memory: u64, bootargs: &str, initrd: Range<u64>) -> Vec<u8> {
    let mut tree = DeviceTree::new();
    let root = &mut tree.root;
    let version = layout.version;
    set(root, "model", format!("XENVM-{version}"));
    set(root, "compatible", vec![format!("xen,xenvm-{version}").as_str(), "xen,xenvm"]);
    set(root, "interrupt-parent", GIC_PHANDLE);
    set(root, "#address-cells", 2u32);
    set(root, "#size-cells", 2u32);

    let mut chosen = node("chosen");
    set(&mut chosen, "bootargs", bootargs);
    set(&mut chosen, "linux,initrd-start", initrd.start);
    set(&mut chosen, "linux,initrd-end", initrd.end);
    root.add_child(chosen);

    root.add_child(cpus());
    root.add_child(psci());

    let mut ram = node(&format!("memory@{:x}", layout.ram));
    set(&mut ram, "device_type", "memory");
    set(&mut ram, "reg", cells(&[layout.ram, memory]));
    root.add_child(ram);

    root.add_child(gic(layout));
    root.add_child(timer());
    root.add_child(hypervisor(layout));
    tree.to_dtb()
}

fn cpus() -> DeviceTreeNode {
    let mut cpu = node("cpu@0");
    set(&mut cpu, "device_type", "cpu");
    set(&mut cpu, "compatible", "arm,cortex-a15");
    set(&mut cpu, "reg", 0u32);
    let mut cpus = node("cpus");
    set(&mut cpus, "#address-cells", 1u32);
    set(&mut cpus, "#size-cells", 0u32);
    cpus.add_child(cpu);
    cpus
}

fn psci() -> DeviceTreeNode {
    let mut psci = node("psci");
    set(&mut psci, "compatible", "arm,psci");
    set(&mut psci, "method", "hvc");
    set(&mut psci, "cpu_off", 1u32);
    set(&mut psci, "cpu_on", 2u32);
    psci
}

fn gic(layout: &Layout) -> DeviceTreeNode {
    let mut gic = node(&format!("interrupt-controller@{:x}", layout.gic));
    set(&mut gic, "compatible", vec!["arm,cortex-a15-gic", "arm,cortex-a9-gic"]);
    set(&mut gic, "#interrupt-cells", 3u32);
    set(&mut gic, "#address-cells", 0u32);
    set(&mut gic, "interrupt-controller", [0u8; 0]);
    set(&mut gic, "reg", cells(&[layout.gic, 0x1000, layout.gic + 0x1000, 0x100]));
    set(&mut gic, "phandle", GIC_PHANDLE);
    gic
}

/// Interrupts in the GIC binding: type (1: private), number, flags (0xf08: level, low, any CPU).
fn timer() -> DeviceTreeNode {
    let mut timer = node("timer");
    set(&mut timer, "compatible", "arm,armv7-timer");
    let interrupts: Vec<u32> = [13, 14, 11, 10].iter().flat_map(|n| [1, *n, 0xf08]).collect();
    set(&mut timer, "interrupts", interrupts);
    timer
}

fn hypervisor(layout: &Layout) -> DeviceTreeNode {
    let mut hypervisor = node("hypervisor");
    set(&mut hypervisor, "compatible", vec![format!("xen,xen-{}", layout.version).as_str(), "xen,xen"]);
    let Range { start, end } = layout.grant_table.clone();
    set(&mut hypervisor, "reg", cells(&[start, end - start]));
    set(&mut hypervisor, "interrupts", [1u32, 15, 0xf08]);
    hypervisor
}

fn node(name: &str) -> DeviceTreeNode {
    DeviceTreeNode::new_unchecked(name)
}

fn set(node: &mut DeviceTreeNode, name: &str, value: impl ToPropertyValue) {
    node.add_property(DeviceTreeProperty::new_unchecked(name, value));
}

fn cells(values: &[u64]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_be_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use dtoolkit::{Node, Property, fdt::Fdt};

    #[test]
    fn memory_and_initrd_lie_where_the_layout_has_them() {
        let blob = tree(&XEN_4_2, 128 << 20, "console=hvc0", 0x8300_0000..0x8310_0000);
        let fdt = Fdt::new(&blob).unwrap();
        let memory = fdt.find_node("/memory@80000000").unwrap();
        assert_eq!(memory.property("reg").unwrap().value(), cells(&[0x8000_0000, 128 << 20]));
        let chosen = fdt.find_node("/chosen").unwrap();
        assert_eq!(chosen.property("linux,initrd-start").unwrap().value(), 0x8300_0000u64.to_be_bytes());
    }
}
