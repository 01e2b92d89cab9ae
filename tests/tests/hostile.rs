//! What a hostile guest does to others.
use machine::Arch::{Arm32, Arm64};
use system_tests::{
    artifacts::Hypervisor::{Ours, OursArm64, Xen},
    hostile,
};

#[test]
fn hypervisor_outlives_a_guest() {
    hostile::outlives_a_guest(Ours);
}

#[test]
fn hypervisor_outlives_a_guest_on_arm64() {
    hostile::outlives_a_guest(OursArm64);
}

#[test]
fn hypervisor_outlives_a_32_bit_guest_on_arm64() {
    hostile::outlives_a_guest(OursArm64.with(Arm64, Arm32));
}

#[test]
fn back_ends_outlive_a_guest() {
    hostile::back_ends_outlive_a_guest(Ours);
}

#[test]
fn back_ends_outlive_a_guest_on_arm64() {
    hostile::back_ends_outlive_a_guest(OursArm64);
}

#[test]
fn back_ends_outlive_a_guest_on_the_reference() {
    hostile::back_ends_outlive_a_guest(Xen);
}
