#![no_std]
#![forbid(unsafe_code)]
#![doc = include_str!("../README.md")]

#[macro_use]
mod macros;

pub mod arch;
pub mod console_io;
pub mod dm_op;
pub mod domctl;
pub mod errno;
pub mod event_channel;
pub mod features;
pub mod grant_table;
pub mod hvm;
pub mod hypercall;
pub mod hypfs;
pub mod io;
pub mod memory;
pub mod physdev;
pub mod platform;
pub mod psci;
pub mod sched;
pub mod sysctl;
pub mod types;
pub mod vcpu;
pub mod version;
pub mod xen;
pub mod xsm;

pub use errno::Errno;
pub use types::{Domid, EvtchnPort, Gfn, Gref, GuestHandle, Mfn, PAGE_SHIFT, PAGE_SIZE, VcpuId};
