//! dom0's device tree, made out of the host's, and the devices and interrupts that go with it.
//!
//! dom0 gets the host's devices where they are, but for what the hypervisor keeps: memory, CPUs, interrupt
//! controller, timer and firmware calls are replaced by the virtual ones, and what the hypervisor drives is
//! not mentioned.

mod devices;
mod tree;

pub use devices::merged;

use alloc::vec::Vec;

use device_tree::gic::Trigger;
use device_tree::{Node, Phandles, Tree};

use crate::board::{Arch, Shared};
use crate::error::Error;
use crate::{Region, cells};

/// What the hypervisor has decided about dom0.
#[derive(Clone, Copy)]
pub struct Params<'a> {
    /// Its CPUs' state.
    pub arch: Arch,
    /// How many CPUs.
    pub vcpus: u32,
    /// Its memory: host-physical, the first bank first.
    pub memory: &'a [Region],
    /// Space for its grant table.
    pub grant_table: Region,
    /// Space for mapping others' memory; none for AArch32.
    pub extended_regions: &'a [Region],
    /// Memory that it shares with others.
    pub shared: &'a [Shared<'a>],
    /// The kernel module's own command line: preferred to `bootargs` in `/chosen`, but not to
    /// `xen,dom0-bootargs`.
    pub bootargs: Option<&'a str>,
    /// Where the initrd is.
    pub initrd: Option<Region>,
    /// Nodes that the hypervisor drives itself, such as its console's.
    pub taken: &'a [Node<'a>],
    /// The hypervisor's version, major and minor.
    pub version: (u32, u32),
    /// Reads register `MSI_TYPER` of a GICv2m frame at an address.
    pub msi_typer: Option<&'a dyn Fn(u64) -> u32>,
}

/// Devices: memory to map as it is, and shared interrupts to route as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Devices {
    /// Whole pages, in order, without overlap.
    pub mmio: Vec<Region>,
    /// Interrupt ids from 32 up, in order, each once.
    pub spis: Vec<(u32, Trigger)>,
}

/// dom0's tree and what belongs to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The device tree.
    pub tree: Vec<u8>,
    /// The private interrupt for events: the first one that nothing on the host uses.
    pub event_ppi: u32,
    /// What dom0 gets, and may give away.
    pub devices: Devices,
    /// What dom0 does not get but may give away: devices marked `xen,passthrough`.
    pub passthrough: Devices,
    /// Memory set aside by the firmware: to be mapped as it is, and not to be given away.
    pub reserved: Vec<Region>,
}

/// Makes dom0's tree; `phandles` are the host's.
pub fn build(host: &Tree<'_>, phandles: &Phandles<'_>, params: &Params<'_>) -> Result<Plan, Error> {
    let gic = host.nodes().find(|node| cells::is_gic(node) && node.is_available()).ok_or(Error::NoGic)?;
    tree::Builder::new(host, phandles, gic, params)?.build()
}
