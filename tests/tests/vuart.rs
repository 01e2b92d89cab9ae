//! Guests of Debian's xl with an emulated UART, on our hypervisor and on Debian's Xen.
use system_tests::{
    artifacts::Hypervisor::{Ours, OursArm64, Xen, XenArm64},
    cases,
};

#[test]
fn a_guest_has_a_uart_of_xl() {
    cases::debian_guest_uses_a_uart_of_xl(Ours);
}

#[test]
fn a_guest_has_a_uart_of_xl_on_arm64() {
    cases::debian_guest_uses_a_uart_of_xl(OursArm64);
}

#[test]
#[ignore = "what the reference does"]
fn a_guest_has_a_uart_of_xl_on_the_reference() {
    cases::debian_guest_uses_a_uart_of_xl(Xen);
}

#[test]
fn a_guest_has_a_uart_of_xl_on_the_reference_for_arm64() {
    cases::debian_guest_uses_a_uart_of_xl(XenArm64);
}
