//! The Rust dom0, on our hypervisor and on Debian's.
use system_tests::{
    artifacts::Hypervisor::{Ours, Xen},
    cases,
};

#[test]
fn hello_on_the_reference() {
    cases::rust_dom0_runs_hello(Xen);
}

#[test]
fn hello() {
    cases::rust_dom0_runs_hello(Ours);
}
