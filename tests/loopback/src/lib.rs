#![forbid(unsafe_code)]
#![doc = include_str!("../README.md")]

pub mod disks;
pub mod noise;
pub mod raw_back;
pub mod raw_front;
pub mod raw_net_back;
pub mod toolstack;
pub mod torment;
pub mod world;
