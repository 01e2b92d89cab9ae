//! The hypervisor for ARM with the virtualization extensions: all that touches the hardware.
//!
//! What it decides is decided in `hv-core`, which this image gives a machine to run on.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![cfg_attr(hot, feature(optimize_attribute))]

#[cfg(target_os = "none")]
extern crate alloc;
#[cfg(target_os = "none")]
#[macro_use]
extern crate hot;

#[cfg(target_os = "none")]
mod arch;
#[cfg(target_os = "none")]
mod board;
#[cfg(target_os = "none")]
mod boot;
#[cfg(target_os = "none")]
mod build_id;
#[cfg(target_os = "none")]
mod context;
#[cfg(target_os = "none")]
mod domains;
#[cfg(target_os = "none")]
mod gic;
#[cfg(target_os = "none")]
mod guest_tlb;
#[cfg(target_os = "none")]
mod logger;
#[cfg(target_os = "none")]
mod mm;
#[cfg(target_os = "none")]
mod mmio;
#[cfg(target_os = "none")]
mod panic;
#[cfg(target_os = "none")]
mod percpu;
#[cfg(target_os = "none")]
mod psci;
#[cfg(target_os = "none")]
mod run;
#[cfg(target_os = "none")]
mod smp;
#[cfg(target_os = "none")]
mod symbols;
#[cfg(target_os = "none")]
mod uart;

/// On a host there is nothing to run.
#[cfg(not(target_os = "none"))]
fn main() {}
