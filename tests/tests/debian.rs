//! The cases that the reference proves, on our hypervisor.
use system_tests::{artifacts::Hypervisor::Ours, cases};

#[test]
fn debian_dom0_runs_xl() {
    cases::debian_dom0_runs_xl(Ours);
}

#[test]
fn hello_runs_under_xl() {
    cases::hello_runs_under_xl(Ours);
}

#[test]
fn ticker_runs_on_two_vcpus() {
    cases::ticker_runs_on_two_vcpus(Ours);
}

#[test]
fn debian_guest_keeps_its_disk() {
    cases::debian_guest_keeps_its_disk(Ours);
}
