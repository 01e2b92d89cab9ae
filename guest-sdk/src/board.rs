//! What the device tree says about the machine that this domain sees.

use core::fmt;

use crate::smp::MAX_VCPUS;
use device_tree::{Error, Node, Region, Tree};
use heapless::Vec;

/// Banks of memory, and ranges in them that are taken, at most.
pub(crate) const MAX_RANGES: usize = 32;

/// A list of ranges of guest-physical addresses.
pub(crate) type Regions = Vec<Region, MAX_RANGES>;

/// The parts of the device tree that the program itself needs.
#[derive(Debug, Default)]
pub(crate) struct Board {
    /// Memory that is ours.
    pub(crate) memory: Regions,
    /// What in it was loaded, and must be left alone.
    pub(crate) reserved: Regions,
    pub(crate) initrd: Option<Region>,
    /// Affinities of the vCPUs, the booting one first.
    pub(crate) vcpus: Vec<u32, MAX_VCPUS>,
    /// The PSCI function that starts a vCPU, when it is not the standard one.
    pub(crate) cpu_on: Option<u32>,
    pub(crate) controller: Option<Controller>,
    /// Interrupt ids.
    pub(crate) timer: Option<u32>,
    pub(crate) events: Option<u32>,
    /// Hertz, when the timer's own register is not to be believed.
    pub(crate) timer_hz: Option<u32>,
    /// Space for the grant table.
    pub(crate) grant_table: Option<Region>,
}

/// The interrupt controller's registers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "there is only one")]
pub(crate) enum Controller {
    V2 { distributor: Region, cpu_interface: Region },
    V3 { distributor: Region, redistributors: Regions },
}

/// Why a board cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum BoardError {
    /// A property that is needed is wrong.
    Tree(Error),
    /// More ranges are to be left alone than can be remembered.
    Reserved,
}

impl From<Error> for BoardError {
    fn from(error: Error) -> Self {
        Self::Tree(error)
    }
}

impl fmt::Display for BoardError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tree(error) => error.fmt(f),
            Self::Reserved => f.write_str("device tree reserves too many ranges"),
        }
    }
}

impl Board {
    /// Reads the tree.
    ///
    /// # Errors
    ///
    /// What is wrong with it. What is missing is not an error here.
    pub(crate) fn read(tree: &Tree<'_>) -> Result<Self, BoardError> {
        let root = tree.root();
        let mut board = Self::default();
        board.reserve(tree.reservations())?;
        // Not ours, although for dom0 Xen lists it as memory, too.
        let mut withheld = Regions::new();
        for node in root.children() {
            match node.base_name() {
                "memory" => extend(&mut board.memory, node.reg()?),
                "reserved-memory" => {
                    for area in node.children() {
                        for region in area.reg()? {
                            withheld.push(region).map_err(|_| BoardError::Reserved)?;
                        }
                    }
                }
                "chosen" => board.read_chosen(&node)?,
                "cpus" => board.read_cpus(&node)?,
                "hypervisor" => {
                    board.grant_table = node.reg()?.next();
                    board.events = interrupt(&node, 0);
                }
                "timer" if board.timer.is_none() => {
                    /// Secure, non-secure, virtual, hypervisor.
                    const VIRTUAL: usize = 2;
                    board.timer = interrupt(&node, VIRTUAL);
                    board.timer_hz = node.u32("clock-frequency");
                }
                "psci" => board.read_psci(&node),
                _ => {}
            }
        }
        for region in withheld {
            subtract(&mut board.memory, region);
        }
        board.read_gic(tree)?;
        Ok(board)
    }

    fn reserve(&mut self, more: impl IntoIterator<Item = Region>) -> Result<(), BoardError> {
        for region in more {
            self.reserved.push(region).map_err(|_| BoardError::Reserved)?;
        }
        Ok(())
    }

