//! Mapping what the hypervisor keeps for a domain, such as its grant table.

use alloc::sync::Arc;
use core::mem::offset_of;

use lock::LockRarely;
use xen_abi::{
    Errno, Gfn,
    memory::{AcquireResource, resource},
};

use super::{MAX_EXTENTS, Progress, physmap};
use crate::{current::Current, domain::Domain, frames::Held, machine::Machine, p2m::P2mType, xsm};

pub(super) fn acquire<M: Machine>(cur: &mut Current<'_, M>, at: u64, start: u64) -> Result<Progress, Errno> {
    let op: AcquireResource = cur.read(at)?;
    let end = op.frame.checked_add(op.nr_frames.into()).ok_or(Errno::EINVAL)?;
    if op.pad != 0 || end > u32::MAX.into() {
        return Err(Errno::EINVAL);
    }
    let domain = physmap::remote(cur, op.domid)?;
    xsm::device_model(cur.domain, &domain)?;
    let size = size(&domain, &op).ok_or(Errno::EINVAL)?;
    if op.frame_list.is_null() {
        if op.nr_frames != 0 || start != 0 {
            return Err(Errno::EINVAL);
        }
        cur.write(at + offset_of!(AcquireResource, nr_frames) as u64, &size)?;
        return Ok(Progress::Done(0));
    }
    let frames = u64::from(op.nr_frames);
    if start >= frames || frames > MAX_EXTENTS {
        return Err(Errno::EINVAL);
    }
    for index in start..frames {
        if index > start && cur.must_stop() {
            return Ok(Progress::Stopped(index));
        }
        map_one(cur, &domain, &op, index).map_err(|errno| if index == 0 { errno } else { later(errno) })?;
    }
    Ok(Progress::Done(0))
}

/// Frames that were mapped already make any other failure than a bad list one of the middle.
fn later(errno: Errno) -> Errno {
    if errno == Errno::EFAULT { errno } else { Errno::EIO }
}

/// How many frames the resource can have. There are only grant tables; kinds that have no meaning are found out when
/// they are to be mapped.
fn size<M: Machine>(domain: &Domain<M>, op: &AcquireResource) -> Option<u32> {
    if op.kind > resource::VMTRACE_BUF {
        return Some(0);
    }
    let known = op.kind == resource::GRANT_TABLE && op.id == resource::GRANT_TABLE_ID_SHARED;
    known.then(|| domain.grants.lock_rarely().max_frames()).filter(|frames| *frames != 0)
}

fn map_one<M: Machine>(
    cur: &Current<'_, M>,
    domain: &Arc<Domain<M>>,
    op: &AcquireResource,
    index: u64,
) -> Result<(), Errno> {
    if op.kind != resource::GRANT_TABLE {
        return Err(Errno::EOPNOTSUPP);
    }
    let held = hold(cur, domain, op.frame + index)?;
    let gfn: Gfn = cur.read_item(op.frame_list, index)?;
    physmap::map_held(cur, cur.domain, held, P2mType::ForeignRw, gfn)
}

fn hold<'a, M: Machine>(
    cur: &'a Current<'_, M>,
    domain: &Domain<M>,
    index: u64,
) -> Result<Held<'a, M>, Errno> {
    let mem = cur.hv.mem();
    let mut grants = domain.grants.lock_rarely();
    let mfn = grants.frame_grown(mem, index)?;
    mem.frames.hold(mem.machine, mfn, domain.id).ok_or(Errno::EINVAL)
}
