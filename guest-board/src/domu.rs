//! The device tree of a domU, in the shape that libxl gives it.

use alloc::format;
use alloc::vec::Vec;

use device_tree::{Node, Property, Tree, Writer, gic};
use xen_abi::arch::layout;

use crate::board::{Board, Gic, Uart, affinity, banks};
use crate::cells::{self, TIMER_PPIS};
use crate::{Error, Region, TreeWriter};

/// Phandle of the interrupt controller.
pub(crate) const PHANDLE_GIC: u32 = 65000;

impl Board<'_> {
    /// Makes the device tree.
    pub fn tree(&self) -> Result<Vec<u8>, Error> {
        let mut out = Writer::new([], 0);
        self.write_tree(&mut out)?;
        Ok(out.finish())
    }

    /// Writes the device tree.
    pub fn write_tree(&self, out: &mut impl TreeWriter) -> Result<(), Error> {
        self.check()?;
        out.begin_node("");
        let (major, minor) = self.version;
        out.strings("model", &[&format!("XENVM-{major}.{minor}")]);
        out.strings("compatible", &[&format!("xen,xenvm-{major}.{minor}"), "xen,xenvm"]);
        out.cells("interrupt-parent", &[PHANDLE_GIC]);
        out.cells("#address-cells", &[2]);
        out.cells("#size-cells", &[2]);
        self.chosen(out)?;
        self.cpus(out);
        cells::write_psci(out);
        self.memory(out)?;
        if !self.shared.is_empty() {
            self.shared(out);
        }
        self.interrupt_controller(out);
        self.timer(out);
        if self.hypervisor {
            self.hypervisor(out);
        }
        if let Some(uart) = self.vpl011 {
            write_vpl011(out, uart);
        }
        out.end_node();
        Ok(())
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

    fn chosen(&self, out: &mut impl TreeWriter) -> Result<(), Error> {
        out.begin_node("chosen");
        if let Some(bootargs) = self.bootargs {
            out.strings("bootargs", &[bootargs]);
        }
        if let Some(initrd) = self.initrd {
            out.property("linux,initrd-start", &initrd.base.to_be_bytes());
            out.property("linux,initrd-end", &initrd.end().ok_or(Error::Cells(initrd.base))?.to_be_bytes());
        }
        if !self.rng_seed.is_empty() {
            out.property("rng-seed", self.rng_seed);
        }
        out.end_node();
        Ok(())
    }

    fn cpus(&self, out: &mut impl TreeWriter) {
        out.begin_node("cpus");
        out.cells("#address-cells", &[1]);
        out.cells("#size-cells", &[0]);
        for vcpu in 0..self.vcpus {
            let affinity = affinity(vcpu);
            out.begin_unit("cpu", affinity.into());
            out.strings("device_type", &["cpu"]);
            out.strings("compatible", &[self.cpu_compatible()]);
            out.strings("enable-method", &["psci"]);
            out.cells("reg", &[affinity]);
            out.end_node();
        }
        out.end_node();
    }

    fn memory(&self, out: &mut impl TreeWriter) -> Result<(), Error> {
        let banks = match self.direct {
            Some(direct) => &direct.banks,
            None => &banks(self.memory)?,
        };
        for bank in banks {
            out.begin_unit("memory", bank.base);
            out.strings("device_type", &["memory"]);
            out.regions(&[*bank]);
            out.end_node();
        }
        Ok(())
    }

    fn shared(&self, out: &mut impl TreeWriter) {
        let (name, compatible) = cells::SHARED;
        out.begin_node("reserved-memory");
        out.cells("#address-cells", &[2]);
        out.cells("#size-cells", &[2]);
        out.property("ranges", &[]);
        for shared in self.shared {
            out.begin_unit(name, shared.region.base);
            out.strings("compatible", &[compatible]);
            out.regions(&[shared.region]);
            out.strings("xen,id", &[shared.id]);
            out.property("xen,offset", &0u64.to_be_bytes());
            out.end_node();
        }
        out.end_node();
    }

    fn interrupt_controller(&self, out: &mut impl TreeWriter) {
        let virtual_board = self.gic_regions();
        let registers = self.direct.map_or(&virtual_board[..], |direct| &direct.gic);
        out.begin_unit("interrupt-controller", registers[0].base);
        out.strings("compatible", self.gic_compatible());
        out.cells("#interrupt-cells", &[3]);
        out.cells("#address-cells", &[0]);
        out.property("interrupt-controller", &[]);
        out.regions(registers);
        if self.gic == Gic::V3 && registers.len() > 2 {
            out.cells("#redistributor-regions", &[registers.len() as u32 - 1]);
        }
        out.cells("linux,phandle", &[PHANDLE_GIC]);
        out.cells("phandle", &[PHANDLE_GIC]);
        out.end_node();
    }

    fn timer(&self, out: &mut impl TreeWriter) {
        out.begin_node("timer");
        out.strings("compatible", &[self.timer_compatible()]);
        interrupts(out, cells::timer_interrupts(TIMER_PPIS).as_flattened());
        if let Some(frequency) = self.clock_frequency {
            out.cells("clock-frequency", &[frequency]);
        }
        out.end_node();
    }

    fn hypervisor(&self, out: &mut impl TreeWriter) {
        let (major, minor) = self.version;
        out.begin_node("hypervisor");
        out.strings("compatible", &[&format!("xen,xen-{major}.{minor}"), "xen,xen"]);
        match self.direct {
            Some(direct) => out.regions(&direct.hypervisor),
            None => out.regions(&self.hypervisor_regions()),
        }
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

fn write_vpl011(out: &mut impl TreeWriter, uart: Uart) {
    /// Level, active high.
    const LEVEL_HIGH: u32 = 4;
    /// What the guest need not set.
    const SPEED: u32 = 115_200;
    out.begin_unit("sbsa-pl011", uart.base);
    out.strings("compatible", &["arm,sbsa-uart"]);
    out.regions(&[Region { base: uart.base, size: layout::PL011_SIZE }]);
    interrupts(out, &gic::spi(uart.spi, LEVEL_HIGH));
    out.cells("current-speed", &[SPEED]);
    out.end_node();
}

fn interrupts(out: &mut impl TreeWriter, cells: &[u32]) {
    out.cells("interrupts", cells);
    out.cells("interrupt-parent", &[PHANDLE_GIC]);
}
