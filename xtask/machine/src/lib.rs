//! The emulated machine that `cargo xtask run` and the system tests boot.
//!
//! A [`Machine`] says what to boot: a hypervisor, dom0, guests from the device tree, disks. It
//! writes the device tree that a boot loader would hand over (the board's own, with the boot
//! modules of Xen's protocol under `/chosen`) and gives back the QEMU command that puts all of it
//! into memory. Any hypervisor that follows the protocol is booted alike, Debian's Xen included.
#![forbid(unsafe_code)]

mod arch;
mod board;
pub mod paths;
mod qemu;

pub use arch::Arch;
pub use board::{HYPERVISOR, MODULES};
pub use qemu::{ChannelEnd, Console, Disk, DomU, Domain, Machine, Pool, Shared};
