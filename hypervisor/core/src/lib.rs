//! What Xen does, apart from the machine it does it on.
//!
//! The bare-metal half (`hypervisor`) owns the hardware and calls in here with what happened;
//! this crate decides and calls back through [`machine::Machine`]. It has no `unsafe` and no
//! statics, so that any number of [`Hypervisor`]s, each on a fake machine, live in one test.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod domain;
pub mod machine;
pub mod regs;
pub mod vcpu;
