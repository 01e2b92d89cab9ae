//! Carries a device tree that was made for a Xen guest of another generation over to the board that the guest
//! really has.
//!
//! The first Xen on ARM put memory, interrupt controller and grant table elsewhere than those since 4.5 do,
//! and trees that were appended to kernels then still say so. What the hypervisor and the toolstack decide is
//! written anew: memory, CPUs, interrupt controller, timer, PSCI, the hypervisor's node and the boot
//! arguments. All other nodes and properties are kept.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use device_tree::{Node, Property, Region, Tree, Writer, gic};
use xen_abi::arch::layout;

use crate::board::{Board, affinity, banks};
use crate::cells::{self, TIMER_PPIS};
use crate::domu::PHANDLE_GIC;
use crate::error::Error;
use crate::tree_writer::TreeWriter;

/// Properties of the interrupt controller that are the board's business.
const GIC_OWN: [&str; 12] = [
    "compatible",
    "reg",
    "interrupts",
    "interrupts-extended",
    "interrupt-parent",
    "#interrupt-cells",
    "#address-cells",
    "#size-cells",
    "interrupt-controller",
    "ranges",
    "#redistributor-regions",
    "redistributor-stride",
];
/// Properties of the boot arguments that are the board's business.
const CHOSEN_OWN: [&str; 4] = ["bootargs", "linux,initrd-start", "linux,initrd-end", "rng-seed"];

/// Says whether a tree is that of a whole Xen guest, and not a part of one for xl's `device_tree`.
pub fn is_whole_guest(tree: &Tree<'_>) -> bool {
    let root = tree.root();
    root.is_compatible(&["xen,xenvm"]) || root.child("hypervisor").is_some() && root.children().any(is_memory)
}

/// Makes the tree for `board` out of one that was given. The board's command line, if it has one, follows
/// that of the tree; its initrd replaces that of the tree.
pub fn carry(given: &[u8], board: &Board<'_>) -> Result<Vec<u8>, Error> {
    board.check()?;
    let tree = Tree::parse(given)?;
    let carrier = Carrier::new(board, tree)?;
    carrier.write()
}

/// What a child of the root is to the board.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Memory,
    Cpus,
    Gic,
    OtherGic,
    Timer,
    Psci,
    Hypervisor,
    Chosen,
    ReservedMemory,
    Other,
}

struct Carrier<'a, 'b> {
    board: &'b Board<'b>,
    root: Node<'a>,
    gic: Option<Node<'a>>,
    gic_phandle: u32,
    banks: Vec<Region>,
    /// Where memory began in the tree that was given.
    old_memory: Option<Region>,
    out: Writer,
}

impl<'a, 'b> Carrier<'a, 'b> {
    fn new(board: &'b Board<'b>, tree: Tree<'a>) -> Result<Self, Error> {
        let root = tree.root();
        let gic = root.children().find(cells::is_gic);
        if gic.is_none() && tree.nodes().any(|node| node.has("interrupt-controller")) {
            return Err(Error::NoGic);
        }
        if gic.is_some_and(|gic| gic.u32("#interrupt-cells") != Some(3)) {
            return Err(Error::OddGic);
        }
        let gic_phandle = match gic.and_then(|gic| gic.phandle()) {
            Some(phandle) => phandle,
            None => free_phandle(&tree)?,
        };
        let mut carrier = Self {
            board,
            root,
            gic,
            gic_phandle,
            banks: banks(board.memory)?,
            old_memory: old_memory(&root),
            out: Writer::new([], 0),
        };
        let reservations: Vec<_> =
            tree.reservations().filter_map(|region| carrier.relocate(region)).collect();
        carrier.out = Writer::new(reservations, 0);
        Ok(carrier)
    }

    fn write(mut self) -> Result<Vec<u8>, Error> {
        self.out.begin_node("");
        for property in self.root.properties().filter(|property| property.name != "interrupt-parent") {
            self.out.copy(&property);
        }
        self.out.u32("interrupt-parent", self.gic_phandle);
        let mut written = Vec::new();
        for child in self.root.children() {
            let part = self.part(&child);
            match part {
                Part::Other => {
                    self.out.copy_node(&child);
                }
                Part::OtherGic => {}
                _ if written.contains(&part) => {}
                _ => self.part_from(part, Some(child))?,
            }
            written.push(part);
        }
        let ours =
            [Part::Chosen, Part::Cpus, Part::Psci, Part::Memory, Part::Gic, Part::Timer, Part::Hypervisor];
        for part in ours.into_iter().filter(|part| !written.contains(part)) {
            self.part_from(part, None)?;
        }
        self.out.end_node();
        Ok(self.out.finish())
    }

