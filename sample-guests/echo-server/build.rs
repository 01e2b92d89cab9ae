//! A guest is linked by the script that guest-sdk names.

fn main() {
    if let Ok(script) = std::env::var("DEP_GUEST_SDK_SCRIPT") {
        println!("cargo::rustc-link-arg-bins=-T{script}");
        println!("cargo::rerun-if-changed={script}");
    }
}
