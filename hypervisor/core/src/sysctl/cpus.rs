//! Processors, their pools and their scheduler, which is the same for all.

use xen_abi::{
    Domid, Errno,
    domctl::{schedop, scheduler},
    sysctl::{CpuInfo, CpuTopo, CpuTopoInfo, CpupoolOp, GetCpuInfo, SchedulerOp, Sysctl, cpupool},
};

use crate::{
    current::Current,
    machine::{CpuId, Machine},
};

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

/// Looks at pools, and changes them.
pub(super) fn pool<M: Machine>(cur: &Current<'_, M>, op: &mut Sysctl) -> Result<(), Errno> {
    let mut asked: CpupoolOp = op.u.get();
    let id = asked.cpupool_id;
    let one = |number: u32| Some(number).filter(|number| *number != cpupool::PAR_ANY);
    match asked.op {
        cpupool::CREATE if asked.sched_id != scheduler::CREDIT2 => return Err(Errno::ENOENT),
        cpupool::CREATE => asked.cpupool_id = cur.hv.create_pool(one(id))?,
        cpupool::DESTROY => cur.hv.destroy_pool(id)?,
        cpupool::INFO => {
            let pool = cur.hv.pool_at_or_after(id).ok_or(Errno::ENOENT)?;
            asked.cpupool_id = pool.id;
            asked.sched_id = scheduler::CREDIT2;
            asked.n_dom = cur.hv.domains_in(&pool);
            cur.write_bitmap(&asked.cpumap, cur.hv.cpus_of(&pool))?;
        }
        cpupool::ADDCPU => cur.hv.add_to_pool(id, one(asked.cpu))?,
        cpupool::RMCPU => cur.hv.remove_from_pool(id, one(asked.cpu))?,
        cpupool::MOVEDOMAIN => move_domain(cur, asked.domid, id)?,
        cpupool::FREEINFO => cur.write_bitmap(&asked.cpumap, cur.hv.free_cpus())?,
        _ => return Err(Errno::ENOSYS),
    }
    op.u.set(&asked);
    Ok(())
}

fn move_domain<M: Machine>(cur: &Current<'_, M>, domid: u32, pool: u32) -> Result<(), Errno> {
    let domid = u16::try_from(domid).map_err(|_| Errno::ESRCH)?;
    let domain = cur.hv.domains.get(Domid(domid)).ok_or(Errno::ESRCH)?;
    if domain.id == cur.domain.id {
        return Err(Errno::EPERM);
    }
    if domain.sched.pool() == pool { Ok(()) } else { cur.hv.move_to_pool(&domain, pool) }
}

pub(super) fn scheduler<M: Machine>(cur: &Current<'_, M>, op: &mut Sysctl) -> Result<(), Errno> {
    let mut asked: SchedulerOp = op.u.get();
    if !matches!(asked.cmd, schedop::PUTINFO | schedop::GETINFO) {
        return Err(Errno::EINVAL);
    }
    cur.hv.pool(asked.cpupool_id).map_err(|_| Errno::ESRCH)?;
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
