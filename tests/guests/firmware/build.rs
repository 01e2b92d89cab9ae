//! Links the firmware to where the board starts it.

fn main() {
    println!("cargo::rerun-if-changed=firmware.ld");
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "none") {
        let here = std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
        println!("cargo::rustc-link-arg-bins=-T{here}/firmware.ld");
    }
}
