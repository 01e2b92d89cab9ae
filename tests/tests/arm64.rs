//! The hypervisor for 64-bit ARM.
use system_tests::{
    artifacts::Hypervisor::{OursArm64, OursArm64Gicv3},
    cases, debian_net, rust_dom0,
};

#[test]
fn rust_dom0_manages_guests_on_arm64() {
    rust_dom0::guests_are_managed(OursArm64);
}

#[test]
fn disk_is_copied_on_arm64() {
    cases::disk_is_copied(OursArm64);
}

#[test]
fn echo_server_sends_a_file_back_on_arm64() {
    debian_net::echo_server_sends_a_file_back(OursArm64);
}

/// What guests are not to see is there on the newest processor, and most of it not on the oldest.
#[test]
fn selftest_passes_on_arm64() {
    for cpu in ["max", "cortex-a53"] {
        rust_dom0::selftest_passes(OursArm64, cpu);
        rust_dom0::selftest_passes(OursArm64Gicv3, cpu);
    }
}

#[test]
fn a_guest_drives_a_device_of_the_board_on_arm64() {
    cases::a_guest_drives_a_device_of_the_board(OursArm64);
}

#[test]
fn domains_count_in_memory_that_they_share_on_arm64() {
    cases::domains_count_in_memory_that_they_share(OursArm64);
}

#[test]
fn debian_guest_is_where_the_machine_is_on_arm64() {
    cases::debian_guest_is_where_the_machine_is(OursArm64);
    cases::debian_guest_is_where_the_machine_is(OursArm64Gicv3);
}

#[test]
fn a_guest_has_the_memory_set_aside_for_it_on_arm64() {
    cases::a_guest_has_the_memory_set_aside_for_it(OursArm64);
}

#[test]
fn memory_comes_from_the_heap_alone_on_arm64() {
    cases::memory_comes_from_the_heap_alone(OursArm64);
}

#[test]
fn event_channels_are_there_from_the_start_on_arm64() {
    cases::event_channels_are_there_from_the_start(OursArm64);
}

#[test]
fn guests_run_in_pools_on_arm64() {
    cases::guests_run_in_pools(OursArm64);
}
