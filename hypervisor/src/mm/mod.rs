//! Memory of the hypervisor itself, and its way to everyone else's.

mod guest_memory;
pub mod heap;
pub mod plan;
pub mod ram;
pub mod tables;
pub mod window;
mod words;
