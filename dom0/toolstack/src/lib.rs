#![no_std]
#![forbid(unsafe_code)]
#![doc = include_str!("../README.md")]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod build;
pub mod config;
pub mod control;
mod create;
mod destroy;
pub mod devices;
mod domains;
mod error;
mod fdt;
pub mod format;
pub mod host;
pub mod hypercalls;
mod image;
mod interrupt;
mod lifecycle;
mod memory;
mod nodes;
pub mod store;
#[cfg(test)]
mod tests;
mod toolstack;

pub use domains::Listed;
pub use error::{Error, Result};
pub use interrupt::Interrupt;
pub use lifecycle::{End, Order, shutdown_reason};
pub use toolstack::{ListedVcpu, Toolstack};
