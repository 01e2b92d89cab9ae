//! Links the guest with the SDK's script.

fn main() {
    if let Ok(script) = std::env::var("DEP_GUEST_SDK_SCRIPT") {
        println!("cargo::rustc-link-arg-bins=-T{script}");
    }
}
