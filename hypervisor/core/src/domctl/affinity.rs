//! Where vCPUs and domains may run.

use alloc::sync::Arc;

use xen_abi::{
    Errno,
    domctl::{Domctl, NodeAffinity, VcpuAffinity, affinity},
};

use super::{Result, Served};
use crate::{current::Current, domain::Domain, machine::Machine, vcpu::Vcpu};

/// The one node that there is.
const NODES: u64 = 1;

fn vcpu<'a, M: Machine>(domain: &'a Domain<M>, asked: &VcpuAffinity) -> Result<&'a Vcpu<M>> {
    if asked.vcpu >= domain.config.max_vcpus {
        return Err(Errno::EINVAL);
    }
    let vcpu = domain.vcpu(asked.vcpu).ok_or(Errno::ESRCH)?;
    let hard_missing = asked.flags & affinity::HARD != 0 && asked.cpumap_hard.bitmap.is_null();
    let soft_missing = asked.flags & affinity::SOFT != 0 && asked.cpumap_soft.bitmap.is_null();
    if asked.flags == 0 || hard_missing || soft_missing {
        return Err(Errno::EINVAL);
    }
    Ok(vcpu)
}

/// Sets affinities, and tells what they come to.
pub(super) fn set<M: Machine>(cur: &Current<'_, M>, op: &Domctl, domain: &Arc<Domain<M>>) -> Result {
    let asked: VcpuAffinity = op.u.get();
    let vcpu = vcpu(domain, &asked)?;
    let usable = cur.hv.cpus_for(domain);
    if asked.flags & affinity::FORCE != 0 {
        // Nothing to end is no failure.
        let _ = cur.hv.release_pin(vcpu);
    }
    // Everything is read before anything is changed, so that a failure changes nothing.
    let hard = match asked.flags & affinity::HARD {
        0 => None,
        _ => Some(cur.read_bitmap(&asked.cpumap_hard)?),
    };
    let soft = match asked.flags & affinity::SOFT {
        0 => None,
        _ => Some(cur.read_bitmap(&asked.cpumap_soft)?),
    };
    if let Some(hard) = hard {
        if hard & usable == 0 {
            return Err(Errno::EINVAL);
        }
        if vcpu.sched.is_pinned() {
            return Err(Errno::EBUSY);
        }
        cur.hv.set_hard_affinity(vcpu, hard);
        cur.write_bitmap(&asked.cpumap_hard, usable & hard)?;
    }
    if let Some(soft) = soft {
        vcpu.sched.set_soft_affinity(soft);
        cur.write_bitmap(&asked.cpumap_soft, usable & soft & vcpu.sched.hard_affinity())?;
    }
    Ok(Served::Answered)
}

pub(super) fn get<M: Machine>(cur: &Current<'_, M>, op: &Domctl, domain: &Arc<Domain<M>>) -> Result {
    let asked: VcpuAffinity = op.u.get();
    let vcpu = vcpu(domain, &asked)?;
    let possible = cur.hv.possible_mask();
    if asked.flags & affinity::HARD != 0 {
        cur.write_bitmap(&asked.cpumap_hard, vcpu.sched.hard_affinity() & possible)?;
    }
    if asked.flags & affinity::SOFT != 0 {
        cur.write_bitmap(&asked.cpumap_soft, vcpu.sched.soft_affinity() & possible)?;
    }
    Ok(Served::Quietly)
}

pub(super) fn set_nodes<M: Machine>(cur: &Current<'_, M>, op: &Domctl) -> Result {
    let asked: NodeAffinity = op.u.get();
    let nodes = cur.read_bitmap(&asked.nodemap)?;
    if nodes & NODES == 0 { Err(Errno::EINVAL) } else { Ok(Served::Quietly) }
}

pub(super) fn get_nodes<M: Machine>(cur: &Current<'_, M>, op: &Domctl) -> Result {
    let asked: NodeAffinity = op.u.get();
    cur.write_bitmap(&asked.nodemap, NODES)?;
    Ok(Served::Quietly)
}
