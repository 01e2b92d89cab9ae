#![cfg_attr(target_os = "none", no_std)]
#![doc = include_str!("../README.md")]

extern crate alloc;

pub mod allowance;
mod arch;
#[cfg(any(test, target_os = "none"))]
mod board;
#[cfg(target_os = "none")]
mod boot;
pub mod byte_ring;
pub mod console;
pub mod control;
mod env;
pub mod event;
pub mod exec;
#[cfg(not(target_os = "none"))]
pub mod fake;
#[cfg(target_os = "none")]
mod gic;
pub mod grant;
pub mod hypercall;
#[cfg(target_os = "none")]
pub mod irq;
mod lock;
pub mod memory;
#[cfg(any(test, target_os = "none"))]
mod mm;
#[cfg(target_os = "none")]
mod panic;
#[cfg(target_os = "none")]
mod percpu;
pub mod ring;
pub mod shared;
mod shared_info;
pub mod smp;
mod start;
mod system;
pub mod time;
#[cfg(target_os = "none")]
mod timer;
pub mod xenbus;
pub mod xenstore;

pub use env::Env;
pub use lock::{IrqLock, RawIrqLock};
pub use start::Exit;
#[doc(hidden)]
pub use start::start;
pub use xen_abi as abi;
