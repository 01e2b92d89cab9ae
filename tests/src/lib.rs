//! Boots whole systems in QEMU and drives them over the serial line.
//!
//! `cargo xtask test` makes the artifacts and runs these tests. Each case is a function of the
//! hypervisor that it runs on: `tests/reference.rs` proves it on Debian's Xen before it judges ours.
#![forbid(unsafe_code)]

pub mod artifacts;
pub mod cases;
pub mod console;
pub mod debian_failures;
pub mod debian_net;
pub mod debian_xl;
pub mod host_disk;
pub mod hostile;
mod mix;
pub mod rust_dom0;
pub mod transcript;

pub use console::Console;
pub use mix::Mix;
