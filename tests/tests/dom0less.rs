//! What our hypervisor starts from the device tree.
use machine::Arch;
use system_tests::{
    artifacts::Hypervisor::{Ours, OursGicv3},
    cases,
};

#[test]
fn debian_guest_starts_without_dom0() {
    cases::debian_guest_starts_without_dom0(Ours);
}

#[test]
fn keyboard_goes_round_dom0_guest_and_hypervisor() {
    cases::keyboard_goes_round(Ours);
}

#[test]
fn hello_starts_without_dom0() {
    cases::hello_starts_without_dom0(Ours, Arch::Arm32);
}

#[test]
fn hello_starts_without_dom0_on_a_gicv3() {
    cases::hello_starts_without_dom0(OursGicv3, Arch::Arm32);
}

#[test]
fn a_guest_drives_a_device_of_the_board() {
    cases::a_guest_drives_a_device_of_the_board(Ours);
}
