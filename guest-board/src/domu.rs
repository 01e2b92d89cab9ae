//! The device tree of a domU, in the shape that libxl gives it.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use device_tree::{Node, Property, Tree, Writer, gic};
use vm_fdt::FdtWriter;
use xen_abi::arch::layout;
use xen_abi::psci;

use crate::board::{Board, Gic, Uart, affinity, banks};
use crate::cells::{self, TIMER_PPIS};
use crate::{Error, Region};

/// Phandle of the interrupt controller.
pub(crate) const PHANDLE_GIC: u32 = 65000;

impl Board<'_> {
    /// Makes the device tree.
    pub fn tree(&self) -> Result<Vec<u8>, Error> {
        self.check()?;
        let mut fdt = FdtWriter::new()?;
        let root = fdt.begin_node("")?;
        let (major, minor) = self.version;
        fdt.property_string("model", &format!("XENVM-{major}.{minor}"))?;
        strings(&mut fdt, "compatible", &[&format!("xen,xenvm-{major}.{minor}"), "xen,xenvm"])?;
        fdt.property_u32("interrupt-parent", PHANDLE_GIC)?;
        fdt.property_u32("#address-cells", 2)?;
        fdt.property_u32("#size-cells", 2)?;
        self.chosen(&mut fdt)?;
        self.cpus(&mut fdt)?;
        write_psci(&mut fdt)?;
        self.memory(&mut fdt)?;
        if !self.shared.is_empty() {
            self.shared(&mut fdt)?;
        }
        self.interrupt_controller(&mut fdt)?;
        self.timer(&mut fdt)?;
        self.hypervisor(&mut fdt)?;
        if let Some(uart) = self.vpl011 {
            write_vpl011(&mut fdt, uart)?;
        }
        fdt.end_node(root)?;
        Ok(fdt.finish()?)
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

    fn chosen(&self, fdt: &mut FdtWriter) -> Result<(), Error> {
        let node = fdt.begin_node("chosen")?;
        if let Some(bootargs) = self.bootargs {
            fdt.property_string("bootargs", bootargs)?;
        }
        if let Some(initrd) = self.initrd {
            fdt.property_u64("linux,initrd-start", initrd.base)?;
            fdt.property_u64("linux,initrd-end", initrd.end().ok_or(Error::Cells(initrd.base))?)?;
        }
        if !self.rng_seed.is_empty() {
            fdt.property("rng-seed", self.rng_seed)?;
        }
        Ok(fdt.end_node(node)?)
    }

    fn cpus(&self, fdt: &mut FdtWriter) -> Result<(), Error> {
        let cpus = fdt.begin_node("cpus")?;
        fdt.property_u32("#address-cells", 1)?;
        fdt.property_u32("#size-cells", 0)?;
        for vcpu in 0..self.vcpus {
            let affinity = affinity(vcpu);
            let cpu = fdt.begin_node(&format!("cpu@{affinity:x}"))?;
            fdt.property_string("device_type", "cpu")?;
            fdt.property_string("compatible", self.cpu_compatible())?;
            fdt.property_string("enable-method", "psci")?;
            fdt.property_u32("reg", affinity)?;
            fdt.end_node(cpu)?;
        }
        Ok(fdt.end_node(cpus)?)
    }

    fn memory(&self, fdt: &mut FdtWriter) -> Result<(), Error> {
        let banks = match self.direct {
            Some(direct) => &direct.banks,
            None => &banks(self.memory)?,
        };
        for bank in banks {
            let node = fdt.begin_node(&format!("memory@{:x}", bank.base))?;
            fdt.property_string("device_type", "memory")?;
            regions(fdt, &[*bank])?;
            fdt.end_node(node)?;
        }
        Ok(())
    }

    fn shared(&self, fdt: &mut FdtWriter) -> Result<(), Error> {
        let (name, compatible) = cells::SHARED;
        let parent = fdt.begin_node("reserved-memory")?;
        fdt.property_u32("#address-cells", 2)?;
        fdt.property_u32("#size-cells", 2)?;
        fdt.property_null("ranges")?;
        for shared in self.shared {
            let node = fdt.begin_node(&format!("{name}@{:x}", shared.region.base))?;
            fdt.property_string("compatible", compatible)?;
            regions(fdt, &[shared.region])?;
            fdt.property_string("xen,id", shared.id)?;
            fdt.property_u64("xen,offset", 0)?;
            fdt.end_node(node)?;
        }
        Ok(fdt.end_node(parent)?)
    }

    fn interrupt_controller(&self, fdt: &mut FdtWriter) -> Result<(), Error> {
        let virtual_board = self.gic_regions();
        let registers = self.direct.map_or(&virtual_board[..], |direct| &direct.gic);
        let node = fdt.begin_node(&format!("interrupt-controller@{:x}", registers[0].base))?;
        strings(fdt, "compatible", self.gic_compatible())?;
        fdt.property_u32("#interrupt-cells", 3)?;
        fdt.property_u32("#address-cells", 0)?;
        fdt.property_null("interrupt-controller")?;
        regions(fdt, registers)?;
        if self.gic == Gic::V3 && registers.len() > 2 {
            fdt.property_u32("#redistributor-regions", registers.len() as u32 - 1)?;
        }
        fdt.property_u32("linux,phandle", PHANDLE_GIC)?;
        fdt.property_phandle(PHANDLE_GIC)?;
        Ok(fdt.end_node(node)?)
    }

    fn timer(&self, fdt: &mut FdtWriter) -> Result<(), Error> {
        let node = fdt.begin_node("timer")?;
        fdt.property_string("compatible", self.timer_compatible())?;
        interrupts(fdt, &cells::timer_interrupts(TIMER_PPIS))?;
        if let Some(frequency) = self.clock_frequency {
            fdt.property_u32("clock-frequency", frequency)?;
        }
        Ok(fdt.end_node(node)?)
    }

    fn hypervisor(&self, fdt: &mut FdtWriter) -> Result<(), Error> {
        let (major, minor) = self.version;
        let node = fdt.begin_node("hypervisor")?;
        strings(fdt, "compatible", &[&format!("xen,xen-{major}.{minor}"), "xen,xen"])?;
        match self.direct {
            Some(direct) => regions(fdt, &direct.hypervisor)?,
            None => regions(fdt, &self.hypervisor_regions())?,
        }
        interrupts(fdt, &gic::ppi(layout::EVTCHN_PPI))?;
        Ok(fdt.end_node(node)?)
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

fn write_psci(fdt: &mut FdtWriter) -> Result<(), Error> {
    let node = fdt.begin_node("psci")?;
    strings(fdt, "compatible", &cells::PSCI_COMPATIBLE)?;
    fdt.property_string("method", "hvc")?;
    fdt.property_u32("cpu_off", psci::v0_1::CPU_OFF)?;
    fdt.property_u32("cpu_on", psci::v0_1::CPU_ON)?;
    Ok(fdt.end_node(node)?)
}

fn write_vpl011(fdt: &mut FdtWriter, uart: Uart) -> Result<(), Error> {
    /// Level, active high.
    const LEVEL_HIGH: u32 = 4;
    /// What the guest need not set.
    const SPEED: u32 = 115_200;
    let node = fdt.begin_node(&format!("sbsa-pl011@{:x}", uart.base))?;
    fdt.property_string("compatible", "arm,sbsa-uart")?;
    regions(fdt, &[Region { base: uart.base, size: layout::PL011_SIZE }])?;
    interrupts(fdt, &gic::spi(uart.spi, LEVEL_HIGH))?;
    fdt.property_u32("current-speed", SPEED)?;
    Ok(fdt.end_node(node)?)
}

fn interrupts(fdt: &mut FdtWriter, cells: &[u32]) -> Result<(), Error> {
    fdt.property_array_u32("interrupts", cells)?;
    Ok(fdt.property_u32("interrupt-parent", PHANDLE_GIC)?)
}

fn strings(fdt: &mut FdtWriter, name: &str, values: &[&str]) -> Result<(), Error> {
    let values: Vec<String> = values.iter().map(ToString::to_string).collect();
    Ok(fdt.property_string_list(name, values)?)
}

fn regions(fdt: &mut FdtWriter, regions: &[Region]) -> Result<(), Error> {
    let numbers: Vec<u64> = regions.iter().flat_map(|region| [region.base, region.size]).collect();
    Ok(fdt.property_array_u64("reg", &numbers)?)
}
