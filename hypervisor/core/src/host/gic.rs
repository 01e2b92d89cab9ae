//! The board's interrupt controller.

use alloc::vec::Vec;

use device_tree::{Node, Phandles, Region};
use xen_abi::arch::gic;

use super::{
    Error,
    devices::{Nodes, interrupt, register},
};

/// What version 2 is called.
pub(super) const V2: &[&str] =
    &["arm,cortex-a15-gic", "arm,cortex-a7-gic", "arm,gic-400", "arm,cortex-a9-gic", "arm,eb11mp-gic"];
/// What version 3 is called.
pub(super) const V3: &[&str] = &["arm,gic-v3"];

/// More regions of redistributors than any board has.
const MAX_REGIONS: u32 = 64;
/// What the distance of two redistributors is a multiple of.
const STRIDE_UNIT: u64 = 0x1_0000;

/// An interrupt controller with virtualization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gic<'a> {
    /// Version 2.
    V2(GicV2<'a>),
    /// Version 3.
    V3(GicV3<'a>),
}

/// A GICv2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GicV2<'a> {
    /// Its node.
    pub node: Node<'a>,
    /// Distributor.
    pub distributor: Region,
    /// CPU interface.
    pub cpu: Region,
    /// Virtual interface control.
    pub control: Region,
    /// Virtual CPU interface.
    pub virtual_cpu: Region,
    /// Maintenance interrupt.
    pub maintenance: u32,
}

/// A GICv3, whose CPU interface is in system registers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GicV3<'a> {
    /// Its node.
    pub node: Node<'a>,
    /// Distributor.
    pub distributor: Region,
    /// Where the redistributors are.
    pub redistributors: Vec<Region>,
    /// Distance from one to the next, where they do not tell it themselves.
    pub stride: Option<u64>,
    /// Maintenance interrupt.
    pub maintenance: u32,
}

impl<'a> Gic<'a> {
    /// Reads its node.
    pub fn read(nodes: &Nodes<'a>, phandles: &Phandles<'a>) -> Result<Self, Error<'a>> {
        let node = nodes.gic.ok_or(Error::Missing("interrupt controller"))?;
        let distributor = register(&node, 0)?;
        let maintenance = interrupt(&node, 0, phandles)?.0;
        if node.is_compatible(V3) {
            let (redistributors, stride) = (redistributors(&node)?, stride(&node)?);
            return Ok(Self::V3(GicV3 { node, distributor, redistributors, stride, maintenance }));
        }
        let mut blocks = [Region::default(); 3];
        for (index, block) in (1..).zip(&mut blocks) {
            *block = register(&node, index)?;
        }
        let [cpu, control, virtual_cpu] = blocks;
        Ok(Self::V2(GicV2 { node, distributor, cpu, control, virtual_cpu, maintenance }))
    }

    /// Its distributor.
    pub fn distributor(&self) -> Region {
        match self {
            Self::V2(gic) => gic.distributor,
            Self::V3(gic) => gic.distributor,
        }
    }

    /// Its virtual CPU interface, which in version 3 is in system registers.
    pub fn virtual_cpu(&self) -> Option<Region> {
        match self {
            Self::V2(gic) => Some(gic.virtual_cpu),
            Self::V3(_) => None,
        }
    }

    /// Its maintenance interrupt.
    pub fn maintenance(&self) -> u32 {
        match self {
            Self::V2(gic) => gic.maintenance,
            Self::V3(gic) => gic.maintenance,
        }
    }

    /// Its version, as toolstacks number them.
    pub fn version(&self) -> u8 {
        match self {
            Self::V2(_) => gic::V2,
            Self::V3(_) => gic::V3,
        }
    }
}

fn redistributors<'a>(node: &Node<'a>) -> Result<Vec<Region>, Error<'a>> {
    const COUNT: &str = "#redistributor-regions";
    let count = node.u32(COUNT).unwrap_or(1);
    if !(1..=MAX_REGIONS).contains(&count) {
        return Err(Error::Property(node.at(), COUNT));
    }
    let mut regions = Vec::new();
    for index in 1..=count as usize {
        regions.push(register(node, index)?);
    }
    Ok(regions)
}

fn stride<'a>(node: &Node<'a>) -> Result<Option<u64>, Error<'a>> {
    const STRIDE: &str = "redistributor-stride";
    let Some(property) = node.property(STRIDE) else { return Ok(None) };
    match property.as_u64() {
        Some(0) => Ok(None),
        Some(stride) if stride.is_multiple_of(STRIDE_UNIT) => Ok(Some(stride)),
        _ => Err(Error::Property(node.at(), STRIDE)),
    }
}
