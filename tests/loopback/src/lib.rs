#![forbid(unsafe_code)]
#![doc = include_str!("../README.md")]

pub mod disks;
pub mod noise;
pub mod toolstack;
pub mod torment;
pub mod world;
