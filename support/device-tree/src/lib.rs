#![no_std]
#![forbid(unsafe_code)]
#![doc = include_str!("../README.md")]

extern crate alloc;

mod address;
pub mod gic;
mod interrupt;
mod node;
mod property;
mod token;
mod tree;
mod writer;

pub use address::{Range, Ranges, Reg, Region, take};
pub use interrupt::{Interrupt, Phandles};
pub use node::{Children, Node, NodeAt, Nodes, Properties};
pub use property::{Property, Strings};
pub use tree::{Error, MAGIC, Tree, total_size};
pub use writer::Writer;
