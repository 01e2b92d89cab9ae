//! Boots whole systems in QEMU and drives them over the serial line.
//!
//! `cargo xtask test` makes the artifacts and runs these tests. Each case is a function of the
//! hypervisor that it runs on: Debian's Xen proves it before it judges ours. [`combination`] has the list of which
//! dom0 with which guest is proven where.
#![forbid(unsafe_code)]

pub mod artifacts;
pub mod bad_disk;
pub mod cases;
pub mod combination;
pub mod console;
pub mod debian_failures;
pub mod debian_net;
pub mod debian_xl;
pub mod host_disk;
pub mod hostile;
mod mix;
pub mod multiply;
pub mod rust_dom0;
pub mod spsr;
pub mod transcript;

pub use console::Console;
pub use mix::Mix;
