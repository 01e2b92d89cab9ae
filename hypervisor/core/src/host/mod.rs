//! The board that runs us, as its device tree describes it.
//!
//! The tree comes from firmware and boot loader: what it says is believed about the hardware, but
//! nothing about it is assumed. What is missing or makes no sense is an [`Error`] that says which
//! node and why. [`memory`] and [`chosen`] work without a heap, since they say where one can be.

pub mod chosen;
pub mod devices;
pub mod gic;
pub mod memory;
pub mod shared;

use core::fmt;

use device_tree::{NodeAt, Phandles, Tree};

/// What is wrong with the description of the board.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error<'a> {
    /// No node is compatible with this.
    Missing(&'static str),
    /// A node lacks a property, or the property makes no sense.
    Property(NodeAt<'a>, &'static str),
    /// A node's `reg` has too few entries, or one that is no address of the CPU.
    Address(NodeAt<'a>, usize),
    /// A node's `interrupts` has too few entries, or one that is none of this interrupt controller.
    Interrupt(NodeAt<'a>, usize),
    /// The tree itself.
    Tree(NodeAt<'a>, device_tree::Error),
    /// There are more pieces of memory than there is room to list.
    TooManyRanges,
}

impl fmt::Display for Error<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(what) => write!(f, "the device tree has no {what}"),
            Self::Property(node, name) => write!(f, "{node}: bad or missing `{name}`"),
            Self::Address(node, index) => write!(f, "{node}: bad or missing `reg` entry {index}"),
            Self::Interrupt(node, index) => write!(f, "{node}: bad or missing interrupt {index}"),
            Self::Tree(node, error) => write!(f, "{node}: {error}"),
            Self::TooManyRanges => f.write_str("memory is in too many pieces"),
        }
    }
}

/// A board's tree, with what the hypervisor and its domains need of it read once.
pub struct Described<'a> {
    /// The tree.
    pub tree: &'a Tree<'a>,
    /// Its nodes that others refer to.
    pub phandles: Phandles<'a>,
    /// Its nodes that the hypervisor drives.
    pub nodes: devices::Nodes<'a>,
    /// Its interrupt controller.
    pub gic: gic::Gic<'a>,
    /// Its timer.
    pub timer: devices::Timer<'a>,
}

impl<'a> Described<'a> {
    /// Reads a tree.
    ///
    /// # Errors
    ///
    /// There is no interrupt controller or no timer that can be used.
    pub fn read(tree: &'a Tree<'a>) -> Result<Self, Error<'a>> {
        let phandles = Phandles::of(tree);
        let nodes = devices::Nodes::find(tree);
        let gic = gic::Gic::read(&nodes, &phandles)?;
        let timer = devices::Timer::read(&nodes, &phandles)?;
        Ok(Self { tree, phandles, nodes, gic, timer })
    }
}

#[cfg(test)]
mod tests;
