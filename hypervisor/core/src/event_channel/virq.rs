//! Virtual interrupts: what the hypervisor tells domains by events.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicU16, Ordering};

use xen_abi::{Domid, Errno, xen::virq};

use super::State;
use crate::{Hypervisor, domain::Domain, machine::Machine, vcpu::Vcpu};

/// Whether a virtual interrupt is for one domain as a whole, or for each vCPU.
pub(super) fn is_global(number: u32) -> bool {
    !matches!(number, virq::TIMER | virq::DEBUG | virq::XENOPROF | virq::XENPMU)
}

/// Which domain handles each global virtual interrupt. The hardware domain, unless the toolstack
/// says otherwise.
pub struct VirqHandlers([AtomicU16; virq::COUNT as usize]);

impl VirqHandlers {
    pub(crate) const fn new() -> Self {
        Self([const { AtomicU16::new(0) }; virq::COUNT as usize])
    }
}

impl<M: Machine> Hypervisor<M> {
    /// Raises a virtual interrupt of one vCPU, if it has bound it.
    pub fn send_vcpu_virq(&self, domain: &Arc<Domain<M>>, vcpu: &Vcpu<M>, number: u32) {
        let Some(bound) = vcpu.events.virqs.get(number as usize) else { return };
        let port_number = bound.load(Ordering::Acquire);
        if port_number == 0 {
            return;
        }
        let Ok(port) = domain.events.port(port_number) else { return };
        // It may have been closed, and become something else, since.
        let state = port.state.lock();
        if matches!(*state, State::Virq(of) if of == number) {
            self.set_pending(domain, port_number, port);
        }
    }

    /// Raises a global virtual interrupt in whichever domain handles it.
    pub fn send_global_virq(&self, number: u32) {
        let Some(handler) = self.virq_handlers.0.get(number as usize) else { return };
        let domain = self.domains.get(Domid(handler.load(Ordering::Relaxed)));
        if let Some(domain) = domain
            && let Some(vcpu) = domain.vcpus().first()
        {
            self.send_vcpu_virq(&domain, vcpu, number);
        }
    }

    /// Lets a domain handle a global virtual interrupt from now on.
    pub fn set_virq_handler(&self, domain: &Domain<M>, number: u32) -> Result<(), Errno> {
        let handler = self.virq_handlers.0.get(number as usize).filter(|_| is_global(number));
        handler.ok_or(Errno::EINVAL)?.store(domain.id.0, Ordering::Relaxed);
        Ok(())
    }

    /// A domain is gone: what it handled is the hardware domain's again.
    pub(super) fn drop_virq_handler(&self, domain: &Domain<M>) {
        for handler in &self.virq_handlers.0 {
            let order = Ordering::Relaxed;
            let _ = handler.compare_exchange(domain.id.0, 0, order, order);
        }
    }
}
