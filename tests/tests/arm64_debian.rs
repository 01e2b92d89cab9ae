//! Debian's kernels and xl on 64-bit ARM, with dom0 and guests of either state.
use machine::Arch::{Arm32, Arm64};
use system_tests::{
    artifacts::Hypervisor::{OursArm64, OursArm64Gicv3, XenArm64},
    cases, debian_net, debian_xl, rust_dom0,
};

/// All that QEMU emulates, with pointer authentication by an algorithm that is not too slow.
const NEWEST: &str = "max,pauth-impdef=on";

#[test]
fn debian_guest_keeps_its_disk_under_the_rust_dom0() {
    rust_dom0::debian_guest_keeps_its_disk(OursArm64);
}

#[test]
#[ignore = "a combination of what quick tests show"]
fn a_32_bit_debian_guest_keeps_its_disk_under_the_rust_dom0() {
    rust_dom0::debian_guest_keeps_its_disk(OursArm64.with(Arm64, Arm32));
}

#[test]
fn a_32_bit_rust_dom0_runs_a_64_bit_hello() {
    rust_dom0::runs_hello(OursArm64.with(Arm32, Arm64));
}

#[test]
fn a_32_bit_rust_dom0_runs_a_32_bit_hello() {
    rust_dom0::runs_hello(OursArm64.with(Arm32, Arm32));
}

#[test]
fn a_32_bit_hello_runs_under_the_rust_dom0() {
    rust_dom0::runs_hello(OursArm64.with(Arm64, Arm32));
}

#[test]
#[ignore = "a combination of what quick tests show"]
fn debian_guest_keeps_its_disk_under_a_32_bit_rust_dom0() {
    rust_dom0::debian_guest_keeps_its_disk(OursArm64.with(Arm32, Arm64));
}

#[test]
#[ignore = "a combination of what quick tests show"]
fn a_32_bit_debian_guest_keeps_its_disk_under_a_32_bit_rust_dom0() {
    rust_dom0::debian_guest_keeps_its_disk(OursArm64.with(Arm32, Arm32));
}

#[test]
#[ignore = "the guests of xl show it"]
fn debian_dom0_runs_xl() {
    cases::debian_dom0_runs_xl(OursArm64);
}

#[test]
fn hello_runs_under_xl() {
    cases::hello_runs_under_xl(OursArm64);
}

#[test]
fn a_32_bit_ticker_runs_on_two_vcpus() {
    cases::ticker_runs_on_two_vcpus(OursArm64.with(Arm64, Arm32));
}

#[test]
fn debian_guest_keeps_its_disk() {
    cases::debian_guest_keeps_its_disk(OursArm64);
}

#[test]
#[ignore = "a combination of what quick tests show"]
fn a_32_bit_debian_guest_keeps_its_disk() {
    cases::debian_guest_keeps_its_disk(OursArm64.with(Arm64, Arm32));
}

#[test]
fn a_32_bit_debian_dom0_runs_a_64_bit_hello() {
    cases::hello_runs_under_xl(OursArm64.with(Arm32, Arm64));
}

#[test]
#[ignore = "a combination of what quick tests show"]
fn debian_guest_keeps_its_disk_under_a_32_bit_dom0() {
    cases::debian_guest_keeps_its_disk(OursArm64.with(Arm32, Arm64));
}

#[test]
#[ignore = "a combination of what quick tests show"]
fn a_32_bit_debian_guest_keeps_its_disk_under_a_32_bit_dom0() {
    cases::debian_guest_keeps_its_disk(OursArm64.with(Arm32, Arm32));
}

#[test]
fn ticker_runs_on_two_vcpus_of_a_gicv3() {
    cases::ticker_runs_on_two_vcpus(OursArm64Gicv3);
}

#[test]
#[ignore = "a combination of what quick tests show"]
fn debian_guest_keeps_its_disk_on_a_gicv3() {
    cases::debian_guest_keeps_its_disk(OursArm64Gicv3);
}

