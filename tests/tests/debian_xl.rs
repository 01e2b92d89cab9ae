//! Debian's xl on our hypervisor, compared with the same on Debian's Xen.
use system_tests::{
    artifacts::Hypervisor::{Ours, Xen},
    cases, debian_xl,
};

#[test]
fn answers_are_the_references() {
    debian_xl::answers_are_the_references(Ours, Xen);
}

#[test]
fn guests_leave_nothing_behind_on_the_reference() {
    debian_xl::guests_leave_nothing_behind(Xen, 10);
}

#[test]
fn guests_leave_nothing_behind() {
    debian_xl::guests_leave_nothing_behind(Ours, 10);
}

#[test]
#[ignore = "takes minutes"]
fn a_hundred_guests_leave_nothing_behind() {
    debian_xl::guests_leave_nothing_behind(Ours, 100);
}

#[test]
fn cpus_are_pooled() {
    cases::cpus_are_pooled(Ours);
}

#[test]
#[ignore = "what the reference does"]
fn cpus_are_pooled_on_the_reference() {
    cases::cpus_are_pooled(Xen);
}

#[test]
fn debian_dom0_drives_the_board() {
    cases::debian_dom0_drives_the_board(Ours);
}
