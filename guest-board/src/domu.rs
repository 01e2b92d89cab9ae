//! The device tree of a domU, in the shape that libxl gives it.

use alloc::format;
use alloc::vec::Vec;

use device_tree::{Node, Property, Tree, Writer, gic};
use xen_abi::arch::layout;

use crate::board::{Board, affinity, banks};
use crate::cells::{self, TIMER_PPIS};
use crate::{Error, Region};

/// Phandle of the interrupt controller.
pub(crate) const PHANDLE_GIC: u32 = 65000;

impl Board<'_> {
    /// Makes the device tree.
    pub fn tree(&self) -> Result<Vec<u8>, Error> {
        self.check()?;
        let mut out = Writer::new([], 0);
        let (major, minor) = self.version;
        out.begin_node("");
        out.str("model", &format!("XENVM-{major}.{minor}"));
        out.strs("compatible", &[&format!("xen,xenvm-{major}.{minor}"), "xen,xenvm"]);
        out.u32("interrupt-parent", PHANDLE_GIC).u32("#address-cells", 2).u32("#size-cells", 2);
        self.chosen(&mut out)?;
        self.cpus(&mut out);
        cells::write_psci(&mut out);
        self.memory(&mut out)?;
        self.interrupt_controller(&mut out);
        self.timer(&mut out);
        self.hypervisor(&mut out);
        if self.vpl011 {
            write_vpl011(&mut out);
        }
        out.end_node();
        Ok(out.finish())
    }

    /// Makes the device tree, with what a partial one has below `/passthrough` and `/aliases` (xl's
    /// `device_tree`). What is there for the hypervisor only is left out, and a node `/gic` stands for the
    /// interrupt controller, whose phandle it chooses (Xen's `docs/misc/arm/passthrough.txt`).
    pub fn tree_with_partial(&self, partial: &[u8]) -> Result<Vec<u8>, Error> {
        let own = self.tree()?;
        let (own, partial) = (Tree::parse(&own)?, Tree::parse(partial)?);
        let added = ["passthrough", "aliases"].map(|name| partial.root().child(name));
        let gic = partial.root().child("gic").and_then(|node| node.phandle()).unwrap_or(PHANDLE_GIC);
        if added.iter().flatten().any(|node| has_phandle(node, gic)) {
            return Err(Error::Phandle(gic));
        }
        let mut out = Writer::new([], 0);
        out.begin_node("");
        let ours = |out: &mut Writer, property: &Property<'_>| match property.name {
            // There is no other phandle in it.
            "interrupt-parent" | "phandle" | "linux,phandle" => drop(out.u32(property.name, gic)),
            _ => drop(out.copy(property)),
        };
        let theirs = |out: &mut Writer, property: &Property<'_>| {
            if !passthrough::ALL.contains(&property.name) {
                out.copy(property);
            }
        };
        own.root().properties().for_each(|property| ours(&mut out, &property));
        own.root().children().for_each(|node| copy(&mut out, &node, &ours));
        added.iter().flatten().for_each(|node| copy(&mut out, node, &theirs));
        out.end_node();
        Ok(out.finish())
    }

    fn chosen(&self, out: &mut Writer) -> Result<(), Error> {
        out.begin_node("chosen");
        if let Some(bootargs) = self.bootargs {
            out.str("bootargs", bootargs);
        }
        if let Some(initrd) = self.initrd {
            let end = initrd.end().ok_or(Error::Cells(initrd.base))?;
            out.u64("linux,initrd-start", initrd.base).u64("linux,initrd-end", end);
        }
        if !self.rng_seed.is_empty() {
            out.property("rng-seed", self.rng_seed);
        }
        out.end_node();
        Ok(())
    }

    fn cpus(&self, out: &mut Writer) {
        out.begin_node("cpus").u32("#address-cells", 1).u32("#size-cells", 0);
        for vcpu in 0..self.vcpus {
            let affinity = affinity(vcpu);
            out.begin_node(&format!("cpu@{affinity:x}"))
                .str("device_type", "cpu")
                .str("compatible", self.cpu_compatible())
                .str("enable-method", "psci")
                .u32("reg", affinity)
                .end_node();
        }
        out.end_node();
    }

    fn memory(&self, out: &mut Writer) -> Result<(), Error> {
        for bank in banks(self.memory)? {
            out.begin_node(&format!("memory@{:x}", bank.base))
                .str("device_type", "memory")
                .regions("reg", &[bank])
                .end_node();
        }
        Ok(())
    }

    fn interrupt_controller(&self, out: &mut Writer) {
        let registers = self.gic_regions();
        out.begin_node(&format!("interrupt-controller@{:x}", registers[0].base))
            .strs("compatible", self.gic_compatible())
            .u32("#interrupt-cells", 3)
            .u32("#address-cells", 0)
            .property("interrupt-controller", &[])
            .regions("reg", &registers)
            .u32("linux,phandle", PHANDLE_GIC)
            .u32("phandle", PHANDLE_GIC)
            .end_node();
    }

    fn timer(&self, out: &mut Writer) {
        out.begin_node("timer").str("compatible", self.timer_compatible());
        interrupts(out, &cells::timer_interrupts(TIMER_PPIS));
        if let Some(frequency) = self.clock_frequency {
            out.u32("clock-frequency", frequency);
        }
        out.end_node();
    }

    fn hypervisor(&self, out: &mut Writer) {
        let (major, minor) = self.version;
        out.begin_node("hypervisor")
            .strs("compatible", &[&format!("xen,xen-{major}.{minor}"), "xen,xen"])
            .regions("reg", &self.hypervisor_regions());
        interrupts(out, &gic::ppi(layout::EVTCHN_PPI));
        out.end_node();
    }
}

/// Properties of a partial tree's nodes that tell the hypervisor what to give to the guest.
pub mod passthrough {
    /// Device memory: physical address, size, and address for the guest.
    pub const REG: &str = "xen,reg";
    /// The node of the board's tree whose interrupts are meant.
    pub const PATH: &str = "xen,path";
    /// The device is given away though nothing confines what it reads and writes.
    pub const FORCE: &str = "xen,force-assign-without-iommu";
    /// All of them.
    pub const ALL: [&str; 3] = [REG, PATH, FORCE];
}

/// Whether the node or one below it has a phandle.
fn has_phandle(node: &Node<'_>, phandle: u32) -> bool {
    node.phandle() == Some(phandle) || node.children().any(|child| has_phandle(&child, phandle))
}

/// Copies a node with all below it, each property by `write`.
fn copy(out: &mut Writer, node: &Node<'_>, write: &dyn Fn(&mut Writer, &Property<'_>)) {
    out.begin_node(node.name());
    node.properties().for_each(|property| write(out, &property));
    node.children().for_each(|child| copy(out, &child, write));
    out.end_node();
}

fn write_vpl011(out: &mut Writer) {
    /// Level, active high.
    const LEVEL_HIGH: u32 = 4;
    /// What the guest need not set.
    const SPEED: u32 = 115_200;
    out.begin_node(&format!("sbsa-pl011@{:x}", layout::PL011_BASE))
        .str("compatible", "arm,sbsa-uart")
        .regions("reg", &[Region { base: layout::PL011_BASE, size: layout::PL011_SIZE }]);
    interrupts(out, &gic::spi(layout::VPL011_SPI, LEVEL_HIGH));
    out.u32("current-speed", SPEED).end_node();
}

fn interrupts(out: &mut Writer, cells: &[u32]) {
    out.cells("interrupts", cells).u32("interrupt-parent", PHANDLE_GIC);
}
