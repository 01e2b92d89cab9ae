//! Walks the host's tree and writes dom0's.

use alloc::format;
use alloc::vec::Vec;

use device_tree::gic::{self, Trigger};
use device_tree::{Interrupt, Node, Phandles, Property, Tree, Writer};

use super::devices::{merged, private};
use super::{Devices, Params, Plan};
use crate::board::{Arch, affinity};
use crate::cells;
use crate::error::Error;
use crate::tree_writer::TreeWriter;

/// Nodes that dom0 does not see, with all below them: those for the hypervisor, those it replaces,
/// processors' own devices, and a timer that lies in memory, which nothing virtualises.
const DROPPED: [&str; 14] = [
    "xen,domain",
    "xen,domain-shared-memory-v1",
    "xen,evtchn-v1",
    "xen,xen",
    "xen,multiboot-module",
    "multiboot,module",
    "arm,psci",
    "arm,psci-0.2",
    "arm,psci-1.0",
    "arm,cortex-a7-pmu",
    "arm,cortex-a15-pmu",
    "arm,cortex-a53-edac",
    "arm,armv8-pmuv3",
    "arm,armv7-timer-mem",
];
/// Units between devices and memory, which are the hypervisor's.
const IOMMUS: [&str; 6] =
    ["arm,smmu-v1", "arm,smmu-v2", "arm,smmu-v3", "arm,mmu-400", "arm,mmu-401", "arm,mmu-500"];
/// Properties that lead to those.
const IOMMU_PROPERTIES: [&str; 3] = ["iommus", "iommu-map", "iommu-map-mask"];
/// Properties of `/chosen` that are for the hypervisor, or that dom0 gets anew.
const CHOSEN_OWN: [&str; 13] = [
    "bootargs",
    "xen,dom0-bootargs",
    "xen,xen-bootargs",
    "xen,static-heap",
    "linux,initrd-start",
    "linux,initrd-end",
    "stdout-path",
    "linux,stdout-path",
    "linux,uefi-system-table",
    "linux,uefi-mmap-start",
    "linux,uefi-mmap-size",
    "linux,uefi-mmap-desc-size",
    "linux,uefi-mmap-desc-ver",
];
/// Where the tree has memory that is not dom0's own.
const RESERVED: &str = "reserved-memory";
/// Frames by which devices raise a GICv2's interrupts.
const GICV2M_FRAME: [&str; 1] = ["arm,gic-v2m-frame"];
/// The timer's interrupts in the order of its node.
const TIMER_INTERRUPTS: usize = 3;

/// What becomes of a host's node.
enum Fate {
    Dropped,
    Gic,
    Timer,
    Copied,
}

pub(super) struct Builder<'a, 'p> {
    host: &'p Tree<'a>,
    phandles: &'p Phandles<'a>,
    gic: Node<'a>,
    gic_phandle: u32,
    params: &'p Params<'p>,
    timer_written: bool,
    chosen_written: bool,
    shared_written: bool,
    /// Bit n: private interrupt n is in use.
    private_used: u32,
    out: Writer,
    plan: Plan,
}

impl<'a, 'p> Builder<'a, 'p> {
    pub(super) fn new(
        host: &'p Tree<'a>,
        phandles: &'p Phandles<'a>,
        gic: Node<'a>,
        params: &'p Params<'p>,
    ) -> Result<Self, Error> {
        let gic_phandle = match gic.phandle() {
            Some(phandle) => phandle,
            None => phandles.max().checked_add(1).ok_or(Error::Phandle(u32::MAX))?,
        };
        Ok(Self {
            host,
            phandles,
            gic,
            gic_phandle,
            params,
            timer_written: false,
            chosen_written: false,
            shared_written: false,
            private_used: 0,
            out: Writer::new([], 0),
            plan: Plan::default(),
        })
    }

