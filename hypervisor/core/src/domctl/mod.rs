//! domctl: what the toolstack does to one domain.
//!
//! The whole request is copied in, and copied back when an operation has something to tell. One
//! request is served at a time in the machine; who comes second tries again later. What takes long
//! stops in between and is called again with the same arguments: every operation can be.

mod affinity;
mod create;
mod device;
mod info;
mod memory;
mod vcpu;

use alloc::sync::Arc;

use xen_abi::{
    Domid, Errno,
    domctl::{
        AddressSize, Domctl, INTERFACE_VERSION, SetDebugging, SetDomainHandle, SetTarget, SetTimeOffset,
        SetVirqHandler, op,
    },
};

use crate::{
    current::Current,
    domain::Domain,
    hypercall::{Args, HypercallResult, Stop},
    machine::Machine,
    xsm,
};

pub(crate) use info::info;

/// What becomes of a request that was served.
enum Served {
    /// Nothing to tell.
    Quietly,
    /// The request is copied back, with answers in it.
    Answered,
    /// It has to go on later.
    Partly,
    /// It has to go on later, with what the request says by then.
    PartlyAnswered,
}

type Result<T = Served> = core::result::Result<T, Errno>;

/// domctl: pointer.
pub fn domctl<M: Machine>(cur: &mut Current<'_, M>, args: Args) -> HypercallResult {
    let at = args[0];
    let mut op: Domctl = cur.read(at)?;
    if op.interface_version != INTERFACE_VERSION {
        return Err(Errno::EACCES.into());
    }
    let domain = named(cur, &op)?;
    allow(cur, op.cmd, domain.as_ref())?;
    let Some(control) = cur.hv.control.try_lock() else {
        return Err(Stop::Preempted(args));
    };
    let served = serve(cur, &mut op, domain.as_ref());
    drop(control);
    cur.hv.bury_dead();
    let served = served?;
    if matches!(served, Served::Answered | Served::PartlyAnswered) {
        cur.write(at, &op)?;
    }
    match served {
        Served::Quietly | Served::Answered => Ok(0),
        Served::Partly | Served::PartlyAnswered => Err(Stop::Preempted(args)),
    }
}

/// The domain that a request is about, for those that are about one.
fn named<M: Machine>(cur: &Current<'_, M>, op: &Domctl) -> Result<Option<Arc<Domain<M>>>> {
    let domain = match op.cmd {
        op::CREATEDOMAIN => return Ok(None),
        op::TEST_ASSIGN_DEVICE if op.domain == Domid::INVALID => return Ok(None),
        op::ASSIGN_DEVICE | op::DEASSIGN_DEVICE if op.domain == Domid::IO => return Ok(None),
        // Of that id, or of the next one. Who may not ask is not told whether there is one.
        op::GETDOMAININFO if !op.domain.is_real() => return Ok(None),
        op::GETDOMAININFO => return Ok(cur.hv.domains.at_or_after(op.domain)),
        _ => cur.hv.domains.get(op.domain),
    };
    domain.map(Some).ok_or(Errno::ESRCH)
}

fn allow<M: Machine>(cur: &Current<'_, M>, command: u32, domain: Option<&Arc<Domain<M>>>) -> Result<()> {
    match (command, domain) {
        (op::GETDOMAININFO, _) => xsm::xenstore(cur.domain),
        (op::MEMORY_MAPPING | op::BIND_PT_IRQ | op::UNBIND_PT_IRQ, Some(domain)) => {
            xsm::device_model(cur.domain, domain)
        }
        _ => xsm::control(cur.domain),
    }
}

