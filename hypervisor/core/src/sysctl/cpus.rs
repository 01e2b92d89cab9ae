//! Processors, their pool and their scheduler.
//!
//! There is one pool, of all processors.

use xen_abi::{
    Domid, Errno,
    domctl::{schedop, scheduler},
    sysctl::{CpuInfo, CpuTopo, CpuTopoInfo, CpupoolOp, GetCpuInfo, SchedulerOp, Sysctl, cpupool},
};

use crate::{
    current::Current,
    machine::{CpuId, Machine},
};

const POOL: u32 = 0;
/// Smallest rate limit, but for none.
const MIN_RATE_LIMIT_US: u32 = 100;

/// How long each processor had nothing to do.
pub(super) fn idle_times<M: Machine>(cur: &Current<'_, M>, op: &mut Sysctl) -> Result<(), Errno> {
    let mut asked: GetCpuInfo = op.u.get();
    let cpus = asked.max_cpus.min(cur.hv.possible_cpus());
    for cpu in 0..cpus {
        let online = cpu < cur.hv.online_cpus();
        let info = CpuInfo { idletime: if online { cur.hv.idle_ns(CpuId(cpu)) } else { 0 } };
        cur.write_item(asked.info, cpu.into(), &info)?;
    }
    asked.nr_cpus = cpus;
    op.u.set(&asked);
    Ok(())
}

/// Where the processors are: as Xen says on ARM, each is core 0 of socket 0.
pub(super) fn topology<M: Machine>(cur: &Current<'_, M>, op: &mut Sysctl) -> Result<(), Errno> {
    let mut asked: CpuTopoInfo = op.u.get();
    let online = cur.hv.online_cpus();
    let cpus = if asked.cputopo.is_null() { online } else { online.min(asked.num_cpus) };
    if !asked.cputopo.is_null() {
        for cpu in 0..cpus {
            cur.write_item(asked.cputopo, cpu.into(), &CpuTopo::default())?;
        }
    }
    asked.num_cpus = cpus;
    op.u.set(&asked);
    Ok(())
}

pub(super) fn pool<M: Machine>(cur: &Current<'_, M>, op: &mut Sysctl) -> Result<(), Errno> {
    let mut asked: CpupoolOp = op.u.get();
    let known = asked.cpupool_id == POOL;
    match asked.op {
        cpupool::INFO if known => {
            asked.sched_id = scheduler::CREDIT2;
            asked.n_dom = cur.hv.domains.len() as u32;
            cur.write_bitmap(&asked.cpumap, cur.hv.online_mask())?;
        }
        cpupool::FREEINFO => cur.write_bitmap(&asked.cpumap, 0)?,
        cpupool::CREATE => return Err(Errno::EOPNOTSUPP),
        cpupool::MOVEDOMAIN => move_domain(cur, asked.domid, known)?,
        cpupool::INFO | cpupool::DESTROY | cpupool::ADDCPU | cpupool::RMCPU if !known => {
            return Err(Errno::ENOENT);
        }
        cpupool::DESTROY => return Err(Errno::EBUSY),
        cpupool::RMCPU => return Err(keep_cpu(cur, asked.cpu)),
        cpupool::ADDCPU if asked.cpu != cpupool::PAR_ANY && asked.cpu >= cur.hv.possible_cpus() => {
            return Err(Errno::EINVAL);
        }
        // None is free.
        cpupool::ADDCPU => return Err(Errno::ENODEV),
        _ => return Err(Errno::ENOSYS),
    }
    op.u.set(&asked);
    Ok(())
}

/// Every domain is in the pool already.
/// Says why a CPU cannot leave the pool: the first never does, and no other one is let go.
fn keep_cpu<M: Machine>(cur: &Current<'_, M>, cpu: u32) -> Errno {
    let last = cur.hv.online_cpus().saturating_sub(1);
    let cpu = if cpu == cpupool::PAR_ANY { last } else { cpu };
    if cpu == 0 || cpu > last { Errno::EINVAL } else { Errno::EBUSY }
}

fn move_domain<M: Machine>(cur: &Current<'_, M>, domid: u32, known: bool) -> Result<(), Errno> {
    let domid = u16::try_from(domid).map_err(|_| Errno::ESRCH)?;
    let domain = cur.hv.domains.get(Domid(domid)).ok_or(Errno::ESRCH)?;
    match known {
        _ if domain.id == cur.domain.id => Err(Errno::EPERM),
        true => Ok(()),
        false => Err(Errno::ENOENT),
    }
}

pub(super) fn scheduler<M: Machine>(cur: &Current<'_, M>, op: &mut Sysctl) -> Result<(), Errno> {
    let mut asked: SchedulerOp = op.u.get();
    if !matches!(asked.cmd, schedop::PUTINFO | schedop::GETINFO) {
        return Err(Errno::EINVAL);
    }
    if asked.cpupool_id != POOL {
        return Err(Errno::ESRCH);
    }
    if asked.sched_id != scheduler::CREDIT2 {
        return Err(Errno::EINVAL);
    }
    // credit2's structure is the first word of the union, where credit has its time slice.
    let mut union = asked.credit();
    if asked.cmd == schedop::PUTINFO {
        if (1..MIN_RATE_LIMIT_US).contains(&union.tslice_ms) {
            return Err(Errno::EINVAL);
        }
        cur.hv.set_rate_limit_us(union.tslice_ms)?;
    }
    union.tslice_ms = cur.hv.rate_limit_us();
    asked.set_credit(union);
    op.u.set(&asked);
    Ok(())
}
