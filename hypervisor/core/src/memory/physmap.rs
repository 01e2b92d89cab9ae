//! Putting other things than plain memory at a guest's frame numbers.

use core::mem::offset_of;

use alloc::sync::Arc;

use lock::LockRarely;
use xen_abi::{
    Domid, Errno, Gfn, Mfn,
    memory::{AddToPhysmap, AddToPhysmapBatch, mapspace},
};

use super::Progress;
use crate::{
    current::Current,
    domain::Domain,
    frames::Held,
    machine::{Access, Machine},
    p2m::P2mType,
    xsm,
};

/// The space and domain that an operation names, if the caller may do that.
fn target<M: Machine>(cur: &Current<'_, M>, domid: Domid, space: u32) -> Result<Arc<Domain<M>>, Errno> {
    let domain = cur.any_domain(domid)?;
    let own_devices = domain.is_hardware() && Arc::ptr_eq(&domain, cur.domain);
    if space == mapspace::DEV_MMIO && !own_devices {
        return Err(Errno::EACCES);
    }
    xsm::target(cur.domain, &domain)?;
    Ok(domain)
}

pub(super) fn add<M: Machine>(cur: &mut Current<'_, M>, at: u64, start: u64) -> Result<Progress, Errno> {
    if start > u16::MAX.into() {
        return Err(Errno::EDOM);
    }
    let op: AddToPhysmap = cur.read(at)?;
    if op.space == mapspace::GMFN_FOREIGN {
        return Err(Errno::ENOSYS);
    }
    let domain = target(cur, op.domid, op.space)?;
    if op.space == mapspace::GMFN_RANGE {
        return range(&op, start);
    }
    one(cur, &domain, op.space, Domid::INVALID, op.idx, op.gpfn)?;
    Ok(Progress::Done(0))
}

/// A range of frames of the same kind, which can only be empty.
fn range(op: &AddToPhysmap, start: u64) -> Result<Progress, Errno> {
    let size = u64::from(op.size);
    if op.gpfn == Gfn::INVALID {
        Err(Errno::EINVAL)
    } else if size < start {
        Err(Errno::EILSEQ)
    } else if op.gpfn.0.checked_add(size).is_none() || op.idx.checked_add(size).is_none() {
        Err(Errno::EOVERFLOW)
    } else if size > start {
        Err(Errno::ENOSYS)
    } else {
        Ok(Progress::Done(0))
    }
}

pub(super) fn add_batch<M: Machine>(
    cur: &mut Current<'_, M>,
    at: u64,
    start: u64,
) -> Result<Progress, Errno> {
    if start > u16::MAX.into() {
        return Err(Errno::EDOM);
    }
    let op: AddToPhysmapBatch = cur.read(at)?;
    let space = u32::from(op.space);
    if space == mapspace::GMFN_RANGE {
        return Err(Errno::EOPNOTSUPP);
    }
    let domain = target(cur, op.domid, space)?;
    let size = u64::from(op.size);
    if start >= size {
        return if start == 0 { Ok(Progress::Done(0)) } else { Err(Errno::EILSEQ) };
    }
    if space == mapspace::DEV_MMIO && op.foreign_domid != Domid(0) {
        return Err(Errno::EOPNOTSUPP);
    }
    for index in start..size {
        if index > start && cur.must_stop() {
            return Ok(Progress::Stopped(index));
        }
        let idx: u64 = cur.read_item(op.idxs, index)?;
        let gpfn: Gfn = cur.read_item(op.gpfns, index)?;
        let error = one(cur, &domain, space, op.foreign_domid, idx, gpfn).err();
        let error = error.map_or(0, |errno| errno.to_ret() as i32);
        cur.write_item(op.errs, index, &error)?;
    }
    Ok(Progress::Done(0))
}

/// Maps one thing.
fn one<M: Machine>(
    cur: &Current<'_, M>,
    domain: &Arc<Domain<M>>,
    space: u32,
    foreign: Domid,
    idx: u64,
    gpfn: Gfn,
) -> Result<(), Errno> {
    if gpfn == Gfn::INVALID {
        return Err(Errno::EINVAL);
    }
    match space {
        mapspace::SHARED_INFO if idx == 0 => shared_info(cur, domain, gpfn),
        mapspace::SHARED_INFO => Err(Errno::EINVAL),
        mapspace::GRANT_TABLE => grant_frame(cur, domain, idx, gpfn),
        mapspace::GMFN_FOREIGN => foreign_frame(cur, domain, foreign, Gfn(idx), gpfn),
        mapspace::DEV_MMIO => device_frame(cur, domain, Mfn(idx), gpfn),
        _ => Err(Errno::ENOSYS),
    }
}

