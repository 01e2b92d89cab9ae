//! The answers of each hypercall and each call to firmware on our hypervisor, compared with those of Debian's Xen.
use system_tests::{
    artifacts::Hypervisor::{Ours, OursArm64, Xen, XenArm64},
    transcript,
};

#[test]
fn dom0_is_answered_as_by_the_reference() {
    transcript::dom0_is_answered_as_by_the_reference(Ours, Xen);
}

#[test]
fn a_guest_is_answered_as_by_the_reference() {
    transcript::a_guest_is_answered_as_by_the_reference(Ours, Xen);
}

#[test]
fn dom0_is_answered_as_by_the_reference_on_arm64() {
    transcript::dom0_is_answered_as_by_the_reference(OursArm64, XenArm64);
}

#[test]
fn a_guest_is_answered_as_by_the_reference_on_arm64() {
    transcript::a_guest_is_answered_as_by_the_reference(OursArm64, XenArm64);
}

#[test]
fn a_32_bit_guest_is_answered_as_by_the_reference_on_arm64() {
    transcript::a_32_bit_guest_is_answered_as_by_the_reference(OursArm64, XenArm64);
}

#[test]
fn a_32_bit_dom0_is_answered_as_by_the_reference_on_arm64() {
    transcript::a_32_bit_dom0_is_answered_as_by_the_reference(OursArm64, XenArm64);
}
