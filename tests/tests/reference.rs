//! The cases on Debian's Xen: what fails here says nothing about our hypervisor.
use machine::Arch;
use system_tests::{artifacts::Hypervisor::Xen, cases};

#[test]
fn debian_dom0_runs_xl() {
    cases::debian_dom0_runs_xl(Xen);
}

#[test]
fn debian_guest_keeps_its_disk() {
    cases::debian_guest_keeps_its_disk(Xen);
}

#[test]
fn debian_guest_starts_without_dom0() {
    cases::debian_guest_starts_without_dom0(Xen);
}

#[test]
fn keyboard_goes_round_dom0_guest_and_hypervisor() {
    cases::keyboard_goes_round(Xen);
}

#[test]
fn hello_runs_under_xl() {
    cases::hello_runs_under_xl(Xen);
}

#[test]
fn hello_starts_without_dom0() {
    cases::hello_starts_without_dom0(Xen, Arch::Arm32);
}

#[test]
fn ticker_runs_on_two_vcpus() {
    cases::ticker_runs_on_two_vcpus(Xen);
}

#[test]
fn a_guest_drives_a_device_of_the_board() {
    cases::a_guest_drives_a_device_of_the_board(Xen);
}
