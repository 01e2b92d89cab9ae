//! memory_op: a domain's memory and what is mapped where.

mod physmap;
mod reservation;
mod resource;

use alloc::sync::Arc;

use xen_abi::{
    Domid, Errno,
    memory::{
        MemoryDomain, MemoryReservation, PodTarget, RDM_ALL, RemoveFromPhysmap, ReservedDeviceMemoryMap, op,
    },
};

use crate::{
    current::Current,
    domain::{Domain, Dying},
    hypercall::{Args, HypercallResult, Stop},
    machine::Machine,
    p2m::Ram,
    xsm,
};

/// Extents, or elements of a list, that the command can say are done.
const MAX_EXTENTS: u64 = (u32::MAX >> op::EXTENT_SHIFT) as u64;

/// How far an operation came.
enum Progress {
    /// To its end, with this result.
    Done(u64),
    /// So many elements are done.
    Stopped(u64),
}

/// memory_op: command with the elements that are done, pointer.
pub fn memory_op<M: Machine>(cur: &mut Current<'_, M>, args: Args) -> HypercallResult {
    let result = serve(cur, args);
    // A page that was let go may have been the last of a domain that is gone.
    cur.hv.bury_dead();
    result
}

fn serve<M: Machine>(cur: &mut Current<'_, M>, args: Args) -> HypercallResult {
    let (command, start) = (args[0] as u32 & op::MASK, args[0] >> op::EXTENT_SHIFT);
    let at = args[1];
    let progress = match command {
        op::INCREASE_RESERVATION | op::DECREASE_RESERVATION | op::POPULATE_PHYSMAP => {
            reservation::adjust(cur, command, at, start)
        }
        op::ADD_TO_PHYSMAP => physmap::add(cur, at, start)?,
        op::ADD_TO_PHYSMAP_BATCH => physmap::add_batch(cur, at, start)?,
        op::ACQUIRE_RESOURCE => resource::acquire(cur, at, start)?,
        _ => return once(cur, command, at, start),
    };
    match progress {
        Progress::Done(result) => Ok(result),
        Progress::Stopped(done) => {
            let command = u64::from(command) | done << op::EXTENT_SHIFT;
            Err(Stop::Preempted([command, args[1], args[2], args[3], args[4]]))
        }
    }
}

/// The operations that are done at once.
fn once<M: Machine>(cur: &mut Current<'_, M>, command: u32, at: u64, start: u64) -> HypercallResult {
    let known = matches!(
        command,
        op::MAXIMUM_RAM_PAGE
            | op::CURRENT_RESERVATION
            | op::MAXIMUM_RESERVATION
            | op::MAXIMUM_GPFN
            | op::EXCHANGE
            | op::REMOVE_FROM_PHYSMAP
            | op::CLAIM_PAGES
            | op::GET_VNUMAINFO
            | op::RESERVED_DEVICE_MEMORY_MAP
    );
    if known && start != 0 {
        return Err(Errno::EINVAL.into());
    }
    let result = match command {
        op::MAXIMUM_RAM_PAGE => cur.hv.frames.end().0,
        op::CURRENT_RESERVATION => named(cur, at)?.account.owned().into(),
        op::MAXIMUM_RESERVATION => named(cur, at)?.account.limit().into(),
        op::MAXIMUM_GPFN => named(cur, at)?.p2m(cur.hv.mem()).highest().map_or(0, |gfn| gfn.0),
        op::REMOVE_FROM_PHYSMAP => remove(cur, at)?,
        op::CLAIM_PAGES => claim(cur, at)?,
        op::SET_POD_TARGET | op::GET_POD_TARGET => pod_target(cur, at)?,
        op::GET_SHARING_FREED_PAGES | op::GET_SHARING_SHARED_PAGES => 0,
        op::GET_VNUMAINFO => vnuma(cur, at)?,
        op::EXCHANGE => exchange(cur, at)?,
        op::RESERVED_DEVICE_MEMORY_MAP => reserved_device_memory(cur, at)?,
        _ => return Err(Errno::ENOSYS.into()),
    };
    Ok(result)
}

fn named<M: Machine>(cur: &Current<'_, M>, at: u64) -> Result<Arc<Domain<M>>, Errno> {
    let op: MemoryDomain = cur.read(at)?;
    cur.target(op.domid)
}

fn remove<M: Machine>(cur: &Current<'_, M>, at: u64) -> Result<u64, Errno> {
    let op: RemoveFromPhysmap = cur.read(at)?;
    let domain = cur.target(op.domid)?;
    let mut p2m = domain.p2m(cur.hv.mem());
    let mapping = p2m.lookup(op.gpfn).ok_or(Errno::ENOENT)?;
    if !mapping.kind.is_ram() && !mapping.kind.is_foreign() {
        return Err(Errno::ENOENT);
    }
    p2m.unmap(op.gpfn, Ram::Keep)?;
    Ok(0)
}

fn claim<M: Machine>(cur: &Current<'_, M>, at: u64) -> Result<u64, Errno> {
    let op: MemoryReservation = cur.read(at)?;
    if !op.extent_start.is_null() || op.extent_order != 0 || op.mem_flags != 0 {
        return Err(Errno::EINVAL);
    }
    let domain = cur.hv.domains.get(op.domid).ok_or(Errno::EINVAL)?;
    xsm::control(cur.domain)?;
    if domain.life().dying != Dying::Alive {
        return Err(Errno::EINVAL);
    }
    // More pages than any machine has is more than the domain may have.
    let pages = u32::try_from(op.nr_extents).map_err(|_| Errno::EINVAL)?;
    cur.hv.frames.claim(&domain.account, pages)?;
    Ok(0)
}

/// Nothing is populated on demand, so a target is met by doing nothing: `xl mem-set` then leaves the
/// rest to the guest's balloon.
fn pod_target<M: Machine>(cur: &Current<'_, M>, at: u64) -> Result<u64, Errno> {
    let mut op: PodTarget = cur.read(at)?;
    let domain = cur.any_domain(op.domid)?;
    xsm::control(cur.domain)?;
    op.tot_pages = domain.account.owned().into();
    (op.pod_cache_pages, op.pod_entries) = (0, 0);
    cur.write(at, &op)?;
    Ok(0)
}

/// Frame numbers of translated guests are their own: there is nothing to exchange.
fn exchange<M: Machine>(cur: &Current<'_, M>, at: u64) -> Result<u64, Errno> {
    let _: [MemoryReservation; 2] = cur.read(at)?;
    Err(Errno::EINVAL)
}

/// There are no such ranges: they belong to IOMMUs.
fn reserved_device_memory<M: Machine>(cur: &Current<'_, M>, at: u64) -> Result<u64, Errno> {
    let mut op: ReservedDeviceMemoryMap = cur.read(at)?;
    if op.flags & !RDM_ALL != 0 {
        return Err(Errno::EINVAL);
    }
    op.nr_entries = 0;
    cur.write(at, &op)?;
    Ok(0)
}

/// No domain has virtual nodes.
fn vnuma<M: Machine>(cur: &Current<'_, M>, at: u64) -> Result<u64, Errno> {
    // `xen_vnuma_topology_info` begins with the domain and 16 bits that must be 0.
    let [domid, pad]: [u16; 2] = cur.read(at)?;
    if pad != 0 {
        return Err(Errno::EINVAL);
    }
    cur.target(Domid(domid))?;
    Err(Errno::EOPNOTSUPP)
}

#[cfg(test)]
mod tests;
