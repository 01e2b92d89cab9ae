//! getdomaininfo.

use alloc::sync::Arc;

use xen_abi::{
    domctl::{Domctl, GetDomainInfo, INVALID_MAX_VCPU_ID, dominf},
    vcpu::runstate,
};

use super::{Result, Served};
use crate::{
    Hypervisor,
    current::Current,
    domain::{Domain, Dying},
    machine::Machine,
    p2m::IPA_BITS,
};

/// The domain asked for, or the next one after it.
pub(super) fn get<M: Machine>(cur: &Current<'_, M>, op: &mut Domctl, domain: &Arc<Domain<M>>) -> Result {
    op.domain = domain.id;
    op.u.set(&info(cur.hv, domain));
    Ok(Served::Answered)
}

/// What is to be told about a domain.
pub(crate) fn info<M: Machine>(hv: &Hypervisor<M>, domain: &Domain<M>) -> GetDomainInfo {
    let vcpus = Vcpus::of(hv, domain);
    let account = &domain.account;
    GetDomainInfo {
        domain: domain.id,
        flags: vcpus.flags() | flags(domain),
        tot_pages: account.owned().into(),
        max_pages: account.limit().into(),
        outstanding_pages: account.claimed().into(),
        shared_info_frame: domain.shared_info_frame(hv.mem()).0,
        cpu_time: vcpus.time,
        nr_online_vcpus: vcpus.online,
        max_vcpu_id: (domain.vcpus().len() as u32).checked_sub(1).unwrap_or(INVALID_MAX_VCPU_ID),
        handle: *domain.handle.lock(),
        cpupool: domain.sched.pool(),
        gpaddr_bits: IPA_BITS as u8,
        ..GetDomainInfo::default()
    }
}

fn flags<M: Machine>(domain: &Domain<M>) -> u32 {
    let flag = |set: bool, bit: u32| if set { bit } else { 0 };
    let life = domain.life();
    let code = life.code().map_or(u32::MAX, u32::from);
    dominf::HVM_GUEST
        | dominf::HAP
        | flag(life.dying == Dying::Dead, dominf::DYING)
        | flag(life.is_shut_down(), dominf::SHUTDOWN)
        | flag(life.is_paused(), dominf::PAUSED)
        | flag(domain.is_debugged(), dominf::DEBUGGED)
        | flag(domain.is_xenstore(), dominf::XS_DOMAIN)
        | code << dominf::SHUTDOWN_SHIFT
}

/// What a domain's vCPUs do.
struct Vcpus {
    online: u32,
    running: bool,
    all_blocked: bool,
    /// Nanoseconds they ran.
    time: u64,
}

impl Vcpus {
    fn of<M: Machine>(hv: &Hypervisor<M>, domain: &Domain<M>) -> Self {
        let mut all = Self { online: 0, running: false, all_blocked: true, time: 0 };
        for vcpu in domain.vcpus() {
            all.time += hv.vcpu_time_ns(vcpu);
            if !vcpu.sched.is_down() {
                all.online += 1;
                all.running |= vcpu.runstate.state() == runstate::RUNNING;
                all.all_blocked &= vcpu.sched.is_blocked();
            }
        }
        all
    }

    fn flags(&self) -> u32 {
        if self.online == 0 {
            return 0;
        }
        let blocked = if self.all_blocked { dominf::BLOCKED } else { 0 };
        let running = if self.running { dominf::RUNNING } else { 0 };
        blocked | running
    }
}
