//! Guests' network interfaces under Debian's dom0.
use system_tests::{
    artifacts::Hypervisor::{Ours, Xen},
    debian_net,
};

#[test]
fn two_guests_fetch_a_file_by_tcp_on_the_reference() {
    debian_net::two_guests_fetch_a_file_by_tcp(Xen);
}

#[test]
fn two_guests_fetch_a_file_by_tcp() {
    debian_net::two_guests_fetch_a_file_by_tcp(Ours);
}

#[test]
fn echo_server_sends_a_file_back_on_the_reference() {
    debian_net::echo_server_sends_a_file_back(Xen);
}

#[test]
fn echo_server_sends_a_file_back() {
    debian_net::echo_server_sends_a_file_back(Ours);
}
