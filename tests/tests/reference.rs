//! The cases on Debian's Xen: what fails here says nothing about our hypervisor.
use system_tests::{artifacts::Hypervisor::Xen, cases};

#[test]
fn keyboard_goes_round_dom0_guest_and_hypervisor() {
    cases::keyboard_goes_round(Xen);
}

#[test]
fn a_guest_drives_a_device_of_the_board() {
    cases::a_guest_drives_a_device_of_the_board(Xen);
}

#[test]
fn event_channels_are_there_from_the_start() {
    cases::event_channels_are_there_from_the_start(Xen);
}
