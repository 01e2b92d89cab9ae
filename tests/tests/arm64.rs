//! The hypervisor for 64-bit ARM.
use machine::Arch;
use system_tests::{
    artifacts::Hypervisor::{OursArm64, OursArm64Gicv3},
    cases, rust_dom0,
};

#[test]
fn rust_dom0_runs_hello() {
    rust_dom0::runs_hello(OursArm64);
}

#[test]
fn rust_dom0_runs_hello_on_a_gicv3() {
    rust_dom0::runs_hello(OursArm64Gicv3);
}

#[test]
fn ticker_runs_on_two_cpus() {
    rust_dom0::runs_ticker(OursArm64);
}

#[test]
fn ticker_runs_on_two_cpus_of_a_gicv3() {
    rust_dom0::runs_ticker(OursArm64Gicv3);
}

#[test]
fn hello_starts_without_dom0() {
    cases::hello_starts_without_dom0(OursArm64, Arch::Arm64);
}

#[test]
fn a_32_bit_hello_starts_without_dom0() {
    cases::hello_starts_without_dom0(OursArm64, Arch::Arm32);
}