    pub(super) fn build(mut self) -> Result<Plan, Error> {
        let root = self.host.root();
        self.out.begin_node("");
        self.properties(&root);
        for child in root.children() {
            self.node(&child)?;
        }
        if !self.chosen_written {
            self.out.begin_node("chosen");
            self.boot_arguments(None)?;
            self.out.end_node();
        }
        if !self.timer_written {
            return Err(Error::NoTimer);
        }
        let free = (gic::PPI_BASE..gic::SPI_BASE).find(|intid| self.private_used & 1 << intid == 0);
        self.plan.event_ppi = free.ok_or(Error::NoFreePpi)?;
        self.hypervisor(&root)?;
        cells::write_psci(&mut self.out);
        self.cpus(&root)?;
        self.memory(&root)?;
        if !self.shared_written && !self.params.shared.is_empty() {
            self.out.begin_node(RESERVED).property("ranges", &[]);
            self.out.u32("#address-cells", root.address_cells()).u32("#size-cells", root.size_cells());
            self.shared(&root)?;
            self.out.end_node();
        }
        self.out.end_node();
        self.plan.devices.finish();
        self.plan.passthrough.finish();
        self.plan.tree = self.out.finish();
        Ok(self.plan)
    }

    fn node(&mut self, node: &Node<'a>) -> Result<(), Error> {
        let interrupts = node.interrupts(self.phandles).unwrap_or_default();
        let private = private(&interrupts, &self.gic);
        self.private_used |= private.iter().fold(0, |used, intid| used | 1 << intid);
        match self.fate(node, &private) {
            Fate::Dropped => Ok(()),
            Fate::Gic => self.interrupt_controller(node),
            Fate::Timer if self.timer_written => Ok(()),
            Fate::Timer => self.timer(node, &private),
            Fate::Copied => self.copy(node, &interrupts),
        }
    }

    fn fate(&self, node: &Node<'a>, private: &[u32]) -> Fate {
        let at_root = node.depth() == 1;
        let replaced = at_root && matches!(node.base_name(), "cpus" | "psci" | "hypervisor" | "memory");
        let compatible = node.property("compatible");
        let is = |names: &[&str]| compatible.is_some_and(|compatible| compatible.has_any(names));
        let driven = is(&DROPPED) || is(&IOMMUS) || self.params.taken.contains(node);
        if replaced || driven || cells::is_memory(node) {
            Fate::Dropped
        } else if *node == self.gic {
            Fate::Gic
        } else if is(&cells::TIMER_COMPATIBLE) {
            Fate::Timer
        } else if is(&cells::GICV2_COMPATIBLE) || is(&cells::GICV3_COMPATIBLE) || !private.is_empty() {
            // A second interrupt controller cannot be had, nor can a device's private interrupt.
            Fate::Dropped
        } else {
            Fate::Copied
        }
    }

