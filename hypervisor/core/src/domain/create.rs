//! Making domains and their vCPUs.

use alloc::{sync::Arc, vec::Vec};

use xen_abi::{Domid, Errno};

use super::{Domain, DomainConfig};
use crate::{Hypervisor, frames::Account, machine::Machine, shared::share_all, vcpu::Vcpu};

/// The uniprocessor-extensions bit of MPIDR that always reads as one.
const MPIDR_RES1: u64 = 1 << 31;

/// What a vCPU reads as its affinity: sixteen to a cluster.
pub fn vmpidr(vcpu: u32) -> u64 {
    MPIDR_RES1 | u64::from(vcpu >> 4) << 8 | u64::from(vcpu & 0xf)
}

impl<M: Machine> Hypervisor<M> {
    /// Makes a domain without memory and vCPUs, paused once. `wanted` is its id, or 0 or
    /// [`Domid::INVALID`] for the next free one.
    ///
    /// # Errors
    ///
    /// `EEXIST` when the id is taken, `ENOMEM` when no id or no memory is left.
    pub fn create_domain(&self, wanted: Domid, config: DomainConfig) -> Result<Arc<Domain<M>>, Errno> {
        let id = self.domains.pick_id(wanted)?;
        self.create_with_id(id, config)
    }

    /// Makes a domain whose memory is on an account already, which is open.
    pub(crate) fn create_domain_on(
        &self,
        account: Arc<Account>,
        config: DomainConfig,
    ) -> Result<Arc<Domain<M>>, Errno> {
        self.publish(Domain::with_account(self, account, config)?)
    }

    fn create_with_id(&self, id: Domid, config: DomainConfig) -> Result<Arc<Domain<M>>, Errno> {
        self.publish(Domain::new(self, id, config)?)
    }

    fn publish(&self, domain: Arc<Domain<M>>) -> Result<Arc<Domain<M>>, Errno> {
        if let Err(errno) = self.domains.insert(domain.clone()) {
            domain.give_back(self);
            self.frames.forget(domain.id);
            return Err(errno);
        }
        Ok(domain)
    }

    /// Gives a domain its vCPUs, all down and as often paused as the domain is.
    ///
    /// # Errors
    ///
    /// `EINVAL` when it has some, `ENOMEM`.
    pub fn create_vcpus(&self, domain: &Arc<Domain<M>>) -> Result<(), Errno> {
        let count = domain.config.max_vcpus as usize;
        let life = domain.life();
        if !domain.vcpus().is_empty() || count == 0 {
            return Err(Errno::EINVAL);
        }
        let mut vcpus = Vec::new();
        vcpus.try_reserve_exact(count).map_err(|_| Errno::ENOMEM)?;
        self.prepare_vcpus(count)?;
        let (root, vmid) = {
            let p2m = domain.p2m(self.mem());
            (p2m.root(), p2m.vmid())
        };
        for id in 0..domain.config.max_vcpus {
            let context = self.machine.new_context(root, vmid, vmpidr(id), domain.counter_offset);
            vcpus.push(Vcpu::new(id, context, life.vcpu_pauses()));
        }
        for vcpu in &vcpus {
            vcpu.runstate.begin(self.machine.ticks());
        }
        // The shared page has room for one area only.
        if let Some(first) = vcpus.first() {
            first.events.use_shared(domain.shared_info);
        }
        domain.set_vcpus(share_all(vcpus).inspect_err(|_| self.forget_vcpus(count))?);
        self.keep_to_pool(domain);
        Ok(())
    }
}
