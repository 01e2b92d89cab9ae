//! The cases of 64-bit ARM on Debian's Xen: what fails here says nothing about our hypervisor.
use machine::Arch::{Arm32, Arm64};
use system_tests::{
    artifacts::Hypervisor::{XenArm64, XenArm64Gicv3},
    cases, debian_net, rust_dom0,
};

#[test]
fn a_32_bit_rust_dom0_runs_a_32_bit_hello() {
    rust_dom0::runs_hello(XenArm64.with(Arm32, Arm32));
}

#[test]
#[ignore = "the guests of xl show it"]
fn debian_dom0_runs_xl() {
    cases::debian_dom0_runs_xl(XenArm64);
}

#[test]
#[ignore = "a combination of what quick tests show"]
fn a_32_bit_debian_dom0_runs_xl() {
    cases::debian_dom0_runs_xl(XenArm64.with(Arm32, Arm32));
}

#[test]
fn a_32_bit_hello_runs_under_xl() {
    cases::hello_runs_under_xl(XenArm64.with(Arm64, Arm32));
}

#[test]
#[ignore = "a combination of what quick tests show"]
fn a_32_bit_ticker_runs_on_two_vcpus() {
    cases::ticker_runs_on_two_vcpus(XenArm64.with(Arm64, Arm32));
}

#[test]
fn debian_guest_keeps_its_disk() {
    cases::debian_guest_keeps_its_disk(XenArm64);
}

#[test]
#[ignore = "a combination of what quick tests show"]
fn a_32_bit_debian_guest_keeps_its_disk() {
    cases::debian_guest_keeps_its_disk(XenArm64.with(Arm64, Arm32));
}

#[test]
#[ignore = "a combination of what quick tests show"]
fn debian_guest_keeps_its_disk_on_a_gicv3() {
    cases::debian_guest_keeps_its_disk(XenArm64Gicv3);
}

#[test]
#[ignore = "a combination of what quick tests show"]
fn a_32_bit_debian_guest_keeps_its_disk_on_a_gicv3() {
    cases::debian_guest_keeps_its_disk(XenArm64Gicv3.with(Arm64, Arm32));
}

#[test]
#[ignore = "a combination of what quick tests show"]
fn a_32_bit_debian_guest_starts_without_dom0() {
    cases::debian_guest_starts_without_dom0(XenArm64.with(Arm64, Arm32));
}

#[test]
#[ignore = "takes a minute"]
fn two_guests_fetch_a_file_by_tcp() {
    debian_net::two_guests_fetch_a_file_by_tcp(XenArm64);
}

#[test]
fn rust_dom0_runs_hello() {
    rust_dom0::runs_hello(XenArm64);
}

#[test]
fn rust_dom0_runs_hello_on_a_gicv3() {
    rust_dom0::runs_hello(XenArm64Gicv3);
}

#[test]
fn rust_dom0_manages_guests() {
    rust_dom0::guests_are_managed(XenArm64);
}

#[test]
fn hello_starts_without_dom0() {
    cases::hello_starts_without_dom0(XenArm64, Arm64);
}

#[test]
fn ticker_runs_on_two_vcpus() {
    cases::ticker_runs_on_two_vcpus(XenArm64);
}

#[test]
fn disk_is_copied() {
    cases::disk_is_copied(XenArm64);
}

#[test]
fn echo_server_sends_a_file_back() {
    debian_net::echo_server_sends_a_file_back(XenArm64);
}

#[test]
fn selftest_passes() {
    rust_dom0::selftest_passes(XenArm64, "cortex-a57");
}