fn serve<M: Machine>(cur: &mut Current<'_, M>, op: &mut Domctl, domain: Option<&Arc<Domain<M>>>) -> Result {
    let Some(domain) = domain else {
        return match op.cmd {
            op::CREATEDOMAIN => create::create(cur, op),
            op::GETDOMAININFO if op.domain.is_real() => Err(Errno::ESRCH),
            op::GETDOMAININFO => Err(Errno::EINVAL),
            _ => Err(Errno::EOPNOTSUPP),
        };
    };
    match op.cmd {
        op::DESTROYDOMAIN => destroy(cur, domain),
        op::PAUSEDOMAIN => {
            not_self(cur, domain)?;
            done(cur.hv.pause_by_controller(domain))
        }
        op::UNPAUSEDOMAIN => done(cur.hv.unpause_by_controller(domain)),
        op::RESUMEDOMAIN => {
            not_self(cur, domain)?;
            cur.hv.resume_domain(domain);
            Ok(Served::Quietly)
        }
        op::GETDOMAININFO => info::get(cur, op, domain),
        op::SETVCPUAFFINITY => affinity::set(cur, op, domain),
        op::GETVCPUAFFINITY => affinity::get(cur, op, domain),
        op::SETNODEAFFINITY => affinity::set_nodes(cur, op),
        op::GETNODEAFFINITY => affinity::get_nodes(cur, op),
        op::MAX_VCPUS => vcpu::create(cur, op, domain),
        op::SETVCPUCONTEXT => vcpu::set_context(cur, op, domain),
        op::GETVCPUCONTEXT => vcpu::get_context(cur, op, domain),
        op::GETVCPUINFO => vcpu::info(cur, op, domain),
        op::SCHEDULER_OP => vcpu::schedule(cur, op, domain),
        op::MAX_MEM => memory::limit(op, domain),
        op::CACHEFLUSH => memory::flush(cur, op, domain),
        op::GET_PAGING_MEMPOOL_SIZE => memory::get_pool(cur, op, domain),
        op::SET_PAGING_MEMPOOL_SIZE => memory::set_pool(cur, op, domain),
        op::IOMEM_PERMISSION => device::permit_memory(cur, op, domain),
        op::IRQ_PERMISSION => device::permit_interrupt(cur, op, domain),
        op::MEMORY_MAPPING => device::map(cur, op, domain),
        op::BIND_PT_IRQ => device::bind(cur, op, domain),
        op::UNBIND_PT_IRQ => device::unbind(cur, op, domain),
        op::VUART_OP => device::give_uart(cur, op, domain),
        _ => set_one(cur, op, domain),
    }
}

/// Operations that set one thing, and those that there are not.
fn set_one<M: Machine>(cur: &mut Current<'_, M>, op: &Domctl, domain: &Arc<Domain<M>>) -> Result {
    match op.cmd {
        op::SETDOMAINHANDLE => *domain.handle.lock() = op.u.get::<SetDomainHandle>().handle,
        op::SETDEBUGGING => {
            not_self(cur, domain)?;
            domain.set_debugged(op.u.get::<SetDebugging>().enable != 0);
        }
        op::SETTIMEOFFSET => {
            cur.hv.set_time_offset(domain, op.u.get::<SetTimeOffset>().time_offset_seconds);
        }
        op::SET_ADDRESS_SIZE => set_address_size(&cur.hv.machine, domain, op.u.get::<AddressSize>().size)?,
        op::SET_VIRQ_HANDLER => {
            cur.hv.set_virq_handler(domain, op.u.get::<SetVirqHandler>().virq)?;
        }
        op::SET_TARGET => set_target(cur, domain, op.u.get::<SetTarget>().target)?,
        // A suspended domain is reported by VIRQ_DOM_EXC in any case.
        op::SUBSCRIBE => {}
        op::SOFT_RESET => {
            not_self(cur, domain)?;
            return Err(Errno::ENOSYS);
        }
        // There is no IOMMU.
        op::ASSIGN_DEVICE | op::DEASSIGN_DEVICE | op::TEST_ASSIGN_DEVICE | op::GET_DEVICE_GROUP => {
            return Err(Errno::EOPNOTSUPP);
        }
        op::MONITOR_OP | op::VM_EVENT_OP => return Err(Errno::EOPNOTSUPP),
        _ => return Err(Errno::ENOSYS),
    }
    Ok(Served::Quietly)
}

fn done(result: Result<()>) -> Result {
    result.map(|()| Served::Quietly)
}

/// For operations that wait for the domain to stop.
fn not_self<M: Machine>(cur: &Current<'_, M>, domain: &Arc<Domain<M>>) -> Result<()> {
    if Arc::ptr_eq(cur.domain, domain) { Err(Errno::EINVAL) } else { Ok(()) }
}

fn destroy<M: Machine>(cur: &Current<'_, M>, domain: &Arc<Domain<M>>) -> Result {
    not_self(cur, domain)?;
    let done = cur.hv.destroy_domain(domain, &mut || cur.must_stop());
    Ok(if done { Served::Quietly } else { Served::Partly })
}

/// The state of EL1 is chosen before there is memory.
fn set_address_size<M: Machine>(machine: &M, domain: &Domain<M>, size: u32) -> Result<()> {
    let aarch32 = match size {
        32 if machine.has_aarch32() => true,
        64 if !cfg!(target_arch = "arm") => false,
        _ => return Err(Errno::EINVAL),
    };
    if aarch32 != domain.is_aarch32() && domain.account.owned() != 0 {
        return Err(Errno::EBUSY);
    }
    domain.set_aarch32(aarch32);
    Ok(())
}

fn set_target<M: Machine>(cur: &Current<'_, M>, domain: &Domain<M>, target: Domid) -> Result<()> {
    let target = cur.hv.domains.get(target).ok_or(Errno::ESRCH)?;
    if target.id == domain.id {
        return Err(Errno::EINVAL);
    }
    domain.serve(target.id)
}

#[cfg(test)]
mod tests;
