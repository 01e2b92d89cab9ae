//! Each hypercall's answers on our hypervisor, compared with those of Debian's Xen.
use system_tests::transcript;

#[test]
fn dom0_is_answered_as_by_the_reference() {
    transcript::dom0_is_answered_as_by_the_reference();
}

#[test]
fn a_guest_is_answered_as_by_the_reference() {
    transcript::a_guest_is_answered_as_by_the_reference();
}
