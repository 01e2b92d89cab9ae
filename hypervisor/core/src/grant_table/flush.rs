//! Cache maintenance on a frame that the caller owns or was granted, for devices that do not see
//! the caches.

use alloc::sync::Arc;

use lock::LockRarely;
use xen_abi::{
    Domid, Errno, Mfn, PAGE_SIZE,
    grant_table::{CacheFlush, ENTRIES_PER_FRAME, cache, op},
};

use super::GrantTable;
use crate::{
    current::Current,
    domain::Domain,
    hypercall::{Args, HypercallResult, Stop},
    machine::{CacheOp, Machine},
};

const SIZE: u64 = size_of::<CacheFlush>() as u64;
/// Where a continued call keeps the entry to look at next.
const PROGRESS_SHIFT: u32 = 12;
/// Entries looked at between two questions whether to stop.
const SEARCH_STEP: u32 = 512;

/// How an element ended.
enum Outcome {
    Done,
    /// The search has to go on at this entry.
    Searching(u32),
}

pub(super) fn cache_flush<M: Machine>(cur: &mut Current<'_, M>, args: Args) -> HypercallResult {
    let (list, count) = (args[1], args[2] as u32);
    let mut search = args[0] as u32 >> PROGRESS_SHIFT;
    for index in 0..count {
        let at = list.checked_add(u64::from(index) * SIZE).ok_or(Errno::EFAULT)?;
        if index > 0 && cur.must_stop() {
            return preempt(args, at, count - index, 0);
        }
        let op: CacheFlush = cur.read(at)?;
        while let Outcome::Searching(next) = flush_one(cur, &op, search)? {
            search = next;
            if cur.must_stop() {
                return preempt(args, at, count - index, search);
            }
        }
        search = 0;
    }
    Ok(0)
}

fn preempt(args: Args, list: u64, count: u32, search: u32) -> HypercallResult {
    let command = op::CACHE_FLUSH | search << PROGRESS_SHIFT;
    Err(Stop::Preempted([command.into(), list, count.into(), args[3], args[4]]))
}

fn flush_one<M: Machine>(cur: &Current<'_, M>, op: &CacheFlush, search: u32) -> Result<Outcome, Errno> {
    let (offset, len) = (usize::from(op.offset), usize::from(op.length));
    let known = cache::CLEAN | cache::INVAL;
    if offset >= PAGE_SIZE || offset + len > PAGE_SIZE || op.op & !known != 0 {
        return Err(Errno::EINVAL);
    }
    if len == 0 || op.op == 0 {
        return if search == 0 { Ok(Outcome::Done) } else { Err(Errno::EILSEQ) };
    }
    let mfn = Mfn::containing(op.a);
    let frames = &cur.hv.frames;
    if !frames.contains(mfn) {
        return Err(Errno::EINVAL);
    }
    let owner = frames.owner(mfn).and_then(|owner| cur.hv.domains.get(owner)).ok_or(Errno::EPERM)?;
    let held = frames.hold(&cur.hv.machine, mfn, owner.id).ok_or(Errno::EPERM)?;
    if !Arc::ptr_eq(&owner, cur.domain)
        && let Some(next) = find_grant(&owner, cur.domain.id, mfn, search)?
    {
        return Ok(Outcome::Searching(next));
    }
    cur.hv.machine.cache_frame(held.mfn(), offset, len, cache_op(op.op));
    Ok(Outcome::Done)
}

fn cache_op(bits: u32) -> CacheOp {
    match (bits & cache::CLEAN != 0, bits & cache::INVAL != 0) {
        (true, true) => CacheOp::CleanInvalidate,
        (false, true) => CacheOp::Invalidate,
        _ => CacheOp::Clean,
    }
}

/// Looks for a use of the frame by `who` from entry `from` on: `None` when there is one, the entry
/// to go on with when the search is not over.
fn find_grant<M: Machine>(owner: &Domain<M>, who: Domid, mfn: Mfn, from: u32) -> Result<Option<u32>, Errno> {
    owner.grants.lock_rarely().find_use(who, mfn, from)
}

impl GrantTable {
    fn find_use(&self, who: Domid, mfn: Mfn, from: u32) -> Result<Option<u32>, Errno> {
        let entries = self.len() * ENTRIES_PER_FRAME;
        let end = from.saturating_add(SEARCH_STEP).min(entries);
        let mut at = from;
        while at < end {
            let frame = &self.frames[(at / ENTRIES_PER_FRAME) as usize].active;
            let first = at / ENTRIES_PER_FRAME * ENTRIES_PER_FRAME;
            let Some(next) = frame.next(at % ENTRIES_PER_FRAME) else {
                at = first + ENTRIES_PER_FRAME;
                continue;
            };
            at = first + next;
            let active = frame.get(at).filter(|active| active.is_used());
            if active.is_some_and(|active| active.who == who && active.mfn == mfn) {
                return Ok(None);
            }
            at += 1;
        }
        if at < entries { Ok(Some(at)) } else { Err(Errno::EINVAL) }
    }
}