    fn part(&self, node: &Node<'_>) -> Part {
        match node.base_name() {
            "chosen" => Part::Chosen,
            "cpus" => Part::Cpus,
            "hypervisor" => Part::Hypervisor,
            "reserved-memory" => Part::ReservedMemory,
            _ if self.gic == Some(*node) => Part::Gic,
            _ if cells::is_gic(node) => Part::OtherGic,
            _ if is_memory(*node) => Part::Memory,
            _ if node.is_compatible(&cells::TIMER_COMPATIBLE) => Part::Timer,
            "psci" => Part::Psci,
            _ if node.is_compatible(&cells::PSCI_COMPATIBLE) => Part::Psci,
            _ if node.is_compatible(&["xen,xen"]) => Part::Hypervisor,
            _ => Part::Other,
        }
    }

    fn part_from(&mut self, part: Part, given: Option<Node<'a>>) -> Result<(), Error> {
        match part {
            Part::Memory => self.memory(),
            Part::Cpus => self.cpus(given),
            Part::Gic => self.interrupt_controller(given),
            Part::Timer => self.timer(given),
            Part::Psci => {
                cells::write_psci(&mut self.out);
                Ok(())
            }
            Part::Hypervisor => self.hypervisor(given),
            Part::Chosen => self.chosen(given),
            Part::ReservedMemory => self.reserved_memory(given),
            Part::OtherGic | Part::Other => Ok(()),
        }
    }

    fn memory(&mut self) -> Result<(), Error> {
        for bank in self.banks.clone() {
            let reg = cells::regions(&self.root, &[bank])?;
            self.out.begin_unit("memory", bank.base);
            self.out.str("device_type", "memory").property("reg", &reg).end_node();
        }
        Ok(())
    }

    /// As many CPUs as the board has: those of the tree first, then more like the first.
    fn cpus(&mut self, given: Option<Node<'a>>) -> Result<(), Error> {
        let cells = ["#address-cells", "#size-cells"];
        self.out.begin_node("cpus");
        self.copy_properties(given, &cells);
        self.out.u32("#address-cells", 1).u32("#size-cells", 0);
        let old: Vec<_> = given.iter().flat_map(Node::children).filter(is_cpu).collect();
        for vcpu in 0..self.board.vcpus {
            let like = old.get(vcpu as usize);
            let identity = ["phandle", "linux,phandle"].into_iter().filter(|_| like.is_none());
            let mut own: Vec<_> = ["device_type", "enable-method", "reg", "cpu-release-addr"].into();
            own.extend(identity);
            self.out.begin_unit("cpu", affinity(vcpu).into());
            self.out.str("device_type", "cpu").str("enable-method", "psci").u32("reg", affinity(vcpu));
            match like.or(old.first()) {
                Some(cpu) => self.copy_properties(Some(*cpu), &own),
                None => {
                    self.out.str("compatible", self.board.cpu_compatible());
                }
            }
            self.out.end_node();
        }
        for other in given.iter().flat_map(Node::children).filter(|child| !is_cpu(child)) {
            self.out.copy_node(&other);
        }
        self.out.end_node();
        Ok(())
    }

    fn interrupt_controller(&mut self, given: Option<Node<'a>>) -> Result<(), Error> {
        let registers = self.board.gic_regions();
        let reg = cells::regions(&self.root, &registers)?;
        self.out.begin_unit("interrupt-controller", registers[0].base);
        self.out.strs("compatible", self.board.gic_compatible());
        self.out.u32("#interrupt-cells", 3).u32("#address-cells", 0);
        self.out.property("interrupt-controller", &[]).property("reg", &reg);
        self.copy_properties(given, &GIC_OWN);
        if given.is_none_or(|gic| gic.phandle().is_none()) {
            self.out.u32("phandle", self.gic_phandle);
        }
        self.out.end_node();
        Ok(())
    }

    fn timer(&mut self, given: Option<Node<'a>>) -> Result<(), Error> {
        let own = ["compatible", "interrupts", "interrupts-extended", "interrupt-parent", "clock-frequency"];
        self.out.begin_node("timer").str("compatible", self.board.timer_compatible());
        self.interrupts(cells::timer_interrupts(TIMER_PPIS).as_flattened());
        if let Some(frequency) = self.board.clock_frequency {
            self.out.u32("clock-frequency", frequency);
        }
        self.copy_properties(given, &own);
        self.out.end_node();
        Ok(())
    }

