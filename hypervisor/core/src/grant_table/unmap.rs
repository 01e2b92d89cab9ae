//! Unmapping grants.
//!
//! In batches: the p2m entries of a batch are removed, the TLBs flushed once, and only then the uses
//! are ended and the references dropped. A handle goes with its p2m entry, so nobody ends it twice.

use core::mem::offset_of;

use heapless::Vec;
use xen_abi::{
    Errno, Gfn,
    grant_table::{GrantHandle, GrantStatus, UnmapAndReplace, UnmapGrantRef},
};

use zerocopy::IntoBytes;

use super::{each, map, maptrack::Mapped};
use crate::{current::Current, guest_access::Window, machine::Machine};

pub(super) const SIZE: u64 = size_of::<UnmapGrantRef>() as u64;
const BATCH: usize = 32;

/// What an element asks for, in either form.
struct Request {
    host_addr: u64,
    new_addr: u64,
    handle: GrantHandle,
}

/// Mappings that are removed, and the flush that they wait for.
#[derive(Default)]
struct Batch {
    removed: Vec<Mapped, BATCH>,
    flushed: bool,
}

#[hot]
#[inline(never)]
pub(super) fn unmap<M: Machine>(cur: &Current<'_, M>, list: u64, count: u32) -> Result<u32, Errno> {
    let mut window = Window::new(cur, count);
    let (mut done, mut at) = (0, list);
    while done < count {
        let end = count.min(done + BATCH as u32);
        let mut batch = Batch::default();
        let result: Result<(), Errno> = (done..end).try_for_each(|index| {
            let op: UnmapGrantRef = window.read(at)?;
            let request = Request { host_addr: op.host_addr, new_addr: 0, handle: op.handle };
            let status = batch.begin(cur, &request, index + 1 == end);
            window.write(at + offset_of!(UnmapGrantRef, status) as u64, &status)?;
            at = at.wrapping_add(SIZE);
            Ok(())
        });
        batch.finish(cur);
        result?;
        done = end;
        if done < count && cur.must_stop() {
            return Ok(done);
        }
    }
    Ok(count)
}

/// Nobody replaces anything: one at a time is enough.
pub(super) fn unmap_and_replace<M: Machine>(
    cur: &Current<'_, M>,
    list: u64,
    count: u32,
) -> Result<u32, Errno> {
    each(cur, (list, SIZE), count, |window, at| {
        let op: UnmapAndReplace = window.read_of_list(at)?;
        let request = Request { host_addr: op.host_addr, new_addr: op.new_addr, handle: op.handle };
        let mut batch = Batch::default();
        let status = batch.begin(cur, &request, true);
        batch.finish(cur);
        window.write_of_list(at + offset_of!(UnmapAndReplace, status) as u64, status.as_bytes())
    })
}

impl Batch {
    /// Removes the mapping from the p2m. The last removal of a batch has the flush made at once, while the p2m is locked.
    #[hot]
    fn begin<M: Machine>(&mut self, cur: &Current<'_, M>, request: &Request, last: bool) -> GrantStatus {
        let mut p2m = cur.domain.p2m_quickly(cur.hv.mem());
        let mut maptrack = cur.domain.maptrack.lock();
        let Some(mapped) = maptrack.get(request.handle) else {
            return GrantStatus::BAD_HANDLE;
        };
        if request.host_addr == 0 {
            return GrantStatus::OKAY;
        }
        let at = Gfn::containing(request.host_addr);
        if request.new_addr != 0 || !p2m.unmap_grant(at, mapped.mfn) {
            return GrantStatus::GENERAL_ERROR;
        }
        maptrack.take(request.handle);
        drop(maptrack);
        // A batch is no longer than there is room for.
        let _ = self.removed.push(mapped);
        if last {
            p2m.flush();
            self.flushed = true;
        }
        p2m.defer();
        GrantStatus::OKAY
    }

    /// Ends what was removed, once no TLB knows it.
    #[inline(always)]
    fn finish<M: Machine>(&mut self, cur: &Current<'_, M>) {
        if !self.flushed && !self.removed.is_empty() {
            cur.domain.p2m_quickly(cur.hv.mem()).flush();
        }
        for mapped in &self.removed {
            map::end(cur.hv, cur.domain, mapped);
        }
    }
}
