//! Tells the crates that depend on this one where the linker script is, as `DEP_GUEST_SDK_SCRIPT`. On
//! the host there is none.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=link");
    if env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "none") {
        let here = env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
        println!("cargo::metadata=script={here}/link/guest.ld");
    }
}
