//! The Rust control domain, but for what only runs on bare metal.
#![no_std]
#![deny(unsafe_code)]

extern crate alloc;

mod boxed;
pub mod commands;
pub mod consoles;
pub mod devices;
pub mod host;
#[cfg(target_os = "none")]
pub mod probe;
pub mod prompt;
pub mod shell;
#[cfg(target_os = "none")]
pub mod start;
pub mod storage;
pub mod store;
pub mod terminal;
