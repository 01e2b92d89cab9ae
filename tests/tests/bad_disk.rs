//! What becomes of guests when dom0's disk fails.
use system_tests::{
    artifacts::Hypervisor::{Ours, Xen},
    bad_disk,
};

#[test]
fn a_bad_sector_is_its_users_alone() {
    bad_disk::a_bad_sector_is_its_users_alone(Ours);
}

#[test]
fn a_bad_sector_is_its_users_alone_on_the_reference() {
    bad_disk::a_bad_sector_is_its_users_alone(Xen);
}

#[test]
fn a_flush_that_fails_is_told() {
    bad_disk::a_flush_that_fails_is_told(Ours);
}
