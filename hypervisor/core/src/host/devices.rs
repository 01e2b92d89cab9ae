//! The devices that the hypervisor drives itself: processors, timer, firmware.

use alloc::vec::Vec;

use device_tree::{
    Node, Phandles, Region, Tree,
    gic::{self, Trigger},
};

use super::{Error, gic as controller};

const TIMER: &[&str] = &["arm,armv8-timer", "arm,armv7-timer"];
const PSCI_STANDARD: &[&str] = &["arm,psci-0.2", "arm,psci-1.0"];
const PSCI: &[&str] = &["arm,psci", "arm,psci-0.2", "arm,psci-1.0"];

/// Entry `index` of a node's `reg`, as it stands there.
#[inline(never)]
pub(super) fn reg<'a>(node: &Node<'a>, index: usize) -> Result<Region, Error<'a>> {
    let mut reg = node.reg().map_err(|error| Error::Tree(node.at(), error))?;
    reg.nth(index).ok_or(Error::Address(node.at(), index))
}

/// A node's register block `index`, as the CPU addresses it.
pub fn register<'a>(node: &Node<'a>, index: usize) -> Result<Region, Error<'a>> {
    let bad = Error::Address(node.at(), index);
    let region = reg(node, index)?;
    let region = node.parent().and_then(|bus| bus.translate(region)).ok_or(bad)?;
    if region.size == 0 { Err(bad) } else { Ok(region) }
}

/// A node's interrupt `index`, by its id at the GIC.
pub fn interrupt<'a>(
    node: &Node<'a>,
    index: usize,
    phandles: &Phandles<'a>,
) -> Result<(u32, Trigger), Error<'a>> {
    let interrupts = node.interrupts(phandles).map_err(|error| Error::Tree(node.at(), error))?;
    let found = interrupts.get(index).and_then(|interrupt| gic::decode(&interrupt.cells));
    found.ok_or(Error::Interrupt(node.at(), index))
}

/// The nodes of what is driven, found in one walk.
#[derive(Clone, Copy, Debug)]
pub struct Nodes<'a> {
    pub(super) gic: Option<Node<'a>>,
    timer: Option<Node<'a>>,
    psci: Option<Node<'a>>,
}

impl<'a> Nodes<'a> {
    /// Looks for them.
    pub fn find(tree: &Tree<'a>) -> Self {
        let mut nodes = Self { gic: None, timer: None, psci: None };
        for node in tree.nodes() {
            let Some(compatible) = node.property("compatible") else { continue };
            let place = if compatible.has_any(controller::V2) || compatible.has_any(controller::V3) {
                &mut nodes.gic
            } else if compatible.has_any(TIMER) {
                &mut nodes.timer
            } else if compatible.has_any(PSCI) {
                &mut nodes.psci
            } else {
                continue;
            };
            if place.is_none() && node.is_available() {
                *place = Some(node);
            }
        }
        nodes
    }
}

/// Private interrupts of the generic timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timer<'a> {
    /// Its node.
    pub node: Node<'a>,
    /// Physical timer, secure.
    pub secure: u32,
    /// Physical timer, non-secure.
    pub physical: u32,
    /// Virtual timer.
    pub virtual_timer: u32,
    /// Hypervisor's timer.
    pub hypervisor: u32,
    /// Frequency, where firmware does not set the register.
    pub frequency: Option<u32>,
}

impl<'a> Timer<'a> {
    /// Reads its node.
    pub fn read(nodes: &Nodes<'a>, phandles: &Phandles<'a>) -> Result<Self, Error<'a>> {
        let node = nodes.timer.ok_or(Error::Missing("generic timer"))?;
        let mut ppis = [0; 4];
        for (index, ppi) in ppis.iter_mut().enumerate() {
            (*ppi, _) = interrupt(&node, index, phandles)?;
        }
        let [secure, physical, virtual_timer, hypervisor] = ppis;
        let frequency = node.u32("clock-frequency");
        Ok(Self { node, secure, physical, virtual_timer, hypervisor, frequency })
    }
}

/// How firmware starts CPUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Psci {
    /// Version 0.1, with the number of CPU_ON.
    Legacy(u32),
    /// Version 0.2 or later.
    Standard,
}

impl Psci {
    /// Reads its node. Firmware above us is called by SMC; another method is another hypervisor's.
    pub fn read<'a>(nodes: &Nodes<'a>) -> Result<Self, Error<'a>> {
        let node = nodes.psci.ok_or(Error::Missing("PSCI firmware"))?;
        if node.str("method") != Some("smc") {
            return Err(Error::Property(node.at(), "method"));
        }
        if node.is_compatible(PSCI_STANDARD) {
            return Ok(Self::Standard);
        }
        node.u32("cpu_on").map(Self::Legacy).ok_or(Error::Property(node.at(), "cpu_on"))
    }
}

/// Affinities of the processors that can be used, in the tree's order.
pub fn processors<'a>(tree: &Tree<'a>) -> Result<Vec<u64>, Error<'a>> {
    let cpus = tree.root().child("cpus").ok_or(Error::Missing("/cpus"))?;
    let mut affinities = Vec::new();
    for cpu in cpus.children() {
        if cpu.str("device_type") == Some("cpu") && cpu.is_available() {
            affinities.push(reg(&cpu, 0)?.base);
        }
    }
    Ok(affinities)
}
