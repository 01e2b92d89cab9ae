//! Debian's kernels and xl on 64-bit ARM, on ours and on Debian's Xen.
use machine::Arch::{Arm32, Arm64};
use system_tests::{
    artifacts::Hypervisor::{OursArm64, OursArm64Gicv3, XenArm64},
    cases, rust_dom0,
};

#[test]
fn debian_guest_keeps_its_disk_under_the_rust_dom0() {
    rust_dom0::debian_guest_keeps_its_disk(OursArm64);
}

#[test]
fn debian_dom0_runs_xl() {
    cases::debian_dom0_runs_xl(OursArm64);
}

#[test]
fn debian_dom0_runs_xl_on_the_reference() {
    cases::debian_dom0_runs_xl(XenArm64);
}

#[test]
fn hello_runs_under_xl() {
    cases::hello_runs_under_xl(OursArm64);
}

#[test]
fn hello_runs_under_xl_on_the_reference() {
    cases::hello_runs_under_xl(XenArm64);
}

#[test]
fn a_32_bit_hello_runs_under_xl() {
    cases::hello_runs_under_xl(OursArm64.with(Arm64, Arm32));
}

#[test]
fn a_32_bit_hello_runs_under_xl_on_the_reference() {
    cases::hello_runs_under_xl(XenArm64.with(Arm64, Arm32));
}

#[test]
fn debian_guest_keeps_its_disk() {
    cases::debian_guest_keeps_its_disk(OursArm64);
}

#[test]
fn debian_guest_keeps_its_disk_on_the_reference() {
    cases::debian_guest_keeps_its_disk(XenArm64);
}

#[test]
fn debian_guest_starts_without_dom0() {
    cases::debian_guest_starts_without_dom0(OursArm64);
}

#[test]
fn debian_guest_starts_without_dom0_on_a_gicv3() {
    cases::debian_guest_starts_without_dom0(OursArm64Gicv3);
}
