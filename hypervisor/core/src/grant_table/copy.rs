//! Copying between frames, each the caller's own or granted to it.
//!
//! Each element stands alone: both ends are looked up, used and let go. Nothing is kept from one to
//! the next, so nothing can be used for what it was not checked for.

use alloc::sync::Arc;
use core::mem::offset_of;

use xen_abi::{
    Domid, Errno, Mfn, PAGE_SIZE,
    grant_table::{Copy, CopyPtr, GrantStatus, gntcopy},
};

use super::{Progress, each, entry::Usage, granted_frame};
use crate::{current::Current, domain::Domain, machine::Machine, xsm};

pub(super) const SIZE: u64 = size_of::<Copy>() as u64;

/// A frame that is used for one copy.
struct End {
    mfn: Mfn,
    usage: Usage,
    granted: bool,
}

pub(super) fn copy<M: Machine>(cur: &Current<'_, M>, list: u64, count: u32) -> Result<Progress, Errno> {
    each(cur, (list, SIZE), count, |window, at| {
        let op: Copy = window.read(at)?;
        let status = copy_one(cur, &op).err().unwrap_or(GrantStatus::OKAY);
        window.write(at + offset_of!(Copy, status) as u64, &status)
    })
}

fn copy_one<M: Machine>(cur: &Current<'_, M>, op: &Copy) -> Result<(), GrantStatus> {
    let from_gref = op.flags & gntcopy::SOURCE_GREF != 0;
    let to_gref = op.flags & gntcopy::DEST_GREF != 0;
    let from_domain = domain_of(cur, &op.source, from_gref)?;
    let to_domain = domain_of(cur, &op.dest, to_gref)?;
    xsm::may_share(cur.hv, &from_domain, &to_domain).map_err(|_| GrantStatus::PERMISSION_DENIED)?;

    let from = begin(cur, &op.source, &from_domain, Usage::Read, from_gref)?;
    let to = begin(cur, &op.dest, &to_domain, Usage::Write, to_gref);
    let copied = to.as_ref().map_err(|status| *status).and_then(|to| transfer(cur, op, &from, to));
    if let Ok(to) = to {
        finish(cur, &op.dest, &to_domain, &to);
    }
    finish(cur, &op.source, &from_domain, &from);
    copied
}

/// Whose frame an end is. A frame that is not granted can only be the caller's own.
fn domain_of<M: Machine>(
    cur: &Current<'_, M>,
    end: &CopyPtr,
    granted: bool,
) -> Result<Arc<Domain<M>>, GrantStatus> {
    match end.domid {
        Domid::SELF => Ok(cur.domain.clone()),
        _ if !granted => Err(GrantStatus::PERMISSION_DENIED),
        domid => cur.hv.domains.get(domid).ok_or(GrantStatus::BAD_DOMAIN),
    }
}

fn begin<M: Machine>(
    cur: &Current<'_, M>,
    end: &CopyPtr,
    domain: &Domain<M>,
    usage: Usage,
    granted: bool,
) -> Result<End, GrantStatus> {
    let mem = cur.hv.mem();
    let p2m = domain.p2m(mem);
    let mfn = if granted {
        let entry = (end.gref(), cur.domain.id);
        domain.grants.lock().pin(mem, &p2m, entry, usage, false)?
    } else {
        granted_frame(&p2m, end.gfn(), usage)?
    };
    Ok(End { mfn, usage, granted })
}

fn finish<M: Machine>(cur: &Current<'_, M>, end: &CopyPtr, domain: &Domain<M>, used: &End) {
    let mem = cur.hv.mem();
    if used.granted {
        let entry = (end.gref(), cur.domain.id);
        domain.grants.lock().unpin(mem, entry, used.mfn, used.usage);
    }
    mem.frames.put(mem.machine, used.mfn);
}

fn transfer<M: Machine>(cur: &Current<'_, M>, op: &Copy, from: &End, to: &End) -> Result<(), GrantStatus> {
    let len = usize::from(op.len);
    let (source, dest) = (usize::from(op.source.offset), usize::from(op.dest.offset));
    if source + len > PAGE_SIZE || dest + len > PAGE_SIZE {
        return Err(GrantStatus::BAD_COPY_ARG);
    }
    let machine = &cur.hv.machine;
    if from.mfn != to.mfn || source.abs_diff(dest) >= len {
        machine.copy_frame((to.mfn, dest), (from.mfn, source), len);
    } else {
        copy_within(machine, from.mfn, source, dest, len);
    }
    Ok(())
}

/// A copy whose ranges overlap, in pieces that do not.
fn copy_within<M: Machine>(machine: &M, mfn: Mfn, source: usize, dest: usize, len: usize) {
    let mut buffer = [0; 64];
    let mut left = len;
    while left > 0 {
        let now = left.min(buffer.len());
        // Against the direction of the move, so that nothing is overwritten before it is read.
        let at = if dest > source { left - now } else { len - left };
        machine.read_frame(mfn, source + at, &mut buffer[..now]);
        machine.write_frame(mfn, dest + at, &buffer[..now]);
        left -= now;
    }
}
