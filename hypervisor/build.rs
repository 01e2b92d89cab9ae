//! Picks the linker script of the target's execution state, and tells the code which instruction set that is in.
use std::env;

fn main() {
    println!("cargo:rerun-if-changed=link");
    println!("cargo:rustc-check-cfg=cfg(thumb)");
    if env::var("TARGET").is_ok_and(|target| target.starts_with("thumb")) {
        println!("cargo:rustc-cfg=thumb");
    }
    if env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("none") {
        return; // `cargo check --workspace` on the host: nothing to link.
    }
    let script = match env::var("CARGO_CFG_TARGET_ARCH").as_deref() {
        Ok("arm") => "arm32.ld",
        Ok("aarch64") => "arm64.ld",
        _ => panic!("the hypervisor has no linker script for this target"),
    };
    let dir = env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    println!("cargo:rustc-link-arg-bins=-L{dir}/link");
    println!("cargo:rustc-link-arg-bins=-T{script}");
    println!("cargo:rustc-link-arg-bins=--orphan-handling=error");
    println!("cargo:rustc-link-arg-bins=--no-eh-frame-hdr");
    println!("cargo:rustc-link-arg-bins=--build-id=sha1");
}