#[test]
#[ignore = "a combination of what quick tests show"]
fn a_32_bit_debian_guest_keeps_its_disk_on_a_gicv3() {
    cases::debian_guest_keeps_its_disk(OursArm64Gicv3.with(Arm64, Arm32));
}

#[test]
#[ignore = "a combination of what quick tests show"]
fn a_32_bit_debian_dom0_runs_xl_on_a_gicv3() {
    cases::debian_dom0_runs_xl(OursArm64Gicv3.with(Arm32, Arm32));
}

#[test]
fn debian_guest_starts_without_dom0() {
    cases::debian_guest_starts_without_dom0(OursArm64);
}

#[test]
#[ignore = "a combination of what quick tests show"]
fn debian_guest_starts_without_dom0_on_a_gicv3() {
    cases::debian_guest_starts_without_dom0(OursArm64Gicv3);
}

#[test]
#[ignore = "a combination of what quick tests show"]
fn a_32_bit_debian_guest_starts_without_dom0() {
    cases::debian_guest_starts_without_dom0(OursArm64.with(Arm64, Arm32));
}

#[test]
#[ignore = "a combination of what quick tests show"]
fn keyboard_goes_round_dom0_guest_and_hypervisor() {
    cases::keyboard_goes_round(OursArm64);
}

#[test]
#[ignore = "a combination of what quick tests show"]
fn keyboard_goes_round_dom0_a_32_bit_guest_and_hypervisor() {
    cases::keyboard_goes_round(OursArm64.with(Arm64, Arm32));
}

#[test]
#[ignore = "takes a minute"]
fn two_guests_fetch_a_file_by_tcp() {
    debian_net::two_guests_fetch_a_file_by_tcp(OursArm64);
}

#[test]
fn debian_guest_uses_four_cpus() {
    cases::debian_guest_uses_all_cpus(OursArm64, "cortex-a57", 4);
}

#[test]
fn debian_guest_uses_four_of_the_newest_cpus_with_a_gicv3() {
    cases::debian_guest_uses_all_cpus(OursArm64Gicv3, NEWEST, 4);
}

#[test]
#[ignore = "a combination of what quick tests show"]
fn debian_guest_uses_two_of_the_newest_cpus() {
    cases::debian_guest_uses_all_cpus(OursArm64, NEWEST, 2);
}

#[test]
#[ignore = "a combination of what quick tests show"]
fn debian_guest_uses_four_cortex_a53_with_a_gicv3() {
    cases::debian_guest_uses_all_cpus(OursArm64Gicv3, "cortex-a53", 4);
}

#[test]
#[ignore = "a combination of what quick tests show"]
fn debian_guest_uses_two_cortex_a72_with_a_gicv3() {
    cases::debian_guest_uses_all_cpus(OursArm64Gicv3, "cortex-a72", 2);
}

#[test]
#[ignore = "a combination of what quick tests show"]
fn debian_guest_uses_eight_cpus_with_a_gicv3() {
    cases::debian_guest_uses_all_cpus(OursArm64Gicv3, "cortex-a57", 8);
}

#[test]
fn a_32_bit_ticker_runs_on_two_cpus() {
    rust_dom0::runs_ticker(OursArm64.with(Arm64, Arm32));
}

#[test]
#[ignore = "a combination of what quick tests show"]
fn a_32_bit_ticker_runs_on_two_cpus_under_a_32_bit_rust_dom0() {
    rust_dom0::runs_ticker(OursArm64.with(Arm32, Arm32));
}

#[test]
fn debian_dom0_uses_four_cpus_with_a_gicv3() {
    cases::debian_dom0_uses_all_cpus(OursArm64Gicv3, "cortex-a57", 4);
}

#[test]
#[ignore = "a minute"]
fn a_32_bit_debian_guest_uses_two_cpus() {
    cases::debian_guest_uses_all_cpus(OursArm64.with(Arm64, Arm32), "cortex-a57", 2);
}

#[test]
#[ignore = "takes minutes"]
fn answers_of_xl_are_the_references() {
    debian_xl::answers_are_the_references(OursArm64, XenArm64);
}
