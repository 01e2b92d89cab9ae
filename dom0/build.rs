//! dom0 is linked as a guest is, by the script that guest-sdk names, with a stack of its own size.

/// Bytes of stack: what a command calls, with the state of what it waits for, goes deep.
const STACK: usize = 256 << 10;

fn main() {
    if let Ok(script) = std::env::var("DEP_GUEST_SDK_SCRIPT") {
        println!("cargo::rustc-link-arg-bins=-T{script}");
        println!("cargo::rustc-link-arg-bins=--defsym=PROGRAM_STACK={STACK}");
        println!("cargo::rerun-if-changed={script}");
    }
}
