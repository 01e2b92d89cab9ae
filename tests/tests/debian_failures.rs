//! What dies unexpectedly under Debian's dom0, on Debian's Xen and on ours.
use system_tests::{
    artifacts::Hypervisor::{Ours, Xen},
    debian_failures,
};

#[test]
fn killed_creates_leave_nothing_on_the_reference() {
    debian_failures::killed_creates_leave_nothing(Xen, 8);
}

#[test]
fn killed_creates_leave_nothing() {
    debian_failures::killed_creates_leave_nothing(Ours, 8);
}

#[test]
#[ignore = "takes minutes"]
fn creates_killed_at_a_hundred_moments_leave_nothing() {
    debian_failures::killed_creates_leave_nothing(Ours, 100);
}

#[test]
fn destroyed_guests_leave_nothing_on_the_reference() {
    debian_failures::destroyed_guests_leave_nothing(Xen);
}

#[test]
fn destroyed_guests_leave_nothing() {
    debian_failures::destroyed_guests_leave_nothing(Ours);
}

#[test]
fn guests_outlive_the_daemons_on_the_reference() {
    debian_failures::guests_outlive_the_daemons(Xen);
}

#[test]
fn guests_outlive_the_daemons() {
    debian_failures::guests_outlive_the_daemons(Ours);
}
