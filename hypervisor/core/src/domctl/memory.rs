//! A domain's memory, as the toolstack limits and cleans it.

use alloc::sync::Arc;

use xen_abi::{
    Errno, Gfn, PAGE_SHIFT, PAGE_SIZE,
    domctl::{CacheFlush, Domctl, MaxMem, PagingMempool},
};

use super::{Result, Served};
use crate::{
    current::Current,
    domain::Domain,
    machine::{CacheOp, Machine},
};

/// Frames that may be cleaned in one request.
const MAX_FLUSH: u64 = 1 << 18;

/// May be below what the domain has; then it only gets no more.
pub(super) fn limit<M: Machine>(op: &Domctl, domain: &Arc<Domain<M>>) -> Result {
    let pages = op.u.get::<MaxMem>().max_memkb >> (PAGE_SHIFT - 10);
    domain.account.set_limit(u32::try_from(pages).unwrap_or(u32::MAX - 1));
    Ok(Served::Quietly)
}

/// Cleans and invalidates what the toolstack wrote for a guest that starts with its caches off. How
/// far it came is kept in the request.
pub(super) fn flush<M: Machine>(cur: &Current<'_, M>, op: &mut Domctl, domain: &Arc<Domain<M>>) -> Result {
    let asked: CacheFlush = op.u.get();
    let end = asked.start_pfn.checked_add(asked.nr_pfns).ok_or(Errno::EINVAL)?;
    if asked.nr_pfns > MAX_FLUSH {
        return Err(Errno::EINVAL);
    }
    let mut p2m = domain.p2m(cur.hv.mem());
    let stopped =
        p2m.cache_range(Gfn(asked.start_pfn), asked.nr_pfns, CacheOp::CleanInvalidate, || cur.must_stop());
    drop(p2m);
    let Some(next) = stopped else {
        return Ok(Served::Quietly);
    };
    op.u.set(&CacheFlush { start_pfn: next.0, nr_pfns: end - next.0 });
    Ok(Served::PartlyAnswered)
}

pub(super) fn get_pool<M: Machine>(cur: &Current<'_, M>, op: &mut Domctl, domain: &Arc<Domain<M>>) -> Result {
    let pages = domain.p2m(cur.hv.mem()).pool().limit().unwrap_or(0);
    op.u.set(&PagingMempool { size: u64::from(pages) << PAGE_SHIFT });
    Ok(Served::Answered)
}

/// Sets how much memory the tables may take. It is taken when needed, but has to be there now.
pub(super) fn set_pool<M: Machine>(cur: &Current<'_, M>, op: &Domctl, domain: &Arc<Domain<M>>) -> Result {
    let size = op.u.get::<PagingMempool>().size;
    let pages = size >> PAGE_SHIFT;
    // Xen counts pages in words of its own width.
    if !size.is_multiple_of(PAGE_SIZE as u64) || usize::try_from(pages).is_err() {
        return Err(Errno::EINVAL);
    }
    let pages = u32::try_from(pages).map_err(|_| Errno::ENOMEM)?;
    let mut p2m = domain.p2m(cur.hv.mem());
    let pool = p2m.pool();
    // The hardware domain's tables are not limited.
    let Some(limit) = pool.limit() else {
        return Ok(Served::Quietly);
    };
    let short = pages > limit && pages - pool.used() > cur.hv.frames.free();
    if short || !pool.set_limit(pages) {
        return Err(Errno::ENOMEM);
    }
    Ok(Served::Quietly)
}
