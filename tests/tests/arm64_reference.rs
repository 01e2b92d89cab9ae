//! The cases of 64-bit ARM on Debian's Xen: what fails here says nothing about our hypervisor.
use system_tests::{artifacts::Hypervisor::XenArm64, cases, debian_net, rust_dom0};

#[test]
#[ignore = "takes a minute"]
fn two_guests_fetch_a_file_by_tcp_on_arm64() {
    debian_net::two_guests_fetch_a_file_by_tcp(XenArm64);
}

#[test]
fn rust_dom0_manages_guests_on_arm64() {
    rust_dom0::guests_are_managed(XenArm64);
}

#[test]
fn disk_is_copied_on_arm64() {
    cases::disk_is_copied(XenArm64);
}

#[test]
fn echo_server_sends_a_file_back_on_arm64() {
    debian_net::echo_server_sends_a_file_back(XenArm64);
}

#[test]
fn selftest_passes_on_arm64() {
    rust_dom0::selftest_passes(XenArm64, "cortex-a57");
}
