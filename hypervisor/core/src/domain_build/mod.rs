//! Building domains at boot: dom0, and those that the device tree describes.

mod board;
mod channels;
mod dom0;
mod dom0less;
mod extended;
mod layout;
mod load;
mod memory;
mod passthrough;
mod pools;
mod shared_memory;

use core::fmt;

use device_tree::{Node, NodeAt, Region};
use guest_board::Arch;
use xen_abi::Errno;

pub use board::Board;
pub use channels::Built;
pub use dom0::Dom0;
pub use dom0less::{File, Source};
pub use pools::MadePool;

use crate::host;

/// Why a domain cannot be built.
#[derive(Debug, PartialEq)]
pub enum BuildError<'a> {
    /// What the board's device tree says, or does not say.
    Host(host::Error<'a>),
    /// The board that the guest is to have.
    Board(guest_board::Error),
    /// A node asks for something that this hypervisor does not have.
    Unsupported(NodeAt<'a>, &'static str),
    /// Memory that is set aside for a guest is no RAM, or it is in use.
    NotFree(Region),
    /// So many bytes of memory could not be had.
    Memory(u64),
    /// So many bytes have to lie below 4 GiB, in one piece.
    LowMemory(u64),
    /// There is no kernel.
    NoKernel,
    /// The device tree is longer than there was room for.
    TreeSize(usize),
    /// This hypervisor does not run kernels for that state of the CPU.
    State(Arch),
    /// The node at the other end of this node's event channel is none, is no built domain's, or points elsewhere.
    NoPeer(NodeAt<'a>),
    /// Two nodes of shared memory have the same id and different memory, or the other way round.
    Contradiction(NodeAt<'a>, NodeAt<'a>),
    /// Shared memory has no owner, or another one than the node says.
    NoOwner(NodeAt<'a>),
    /// Something is where a domain is to have shared memory.
    Taken(NodeAt<'a>, Region),
    /// The ports that a node and the one at the other end choose cannot be connected.
    Ports(NodeAt<'a>, [u32; 2], Errno),
    /// The domain could not be made.
    Create(Errno),
}

impl fmt::Display for BuildError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(error) => error.fmt(f),
            Self::Board(error) => error.fmt(f),
            Self::Unsupported(node, name) => write!(f, "{node}: `{name}` is not supported"),
            Self::NotFree(region) => {
                write!(f, "what is set aside at {:#x}+{:#x} is no RAM or is in use", region.base, region.size)
            }
            Self::Memory(bytes) => write!(f, "there are not {} MiB of free memory", bytes >> 20),
            Self::LowMemory(bytes) => {
                write!(f, "there are not {} MiB of free memory in one piece below 4 GiB", bytes >> 20)
            }
            Self::NoKernel => f.write_str("there is no module with a kernel"),
            Self::TreeSize(bytes) => write!(f, "the device tree takes {bytes} bytes: too many"),
            Self::State(Arch::Arm32) => f.write_str("the kernel is for AArch32, which is not to be had here"),
            Self::State(Arch::Arm64) => f.write_str("the kernel is for AArch64, which is not to be had here"),
            Self::NoPeer(node) => write!(f, "{node}: no domain has a node that points back at it"),
            Self::Ports(node, [port, other], errno) => {
                write!(f, "{node}: ports {port} and {other} cannot be connected: {errno}")
            }
            Self::Contradiction(node, other) => {
                write!(f, "{node}: only one of `xen,shm-id` and memory is that of {other}")
            }
            Self::NoOwner(node) => {
                write!(f, "{node}: the memory has no owner, or not the one that `role` implies")
            }
            Self::Taken(node, region) => {
                write!(f, "{node}: the domain has something else at {:#x}+{:#x}", region.base, region.size)
            }
            Self::Create(errno) => write!(f, "the domain cannot be made: {errno}"),
        }
    }
}

impl<'a> From<host::Error<'a>> for BuildError<'a> {
    fn from(error: host::Error<'a>) -> Self {
        Self::Host(error)
    }
}

impl From<guest_board::Error> for BuildError<'_> {
    fn from(error: guest_board::Error) -> Self {
        Self::Board(error)
    }
}

impl From<Errno> for BuildError<'_> {
    fn from(errno: Errno) -> Self {
        Self::Create(errno)
    }
}

/// A node's property is bad or missing.
fn bad<'a>(node: &Node<'a>, property: &'static str) -> BuildError<'a> {
    BuildError::Host(host::Error::Property(node.at(), property))
}

#[cfg(test)]
mod tests;
