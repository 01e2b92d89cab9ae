//! sysctl: what the toolstack asks about the whole machine.

mod console;
mod cpus;
mod machine;

use xen_abi::{
    Errno,
    domctl::scheduler,
    sysctl::{GetDomainInfoList, INTERFACE_VERSION, SchedId, Sysctl, op},
};

use crate::{
    current::Current,
    domctl,
    hypercall::{Args, HypercallResult, Stop},
    machine::Machine,
    xsm,
};

/// Whether an operation is done.
enum Served {
    Answered,
    /// It has to go on later, with what the request says by then.
    Partly,
}

/// sysctl: pointer.
pub fn sysctl<M: Machine>(cur: &mut Current<'_, M>, args: Args) -> HypercallResult {
    let at = args[0];
    let mut op: Sysctl = cur.read(at)?;
    if op.interface_version != INTERFACE_VERSION {
        return Err(Errno::EACCES.into());
    }
    xsm::control(cur.domain)?;
    let Some(control) = cur.hv.control.try_lock() else {
        return Err(Stop::Preempted(args));
    };
    let served = serve(cur, &mut op);
    drop(control);
    let served = served?;
    cur.write(at, &op)?;
    match served {
        Served::Answered => Ok(0),
        Served::Partly => Err(Stop::Preempted(args)),
    }
}

fn serve<M: Machine>(cur: &mut Current<'_, M>, op: &mut Sysctl) -> Result<Served, Errno> {
    match op.cmd {
        op::READCONSOLE => console::read(cur, op)?,
        op::DEBUG_KEYS => return console::press_keys(cur, op),
        op::PHYSINFO => op.u.set(&machine::info(cur.hv)),
        op::AVAILHEAP => machine::free_memory(cur.hv, op),
        op::NUMAINFO => machine::nodes(cur, op)?,
        op::SCHED_ID => op.u.set(&SchedId { sched_id: scheduler::CREDIT2 }),
        op::GETDOMAININFOLIST => list(cur, op)?,
        op::GETCPUINFO => cpus::idle_times(cur, op)?,
        op::CPUTOPOINFO => cpus::topology(cur, op)?,
        op::CPUPOOL_OP => cpus::pool(cur, op)?,
        op::SCHEDULER_OP => cpus::scheduler(cur, op)?,
        op::COVERAGE_OP => return Err(Errno::EOPNOTSUPP),
        _ => return Err(Errno::ENOSYS),
    }
    Ok(Served::Answered)
}

/// The domains from an id on, in order, as many as there is room for.
fn list<M: Machine>(cur: &Current<'_, M>, op: &mut Sysctl) -> Result<(), Errno> {
    let mut asked: GetDomainInfoList = op.u.get();
    let mut from = Some(asked.first_domain);
    asked.num_domains = 0;
    while asked.num_domains < asked.max_domains
        && let Some(domain) = from.and_then(|id| cur.hv.domains.at_or_after(id))
    {
        let info = domctl::info(cur.hv, &domain);
        cur.write_item(asked.buffer, asked.num_domains.into(), &info)?;
        asked.num_domains += 1;
        from = domain.id.0.checked_add(1).map(xen_abi::Domid);
    }
    op.u.set(&asked);
    Ok(())
}

#[cfg(test)]
mod tests;
