//! The Rust dom0, on ours and on Debian's Xen.
use system_tests::{
    artifacts::Hypervisor::{Ours, OursGicv3, Xen},
    rust_dom0,
};

#[test]
fn prompt_answers() {
    rust_dom0::prompt_answers(Ours);
}

#[test]
fn exits_are_shown() {
    rust_dom0::exits_are_shown(Ours);
}

#[test]
fn prompt_is_not_disturbed() {
    rust_dom0::prompt_is_not_disturbed(Ours);
}

#[test]
fn commands_are_interrupted() {
    rust_dom0::commands_are_interrupted(Ours);
}

#[test]
fn guests_are_listed_at_length() {
    rust_dom0::guests_are_listed_at_length(Ours);
}

#[test]
fn debian_guest_gets_its_device_tree() {
    rust_dom0::debian_guest_gets_its_device_tree(Ours);
}

#[test]
fn debian_guest_takes_any_memory() {
    rust_dom0::debian_guest_takes_any_memory(Ours);
}

#[test]
fn guests_are_managed() {
    rust_dom0::guests_are_managed(Ours);
}

#[test]
fn bad_input_leaves_nothing() {
    rust_dom0::bad_input_leaves_nothing(Ours);
}

#[test]
fn prompt_answers_on_the_reference() {
    rust_dom0::prompt_answers(Xen);
}

#[test]
fn guests_are_managed_on_the_reference() {
    rust_dom0::guests_are_managed(Xen);
}

#[test]
fn bad_input_leaves_nothing_on_the_reference() {
    rust_dom0::bad_input_leaves_nothing(Xen);
}

#[test]
fn debian_guest_reboots_with_two_disks() {
    rust_dom0::debian_guest_reboots_with_two_disks(Ours);
}

#[test]
fn a_hundred_guests_fit() {
    rust_dom0::a_hundred_guests_fit(Ours);
}

#[test]
fn crashes_are_acted_on() {
    rust_dom0::crashes_are_acted_on(Ours);
}

#[test]
fn dom0_says_what_is_wrong_with_its_disk() {
    rust_dom0::dom0_says_what_is_wrong_with_its_disk(Ours);
}

#[test]
fn guests_are_managed_on_a_gicv3() {
    rust_dom0::guests_are_managed(OursGicv3);
}