    fn copy(&mut self, node: &Node<'a>, interrupts: &[Interrupt<'a>]) -> Result<(), Error> {
        self.collect(node, interrupts);
        self.out.begin_node(node.name());
        self.properties(node);
        if node.depth() == 1 && node.name() == "chosen" {
            self.boot_arguments(Some(node))?;
            self.chosen_written = true;
        }
        for child in node.children() {
            self.node(&child)?;
        }
        if node.depth() == 1 && node.name() == RESERVED {
            self.shared(node)?;
            self.shared_written = true;
        }
        self.out.end_node();
        Ok(())
    }

    /// Notes what a device needs, by whose it is.
    fn collect(&mut self, node: &Node<'a>, interrupts: &[Interrupt<'a>]) {
        let is_reserved = |parent: Node<'a>| parent.depth() == 1 && parent.name() == RESERVED;
        if node.parent().is_some_and(is_reserved) {
            let mut devices = Devices::default();
            devices.add(node, interrupts, &self.gic, self.phandles);
            self.plan.reserved.extend(devices.mmio);
        } else if node.has("xen,passthrough") {
            self.plan.passthrough.add(node, interrupts, &self.gic, self.phandles);
        } else {
            self.plan.devices.add(node, interrupts, &self.gic, self.phandles);
        }
    }

    fn properties(&mut self, node: &Node<'a>) {
        let is_chosen = node.depth() == 1 && node.name() == "chosen";
        let passthrough = node.has("xen,passthrough");
        for property in node.properties() {
            let dropped = property.name == "xen,passthrough"
                || is_chosen && CHOSEN_OWN.contains(&property.name)
                || IOMMU_PROPERTIES.contains(&property.name) && self.is_behind_iommu(node)
                || passthrough && property.name == "status";
            if !dropped {
                self.out.copy(&property);
            }
        }
        if passthrough {
            self.out.str("status", "disabled");
        }
    }

    fn is_behind_iommu(&self, node: &Node<'a>) -> bool {
        let target = |name: &str, index: usize| {
            let phandle = node.property(name)?.cells().nth(index)?;
            self.phandles.get(phandle).ok()
        };
        let unit = target("iommus", 0).or_else(|| target("iommu-map", 1));
        unit.is_some_and(|unit| unit.is_compatible(&IOMMUS))
    }

    /// The command line: that meant for dom0, else that of the kernel's module, else the plain one.
    fn boot_arguments(&mut self, chosen: Option<&Node<'a>>) -> Result<(), Error> {
        let from = |name: &str| chosen.and_then(|chosen| chosen.str(name));
        let own = self.params.bootargs.filter(|bootargs| !bootargs.is_empty());
        if let Some(bootargs) = from("xen,dom0-bootargs").or(own).or_else(|| from("bootargs")) {
            self.out.str("bootargs", bootargs);
        }
        if let Some(initrd) = self.params.initrd {
            let end = initrd.end().ok_or(Error::Cells(initrd.base))?;
            self.out.u64("linux,initrd-start", initrd.base).u64("linux,initrd-end", end);
        }
        Ok(())
    }

    /// The GIC at the host's addresses, without what is for a hypervisor. Its redistributors are as close
    /// together as they can be, whatever the host's are.
    fn interrupt_controller(&mut self, node: &Node<'a>) -> Result<(), Error> {
        let bus = node.parent().ok_or(Error::NoGic)?;
        let count = "#redistributor-regions";
        let is_v3 = node.is_compatible(&cells::GICV3_COMPATIBLE);
        let regions = if is_v3 { 1 + node.u32(count).unwrap_or(1) as usize } else { 2 };
        let entry = (bus.address_cells() + bus.size_cells()) as usize * 4;
        let reg = node.property("reg").ok_or(Error::NoGic)?.value;
        let reg = reg.get(..regions.saturating_mul(entry)).ok_or(Error::OddGic)?;

        self.out.begin_node(node.name());
        self.copy_some(node, &["compatible", "#address-cells", "#size-cells"]);
        self.out.u32("phandle", self.gic_phandle).u32("#interrupt-cells", 3);
        self.out.property("interrupt-controller", &[]).property("reg", reg);
        if is_v3 {
            self.copy_some(node, &[count]);
        }
        let mut ranges_written = is_v3;
        for child in node.children() {
            let Some(spis) = self.message_interrupts(&child).filter(|_| !is_v3) else { continue };
            if !ranges_written {
                self.copy_some(node, &["ranges"]);
                ranges_written = true;
            }
            self.message_frame(&child, spis);
        }
        self.out.end_node();
        Ok(())
    }

    /// First and number of the interrupts of a GICv2m frame, if it is one: what the tree says, else its
    /// register.
    fn message_interrupts(&self, frame: &Node<'a>) -> Option<(u32, u32)> {
        if !frame.is_compatible(&GICV2M_FRAME) {
            return None;
        }
        let given = frame.u32("arm,msi-base-spi").zip(frame.u32("arm,msi-num-spis"));
        let (first, count) = match given {
            Some(given) => given,
            None => {
                let typer = self.params.msi_typer?(frame.regions().ok()?.next()?.base);
                (typer >> 16 & 0x3ff, typer & 0x3ff)
            }
        };
        let good = first >= gic::SPI_BASE && first.checked_add(count)? <= gic::SPI_END;
        good.then_some((first, count))
    }

    fn message_frame(&mut self, frame: &Node<'a>, (first, count): (u32, u32)) {
        if let Ok(regions) = frame.regions() {
            regions.for_each(|region| self.plan.devices.add_mmio(region));
        }
        (first..first + count).for_each(|intid| self.plan.devices.add_spi(intid, Trigger::Edge));
        self.out.begin_node(frame.name()).str("compatible", GICV2M_FRAME[0]).property("msi-controller", &[]);
        self.copy_some(frame, &["phandle", "reg"]);
        self.out.u32("arm,msi-base-spi", first).u32("arm,msi-num-spis", count).end_node();
    }

    /// The virtual timer has the host's private interrupts.
    fn timer(&mut self, node: &Node<'a>, private: &[u32]) -> Result<(), Error> {
        let ppis = private.first_chunk::<TIMER_INTERRUPTS>().ok_or(Error::NoTimer)?;
        let compatible = match self.params.arch {
            Arch::Arm32 => "arm,armv7-timer",
            Arch::Arm64 => "arm,armv8-timer",
        };
        self.out.begin_node("timer").str("compatible", compatible);
        self.interrupts(cells::timer_interrupts(*ppis).as_flattened());
        self.copy_some(node, &["clock-frequency"]);
        self.out.end_node();
        self.timer_written = true;
        Ok(())
    }

    fn hypervisor(&mut self, root: &Node<'a>) -> Result<(), Error> {
        let (major, minor) = self.params.version;
        let mut regions = Vec::from([self.params.grant_table]);
        regions.extend(self.params.extended_regions);
        let reg = cells::regions(root, &regions)?;
        self.out.begin_node("hypervisor");
        self.out.strs("compatible", &[&format!("xen,xen-{major}.{minor}"), "xen,xen"]);
        self.out.property("reg", &reg);
        self.interrupts(&gic::ppi(self.plan.event_ppi));
        self.out.end_node();
        Ok(())
    }

    /// CPUs like the host's first one.
    fn cpus(&mut self, root: &Node<'a>) -> Result<(), Error> {
        let host = root.child("cpus").ok_or(Error::NoCpu)?;
        let first =
            host.children().find(|node| node.str("device_type") == Some("cpu")).ok_or(Error::NoCpu)?;
        self.out.begin_node("cpus").u32("#address-cells", 1).u32("#size-cells", 0);
        for vcpu in 0..self.params.vcpus {
            self.out.begin_unit("cpu", affinity(vcpu).into());
            self.copy_some(&first, &["compatible", "clock-frequency"]);
            self.out.str("device_type", "cpu").u32("reg", affinity(vcpu));
            if self.params.arch == Arch::Arm64 {
                self.out.str("enable-method", "psci");
            }
            self.out.end_node();
        }
        self.out.end_node();
        Ok(())
    }

    /// dom0's memory, and a second node with what the firmware has reserved, which is memory too.
    fn memory(&mut self, root: &Node<'a>) -> Result<(), Error> {
        self.plan.reserved = merged(core::mem::take(&mut self.plan.reserved));
        let reserved = self.plan.reserved.clone();
        for regions in [self.params.memory, &reserved] {
            let Some(first) = regions.first() else { continue };
            let reg = cells::regions(root, regions)?;
            self.out.begin_unit("memory", first.base);
            self.out.str("device_type", "memory").property("reg", &reg).end_node();
        }
        Ok(())
    }

    /// Memory that dom0 shares with others, in the cells of what it is below.
    fn shared(&mut self, bus: &Node<'a>) -> Result<(), Error> {
        let (name, compatible) = cells::SHARED;
        for shared in self.params.shared {
            let reg = cells::regions(bus, &[shared.region])?;
            self.out.begin_unit(name, shared.region.base);
            self.out.str("compatible", compatible).property("reg", &reg);
            self.out.str("xen,id", shared.id).u64("xen,offset", 0).end_node();
        }
        Ok(())
    }

    fn interrupts(&mut self, cells: &[u32]) {
        self.out.cells("interrupts", cells).u32("interrupt-parent", self.gic_phandle);
    }

    fn copy_some(&mut self, node: &Node<'a>, names: &[&str]) {
        let wanted = |property: &Property<'_>| names.contains(&property.name);
        for property in node.properties().filter(wanted) {
            self.out.copy(&property);
        }
    }
}
