//! A guest that makes hypercalls with valid, boundary and invalid arguments, and prints a line for each: the
//! operation, what was changed in its arguments, the result, and the words that the hypervisor wrote. So it does with
//! calls to firmware, which a hypervisor answers: a line is the registers before and after.
//!
//! The lines have no address and no time in them, so that those of two hypervisors can be compared. As dom0 it
//! expects domain 1 to be another of its kind with `role=idle` on the command line, which does nothing. With
//! `hypervisor=arm64` a 32-bit one leaves out what would be its end there.
#![cfg_attr(target_os = "none", no_std)]
#![no_main]

extern crate alloc;

mod calls;
mod conduit;
mod control;
mod event_channel;
mod firmware;
mod grant_table;
mod memory;
mod operation;
mod others;
mod scratch;
mod transcript;
mod values;

use guest_sdk::{Env, abi::Errno};

use transcript::Transcript;

guest_sdk::main!(main);

async fn main(env: Env) -> Result<(), Errno> {
    if env.bootarg("role") == Some("idle") {
        core::future::pending::<()>().await;
    }
    let on_arm64 = cfg!(target_arch = "aarch64") || env.bootarg("hypervisor") == Some("arm64");
    let mut transcript = Transcript::new(env.domid()?, on_arm64)?;
    others::walk(&mut transcript);
    firmware::walk(&mut transcript);
    memory::walk(&mut transcript);
    event_channel::walk(&mut transcript);
    grant_table::walk(&mut transcript);
    control::walk(&mut transcript);
    transcript.end();
    Ok(())
}
