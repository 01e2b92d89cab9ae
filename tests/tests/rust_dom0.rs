//! The Rust dom0 on Debian's Xen.
use system_tests::{artifacts::Hypervisor::Xen, cases};

#[test]
fn hello_on_the_reference() {
    cases::rust_dom0_runs_hello(Xen);
}
