//! Cortex-A53 835769: the code generator keeps multiplications apart from accesses to memory.
use machine::{Arch, paths};
use std::fs;
use system_tests::multiply;

/// All but what lies ready in a toolchain's core: that of a toolchain that builds it is covered.
#[test]
fn no_image_for_arm64_has_the_sequence() {
    let elf = paths::target_dir().join("bare").join(Arch::Arm64.target()).join("bare");
    for package in ["hypervisor", "dom0", "hello", "bench", "selftest"] {
        let file = fs::read(elf.join(package)).expect("cargo xtask test has built it");
        let found = multiply::after_memory(&file);
        assert!(found.is_empty(), "{package}: {found:x?}");
    }
}
