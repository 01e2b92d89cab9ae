#![no_std]
#![forbid(unsafe_code)]
#![doc = include_str!("../README.md")]

extern crate alloc;

mod backend;
mod connect;
mod disks;
mod pages;
pub mod persistent;
mod queue;
mod ram;
mod reports;
pub mod request;
mod stop;
mod store;
mod vbd;

pub use backend::Backend;
pub use disks::{Description, Disks, OpenError};
pub use queue::{Limits, Statistics};
pub use ram::RamStore;
pub use store::{Discard, Geometry, SECTOR_SIZE, Store, StoreError};
