#![no_std]
#![forbid(unsafe_code)]
#![doc = include_str!("../README.md")]

extern crate alloc;

pub mod persistent;
pub mod ram;
pub mod request;
pub mod store;
