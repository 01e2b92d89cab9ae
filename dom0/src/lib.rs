//! The Rust control domain, but for what only runs on bare metal.
#![no_std]
#![deny(unsafe_code)]

extern crate alloc;

pub mod devices;
pub mod shell;
pub mod storage;
pub mod store;
