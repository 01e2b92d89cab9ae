#![no_std]
#![forbid(unsafe_code)]
#![doc = include_str!("../README.md")]

extern crate alloc;

mod appended;
mod board;
pub mod boot;
pub mod carry;
mod cells;
pub mod dom0;
mod domu;
mod error;
mod place;
mod tree_writer;

pub use appended::{Appended, appended};
pub use board::{Arch, Board, Direct, Gic, Shared, Uart, affinity, banks, extended_regions};
pub use device_tree::Region;
pub use domu::passthrough;
pub use error::Error;
pub use place::{Placement, place};
pub use tree_writer::TreeWriter;