    fn hypervisor(&mut self, given: Option<Node<'a>>) -> Result<(), Error> {
        let (major, minor) = self.board.version;
        let own = ["compatible", "reg", "interrupts", "interrupts-extended", "interrupt-parent"];
        let reg = cells::regions(&self.root, &self.board.hypervisor_regions())
            .or_else(|_| cells::regions(&self.root, &self.board.hypervisor_regions()[..1]))?;
        self.out.begin_node("hypervisor");
        self.out.strs("compatible", &[&format!("xen,xen-{major}.{minor}"), "xen,xen"]);
        self.out.property("reg", &reg);
        self.interrupts(&gic::ppi(layout::EVTCHN_PPI));
        self.copy_properties(given, &own);
        self.out.end_node();
        Ok(())
    }

    fn chosen(&mut self, given: Option<Node<'a>>) -> Result<(), Error> {
        self.out.begin_node("chosen");
        self.copy_properties(given, &CHOSEN_OWN);
        let old = given.and_then(|chosen| chosen.str("bootargs"));
        if let Some(bootargs) = merge(old, self.board.bootargs) {
            self.out.str("bootargs", &bootargs);
        }
        if let Some(initrd) = self.board.initrd {
            let end = initrd.end().ok_or(Error::Cells(initrd.base))?;
            self.out.u64("linux,initrd-start", initrd.base).u64("linux,initrd-end", end);
        }
        match given.and_then(|chosen| chosen.property("rng-seed")) {
            _ if !self.board.rng_seed.is_empty() => {
                self.out.property("rng-seed", self.board.rng_seed);
            }
            Some(seed) => {
                self.out.copy(&seed);
            }
            None => {}
        }
        for child in given.iter().flat_map(Node::children) {
            self.out.copy_node(&child);
        }
        self.out.end_node();
        Ok(())
    }

    /// Reserved memory moves with the memory that it is part of.
    fn reserved_memory(&mut self, given: Option<Node<'a>>) -> Result<(), Error> {
        let Some(given) = given else { return Ok(()) };
        self.out.begin_node("reserved-memory");
        self.copy_properties(Some(given), &[]);
        for child in given.children() {
            let old: Vec<_> = child.reg()?.collect();
            let new: Vec<_> = old.iter().filter_map(|region| self.relocate(*region)).collect();
            if new.len() < old.len() {
                continue;
            }
            self.out.begin_node(child.name());
            self.copy_properties(Some(child), &["reg"]);
            if !new.is_empty() {
                let reg = cells::regions(&given, &new)?;
                self.out.property("reg", &reg);
            }
            self.out.end_node();
        }
        self.out.end_node();
        Ok(())
    }

    /// Where a part of the old memory's first region is now, if the first bank reaches so far.
    fn relocate(&self, region: Region) -> Option<Region> {
        let old = self.old_memory?;
        let bank = self.banks.first()?;
        let offset = region.base.checked_sub(old.base)?;
        let fits = offset.checked_add(region.size)? <= old.size.min(bank.size);
        fits.then_some(Region { base: bank.base + offset, size: region.size })
    }

    fn interrupts(&mut self, cells: &[u32]) {
        self.out.cells("interrupts", cells).u32("interrupt-parent", self.gic_phandle);
    }

    fn copy_properties(&mut self, given: Option<Node<'a>>, but: &[&str]) {
        let keep = |property: &Property<'_>| !but.contains(&property.name);
        for property in given.iter().flat_map(Node::properties).filter(keep) {
            self.out.copy(&property);
        }
    }
}

/// The tree's command line, then the board's: where an option is given twice, Linux takes the last.
fn merge(tree: Option<&str>, board: Option<&str>) -> Option<String> {
    let parts: Vec<_> = [tree, board].into_iter().flatten().filter(|part| !part.is_empty()).collect();
    (!parts.is_empty()).then(|| parts.join(" "))
}

fn free_phandle(tree: &Tree<'_>) -> Result<u32, Error> {
    let taken = tree.nodes().any(|node| node.phandle() == Some(PHANDLE_GIC));
    if taken { Err(Error::Phandle(PHANDLE_GIC)) } else { Ok(PHANDLE_GIC) }
}

fn is_memory(node: Node<'_>) -> bool {
    is_memory_ref(&node)
}

/// The first region of memory that a tree tells of.
pub(crate) fn old_memory(root: &Node<'_>) -> Option<Region> {
    root.children().filter(is_memory_ref).find_map(|node| node.reg().ok()?.next())
}

/// Old trees have memory without a `device_type`.
fn is_memory_ref(node: &Node<'_>) -> bool {
    cells::is_memory(node) || node.base_name() == "memory"
}

fn is_cpu(node: &Node<'_>) -> bool {
    node.str("device_type") == Some("cpu") || node.base_name() == "cpu"
}
