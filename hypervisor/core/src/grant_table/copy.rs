//! Copying between frames, each the caller's own or granted to it.
//!
//! Each element stands alone: both ends are looked up, used and let go. Nothing is kept from one to
//! the next, so nothing can be used for what it was not checked for. What is granted is pinned
//! meanwhile; a frame of the caller's own stays where it is because its p2m is locked.

use alloc::sync::Arc;
use core::mem::offset_of;

use xen_abi::{
    Domid, Errno, Gref, Mfn, PAGE_SIZE,
    grant_table::{Copy, CopyPtr, GrantStatus, gntcopy},
};

use super::{each, entry::Usage, let_go};
use crate::{
    current::Current,
    domain::Domain,
    machine::{Access, Machine},
    xsm,
};

pub(super) const SIZE: u64 = size_of::<Copy>() as u64;

#[hot]
#[inline(never)]
pub(super) fn copy<M: Machine>(cur: &Current<'_, M>, list: u64, count: u32) -> Result<u32, Errno> {
    each(cur, (list, SIZE), count, |window, at| {
        let op: Copy = window.read(at)?;
        let status = copy_one(cur, &op).err().unwrap_or(GrantStatus::OKAY);
        window.write(at + offset_of!(Copy, status) as u64, &status)
    })
}

fn copy_one<M: Machine>(cur: &Current<'_, M>, op: &Copy) -> Result<(), GrantStatus> {
    let (mut found, mut other_found) = (None, None);
    let from = granter(cur, &op.source, op.flags & gntcopy::SOURCE_GREF != 0, &mut found)?;
    let to = granter(cur, &op.dest, op.flags & gntcopy::DEST_GREF != 0, &mut other_found)?;
    let (one, other) = (from.unwrap_or(cur.domain), to.unwrap_or(cur.domain));
    xsm::may_share(cur.hv, one, other).map_err(|_| GrantStatus::PERMISSION_DENIED)?;

    let source = pin(cur, from, op.source.gref(), Usage::Read)?;
    let copied = pin(cur, to, op.dest.gref(), Usage::Write).and_then(|dest| {
        let copied = transfer(cur, op, source, dest);
        unpin(cur, to, op.dest.gref(), dest, Usage::Write);
        copied
    });
    unpin(cur, from, op.source.gref(), source, Usage::Read);
    copied
}

/// Who granted the frame of an end, kept in `found`; nobody, when it is the caller's own.
#[inline(always)]
fn granter<'a, M: Machine>(
    cur: &Current<'a, M>,
    end: &CopyPtr,
    granted: bool,
    found: &'a mut Option<Arc<Domain<M>>>,
) -> Result<Option<&'a Domain<M>>, GrantStatus> {
    match (end.domid, granted) {
        (Domid::SELF, false) => Ok(None),
        (_, false) => Err(GrantStatus::PERMISSION_DENIED),
        (Domid::SELF, true) => Ok(Some(cur.domain)),
        (domid, true) => Ok(Some(found.insert(cur.hv.domains.get(domid).ok_or(GrantStatus::BAD_DOMAIN)?))),
    }
}

/// The frame that was granted, if one was, marked as used and with a reference.
#[inline(always)]
fn pin<M: Machine>(
    cur: &Current<'_, M>,
    granter: Option<&Domain<M>>,
    gref: Gref,
    usage: Usage,
) -> Result<Option<Mfn>, GrantStatus> {
    granter.map(|granter| pin_granted(cur, granter, gref, usage)).transpose()
}

#[hot]
#[inline(never)]
fn pin_granted<M: Machine>(
    cur: &Current<'_, M>,
    granter: &Domain<M>,
    gref: Gref,
    usage: Usage,
) -> Result<Mfn, GrantStatus> {
    let mem = cur.hv.mem();
    let p2m = granter.p2m_quickly(mem);
    granter.grants.lock().pin(mem, &p2m, (gref, cur.domain.id), usage, false)
}

/// Undoes that.
#[inline(always)]
fn unpin<M: Machine>(
    cur: &Current<'_, M>,
    granter: Option<&Domain<M>>,
    gref: Gref,
    mfn: Option<Mfn>,
    usage: Usage,
) {
    if let (Some(granter), Some(mfn)) = (granter, mfn) {
        let_go(cur.hv.mem(), granter, (gref, cur.domain.id), mfn, usage);
    }
}

/// Copies between frames that are granted, or else the caller's own, which stay while its p2m is locked.
fn transfer<M: Machine>(
    cur: &Current<'_, M>,
    op: &Copy,
    from: Option<Mfn>,
    to: Option<Mfn>,
) -> Result<(), GrantStatus> {
    let len = usize::from(op.len);
    let (source, dest) = (usize::from(op.source.offset), usize::from(op.dest.offset));
    let p2m = cur.domain.p2m_quickly(cur.hv.mem());
    let from = from.or_else(|| p2m.own(op.source.gfn(), Access::Read)).ok_or(GrantStatus::BAD_PAGE)?;
    let to = to.or_else(|| p2m.own(op.dest.gfn(), Access::Write)).ok_or(GrantStatus::BAD_PAGE)?;
    let fits = |offset: usize| offset <= PAGE_SIZE && len <= PAGE_SIZE - offset;
    if !fits(source) || !fits(dest) {
        return Err(GrantStatus::BAD_COPY_ARG);
    }
    let machine = &cur.hv.machine;
    if from != to || source.abs_diff(dest) >= len {
        machine.copy_frame((to, dest), (from, source), len);
    } else {
        copy_within(machine, from, source, dest, len);
    }
    Ok(())
}

/// A copy whose ranges overlap, in pieces that do not.
#[cold]
#[inline(never)]
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
