//! What our hypervisor starts from the device tree.
use system_tests::{
    artifacts::Hypervisor::{Ours, OursGicv3},
    cases,
};

#[test]
fn keyboard_goes_round_dom0_guest_and_hypervisor() {
    cases::keyboard_goes_round(Ours);
}

#[test]
fn a_guest_drives_a_device_of_the_board() {
    cases::a_guest_drives_a_device_of_the_board(Ours);
}

#[test]
fn debian_guest_is_where_the_machine_is() {
    cases::debian_guest_is_where_the_machine_is(Ours);
    cases::debian_guest_is_where_the_machine_is(OursGicv3);
}

#[test]
fn domains_count_in_memory_that_they_share() {
    cases::domains_count_in_memory_that_they_share(Ours);
}

#[test]
fn event_channels_are_there_from_the_start() {
    cases::event_channels_are_there_from_the_start(Ours);
}

#[test]
fn a_guest_has_the_memory_set_aside_for_it() {
    cases::a_guest_has_the_memory_set_aside_for_it(Ours);
}

#[test]
fn memory_comes_from_the_heap_alone() {
    cases::memory_comes_from_the_heap_alone(Ours);
}

#[test]
fn guests_run_in_pools() {
    cases::guests_run_in_pools(Ours);
}
