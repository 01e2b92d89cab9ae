//! The Rust control domain.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
guest_sdk::main!(dom0::start::run);

/// There are no devices to drive on the host: `cargo check --workspace` is all that this is for.
#[cfg(not(target_os = "none"))]
fn main() {}
