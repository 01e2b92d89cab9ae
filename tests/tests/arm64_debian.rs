//! Debian's dom0 and its guests on 64-bit ARM, beyond the combinations.
use machine::Arch::{Arm32, Arm64};
use system_tests::{
    artifacts::Hypervisor::{OursArm64, XenArm64},
    cases, debian_net, debian_xl,
};

#[test]
#[ignore = "a combination of what quick tests show"]
fn keyboard_goes_round_dom0_guest_and_hypervisor_on_arm64() {
    cases::keyboard_goes_round(OursArm64);
}

#[test]
#[ignore = "a combination of what quick tests show"]
fn keyboard_goes_round_dom0_a_32_bit_guest_and_hypervisor_on_arm64() {
    cases::keyboard_goes_round(OursArm64.with(Arm64, Arm32));
}

#[test]
#[ignore = "takes a minute"]
fn two_guests_fetch_a_file_by_tcp_on_arm64() {
    debian_net::two_guests_fetch_a_file_by_tcp(OursArm64);
}

#[test]
#[ignore = "takes minutes"]
fn answers_of_xl_are_the_references_on_arm64() {
    debian_xl::answers_are_the_references(OursArm64, XenArm64);
}

#[test]
fn debian_dom0_drives_the_board_on_arm64() {
    cases::debian_dom0_drives_the_board(OursArm64);
}
