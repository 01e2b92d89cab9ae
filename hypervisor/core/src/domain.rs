//! A domain: its identity, its parts and their locks.

use alloc::boxed::Box;

use spin::Once;
use xen_abi::Domid;

use crate::{machine::Machine, vcpu::Vcpu};

/// A domain. Each part that changes has its own lock; the order is in ARCHITECTURE.md.
pub struct Domain<M: Machine> {
    /// Its number.
    pub id: Domid,
    vcpus: Once<Box<[Vcpu<M>]>>,
}

impl<M: Machine> Domain<M> {
    /// Its vCPUs; none before `XEN_DOMCTL_max_vcpus`.
    pub fn vcpus(&self) -> &[Vcpu<M>] {
        self.vcpus.get().map_or(&[], |v| v)
    }
}
