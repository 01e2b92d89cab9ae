//! The vCPU that is loaded on this CPU, with the registers of its last trap.

use alloc::sync::Arc;

use xen_abi::{Domid, Errno};

use crate::{
    Hypervisor,
    domain::Domain,
    machine::{CpuId, Machine},
    percpu::PerCpu,
    vcpu::{Vcpu, VcpuRef},
    xsm,
};

/// What is loaded on this CPU. Everything that serves a trap gets it.
pub struct Current<'a, M: Machine> {
    /// The hypervisor.
    pub hv: &'a Hypervisor<M>,
    /// The domain that made the trap.
    pub domain: &'a Arc<Domain<M>>,
    /// Its vCPU.
    pub vcpu: &'a Vcpu<M>,
    /// The general registers.
    pub regs: &'a mut M::Regs,
    /// This CPU.
    pub cpu: CpuId,
    /// Its state.
    pub pcpu: &'a PerCpu<M>,
}

impl<'a, M: Machine> Current<'a, M> {
    /// For `vcpu`, which is loaded on `pcpu`.
    #[inline]
    pub fn new(
        hv: &'a Hypervisor<M>,
        vcpu: &'a VcpuRef<M>,
        regs: &'a mut M::Regs,
        pcpu: &'a PerCpu<M>,
    ) -> Self {
        Self { hv, domain: &vcpu.domain, vcpu, regs, cpu: pcpu.id, pcpu }
    }

    /// A handle on the vCPU that outlives the trap.
    pub fn vcpu_ref(&self) -> VcpuRef<M> {
        VcpuRef::from_parts(self.domain, self.vcpu)
    }

    /// The domain that an id names; [`Domid::SELF`] too.
    #[inline(never)]
    pub(crate) fn any_domain(&self, id: Domid) -> Result<Arc<Domain<M>>, Errno> {
        if id == Domid::SELF || id == self.domain.id {
            return Ok(self.domain.clone());
        }
        self.hv.domains.get(id).ok_or(Errno::ESRCH)
    }

    /// The same, if this one may act on it.
    #[inline(never)]
    pub(crate) fn target(&self, id: Domid) -> Result<Arc<Domain<M>>, Errno> {
        let domain = self.any_domain(id)?;
        xsm::target(self.domain, &domain)?;
        Ok(domain)
    }

    /// Whether a long operation should stop here and be continued: an interrupt waits, or another
    /// vCPU has become more urgent.
    pub fn must_stop(&self) -> bool {
        self.pcpu.wants_reschedule() || self.hv.machine.interrupt_waiting()
    }
}
