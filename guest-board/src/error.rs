//! What can go wrong with a board.

use core::fmt;

/// Why a board cannot be made.
#[derive(Debug, PartialEq, Eq)]
pub enum Error {
    /// The device tree that was given is bad.
    Tree(device_tree::Error),
    /// The kernel file is bad.
    Kernel(kernel_image::Error),
    /// The kernel is for the other kind of CPU.
    KernelArch,
    /// The kernel wants to be at an address where there is no memory.
    KernelAddress(u64),
    /// Kernel, initrd and device tree do not fit.
    TooLittleMemory {
        /// Bytes that the first bank must have.
        needed: u64,
        /// Bytes it has.
        available: u64,
    },
    /// The kernel file ends before the initrd does that its tree names.
    TruncatedInitrd {
        /// Bytes it should have.
        expected: u64,
        /// Bytes it has.
        actual: u64,
    },
    /// There is no memory at all, or more than the board can have.
    MemorySize(u64),
    /// The board cannot have so many vCPUs.
    Vcpus(u32),
    /// The tree that was given has no interrupt controller below its root.
    NoGic,
    /// The tree that was given has an interrupt controller of a kind that a guest cannot have.
    OddGic,
    /// The tree that was given uses a phandle that the board needs.
    Phandle(u32),
    /// An address does not fit the cells that the tree's root counts in.
    Cells(u64),
    /// The host's tree has no timer that the architecture describes.
    NoTimer,
    /// The host's tree has no CPU.
    NoCpu,
    /// No private interrupt is left for events.
    NoFreePpi,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tree(error) => error.fmt(f),
            Self::Kernel(error) => error.fmt(f),
            Self::KernelArch => f.write_str("kernel is for the other kind of ARM CPU"),
            Self::KernelAddress(address) => {
                write!(f, "kernel wants to be at {address:#x}, where the guest has no memory")
            }
            Self::TooLittleMemory { needed, available } => write!(
                f,
                "kernel, initrd and device tree need {} MiB of memory, the guest has {} MiB",
                needed.div_ceil(1 << 20),
                available >> 20
            ),
            Self::TruncatedInitrd { expected, actual } => {
                write!(f, "initrd after the kernel is truncated: {actual} bytes of {expected}")
            }
            Self::MemorySize(bytes) => write!(f, "a guest cannot have {} KiB of memory", bytes >> 10),
            Self::Vcpus(count) => {
                write!(f, "a guest cannot have {count} vCPUs with this interrupt controller")
            }
            Self::NoGic => f.write_str("device tree has no interrupt controller below its root"),
            Self::OddGic => {
                f.write_str("device tree's interrupt controller is not one that a guest can have")
            }
            Self::Phandle(phandle) => {
                write!(f, "device tree uses phandle {phandle}, which is the toolstack's")
            }
            Self::Cells(address) => {
                write!(f, "{address:#x} does not fit the address or size cells of the device tree's root")
            }
            Self::NoTimer => f.write_str("host's device tree has no architected timer"),
            Self::NoCpu => f.write_str("host's device tree has no CPU"),
            Self::NoFreePpi => f.write_str("no private interrupt is left for events"),
        }
    }
}

impl core::error::Error for Error {}

impl From<device_tree::Error> for Error {
    fn from(error: device_tree::Error) -> Self {
        Self::Tree(error)
    }
}

impl From<kernel_image::Error> for Error {
    fn from(error: kernel_image::Error) -> Self {
        Self::Kernel(error)
    }
}