    fn read_chosen(&mut self, chosen: &Node<'_>) -> Result<(), BoardError> {
        let address = |name| chosen.property(name)?.as_u64();
        let (Some(start), Some(end)) = (address("linux,initrd-start"), address("linux,initrd-end")) else {
            return Ok(());
        };
        if let Some(size) = end.checked_sub(start).filter(|size| *size > 0) {
            let initrd = Region { base: start, size };
            self.initrd = Some(initrd);
            self.reserve([initrd])?;
        }
        Ok(())
    }

    fn read_cpus(&mut self, cpus: &Node<'_>) -> Result<(), Error> {
        for cpu in cpus.children().filter(|node| node.base_name() == "cpu") {
            if let Some(reg) = cpu.reg()?.next() {
                // With more than can be used, the others stay down.
                let _ = self.vcpus.push(reg.base as u32);
            }
        }
        Ok(())
    }

    fn read_psci(&mut self, node: &Node<'_>) {
        let standard = node.is_compatible(&["arm,psci-0.2", "arm,psci-1.0"]);
        if !standard {
            self.cpu_on = node.u32("cpu_on");
        }
    }

    fn read_gic(&mut self, tree: &Tree<'_>) -> Result<(), Error> {
        const GICV2: &[&str] = &["arm,gic-400", "arm,cortex-a15-gic", "arm,cortex-a7-gic"];
        if let Some(gic) = tree.compatible(GICV2).next() {
            let mut regions = gic.regions()?;
            if let (Some(distributor), Some(cpu_interface)) = (regions.next(), regions.next()) {
                self.controller = Some(Controller::V2 { distributor, cpu_interface });
            }
        } else if let Some(gic) = tree.compatible(&["arm,gic-v3"]).next() {
            let mut regions = gic.regions()?;
            if let Some(distributor) = regions.next() {
                let count = gic.u32("#redistributor-regions").unwrap_or(1);
                let mut redistributors = Regions::new();
                extend(&mut redistributors, regions.take(count as usize));
                self.controller = Some(Controller::V3 { distributor, redistributors });
            }
        }
        Ok(())
    }
}

/// Adds ranges of memory; those that there is no room for are not used.
fn extend(list: &mut Regions, more: impl IntoIterator<Item = Region>) {
    for region in more {
        let _ = list.push(region);
    }
}

/// The id of interrupt number `index` of a device right below the root, by the binding of the GIC:
/// three cells, of which the first says what the second counts.
fn interrupt(node: &Node<'_>, index: usize) -> Option<u32> {
    const SPI: u32 = 0;
    const PPI: u32 = 1;
    let mut cells = node.property("interrupts")?.cells().skip(3 * index);
    match (cells.next()?, cells.next()?) {
        (SPI, n) => n.checked_add(32),
        (PPI, n) => n.checked_add(16),
        _ => None,
    }
}

/// Takes `hole` out of all ranges of `list`.
pub(crate) fn subtract(list: &mut Regions, hole: Region) {
    let old = core::mem::take(list);
    let hole_end = hole.base.saturating_add(hole.size);
    for region in old {
        let end = region.base.saturating_add(region.size);
        let before = hole.base.clamp(region.base, end);
        let after = hole_end.clamp(region.base, end).max(before);
        for (base, end) in [(region.base, before), (after, end)] {
            if base < end {
                extend(list, [Region { base, size: end - base }]);
            }
        }
    }
}

/// The whole pages in a range: the first address, and the one after the last.
pub(crate) fn whole_pages(region: Region, limit: u64) -> Option<(u64, u64)> {
    const PAGE: u64 = xen_abi::PAGE_SIZE as u64;
    let start = region.base.checked_next_multiple_of(PAGE)?;
    let end = region.end().unwrap_or(u64::MAX).min(limit) / PAGE * PAGE;
    (start < end).then_some((start, end))
}

/// The pages that a range touches, as a range.
pub(crate) fn touched_pages(region: Region) -> Region {
    const PAGE: u64 = xen_abi::PAGE_SIZE as u64;
    let base = region.base / PAGE * PAGE;
    let end = region.base.saturating_add(region.size);
    let end = end.checked_next_multiple_of(PAGE).unwrap_or(u64::MAX);
    Region { base, size: end - base }
}

#[cfg(test)]
mod tests;