/// The page shared with the hypervisor is in one place at a time.
fn shared_info<M: Machine>(cur: &Current<'_, M>, domain: &Domain<M>, gpfn: Gfn) -> Result<(), Errno> {
    let mut p2m = domain.p2m(cur.hv.mem());
    let mut mapped_at = domain.shared_info_gfn.lock();
    if p2m.lookup(*mapped_at).is_some_and(|mapping| mapping.mfn == domain.shared_info) {
        return Err(Errno::EBUSY);
    }
    p2m.map(gpfn, domain.shared_info, 1, P2mType::RamRw)?;
    *mapped_at = gpfn;
    Ok(())
}

/// So is each page of the grant table.
fn grant_frame<M: Machine>(
    cur: &Current<'_, M>,
    domain: &Domain<M>,
    idx: u64,
    gpfn: Gfn,
) -> Result<(), Errno> {
    let mem = cur.hv.mem();
    let mut p2m = domain.p2m(mem);
    let mut grants = domain.grants.lock_rarely();
    let mfn = grants.frame_grown(mem, idx)?;
    // The table cannot have so many pages that this loses something.
    let index = idx as u32;
    if p2m.lookup(grants.mapped_at(index)).is_some_and(|mapping| mapping.mfn == mfn) {
        return Err(Errno::EBUSY);
    }
    p2m.map(gpfn, mfn, 1, P2mType::RamRw)?;
    grants.set_mapped_at(index, gpfn);
    Ok(())
}

fn foreign_frame<M: Machine>(
    cur: &Current<'_, M>,
    domain: &Arc<Domain<M>>,
    foreign: Domid,
    from: Gfn,
    to: Gfn,
) -> Result<(), Errno> {
    let owner = match foreign {
        Domid::SELF => cur.domain.clone(),
        // Frames that no domain has; a guest is not told.
        Domid::IO | Domid::XEN => {
            xsm::control(domain)?;
            return Err(Errno::EINVAL);
        }
        id if id == cur.domain.id => return Err(Errno::ESRCH),
        id => cur.hv.domains.get(id).ok_or(Errno::ESRCH)?,
    };
    if Arc::ptr_eq(&owner, domain) {
        return Err(Errno::EINVAL);
    }
    // Whoever is mapped into must be allowed to, not only whoever asks.
    xsm::target(domain, &owner)?;
    let (held, kind) = {
        let p2m = owner.p2m(cur.hv.mem());
        match p2m.hold_own(from, Access::Write) {
            Some(held) => (held, P2mType::ForeignRw),
            None => (p2m.hold_own(from, Access::Read).ok_or(Errno::EINVAL)?, P2mType::ForeignRo),
        }
    };
    map_held(cur, domain, held, kind, to)
}

/// Maps a frame of another domain; the mapping takes over the reference.
pub(super) fn map_held<M: Machine>(
    cur: &Current<'_, M>,
    domain: &Domain<M>,
    held: Held<'_, M>,
    kind: P2mType,
    gpfn: Gfn,
) -> Result<(), Errno> {
    domain.p2m(cur.hv.mem()).map(gpfn, held.mfn(), 1, kind)?;
    held.keep();
    Ok(())
}

/// Another domain than the caller.
pub(super) fn remote<M: Machine>(cur: &Current<'_, M>, domid: Domid) -> Result<Arc<Domain<M>>, Errno> {
    let domain = cur.hv.domains.get(domid).ok_or(Errno::ESRCH)?;
    if domain.id == cur.domain.id { Err(Errno::EPERM) } else { Ok(domain) }
}

/// Device memory; what the domain may not use is passed over in silence.
fn device_frame<M: Machine>(
    cur: &Current<'_, M>,
    domain: &Domain<M>,
    mfn: Mfn,
    gpfn: Gfn,
) -> Result<(), Errno> {
    let end = mfn.0.checked_add(1);
    let allowed = end.is_some_and(|end| domain.resources.lock().iomem.contains(mfn.0, end));
    if !allowed || cur.hv.frames.contains(mfn) {
        return Ok(());
    }
    domain.p2m(cur.hv.mem()).map(gpfn, mfn, 1, P2mType::MmioCacheable)
}

// The union in the batch is where the space's own field is.
const _: () = assert!(offset_of!(AddToPhysmapBatch, foreign_domid) == 6);
