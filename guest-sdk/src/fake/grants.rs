//! Grants of the fake machine. A mapped page is the granter's own; only its address differs on the
//! real one.
// UNSAFETY: makes shared memory of table frames, which are never freed, and copies between pages
// and buffers that the caller of the hypercall vouches for.
#![allow(unsafe_code)]

use std::{
    mem::offset_of,
    ptr::{self, NonNull},
    sync::atomic::Ordering,
};

use xen_abi::{
    Domid, Errno, Gfn, Gref, PAGE_SIZE,
    grant_table::{
        Copy, CopyPtr, ENTRIES_PER_FRAME, EntryV1, GrantHandle, GrantStatus, MapGrantRef, QuerySize,
        UnmapGrantRef, gntcopy, gntmap, gtf,
    },
};

use super::{Domain, Page, find, frames::MAX_GRANT_FRAMES, machine};
use crate::shared::SharedMemory;

/// A mapping of another domain's grant.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tracked {
    from: Domid,
    gref: Gref,
    at: Gfn,
    writable: bool,
}

const FLAGS: usize = offset_of!(EntryV1, flags);

impl Domain {
    /// The table's frame number `index`, made when it is not there.
    pub(super) fn grant_frame(&self, index: usize) -> Result<Page, Errno> {
        if index >= MAX_GRANT_FRAMES {
            return Err(Errno::EINVAL);
        }
        let mut frames = self.0.grant_frames.borrow_mut();
        while frames.len() <= index {
            let page = machine().frames.alloc(Domid::XEN, 1).ok_or(Errno::ENOMEM)?;
            frames.push(Page(page));
        }
        Ok(frames[index])
    }

    /// An entry's frame of the table, and its offset there.
    fn entry(&self, gref: Gref) -> Option<(SharedMemory, usize)> {
        let frames = self.0.grant_frames.borrow();
        let frame = frames.get((gref.0 / ENTRIES_PER_FRAME) as usize)?;
        let offset = (gref.0 % ENTRIES_PER_FRAME) as usize * size_of::<EntryV1>();
        // SAFETY: frames of the table are never freed.
        Some((unsafe { SharedMemory::new(frame.0, PAGE_SIZE) }, offset))
    }

    /// The page that `to` may use under a reference of this domain.
    fn granted(&self, gref: Gref, to: Domid, write: bool) -> Result<Page, GrantStatus> {
        let (frame, at) = self.entry(gref).ok_or(GrantStatus::BAD_GNTREF)?;
        let entry: EntryV1 = frame.read(at);
        let access = entry.flags & gtf::TYPE_MASK == gtf::PERMIT_ACCESS;
        if !access || entry.domid != to || (write && entry.flags & gtf::READONLY != 0) {
            return Err(GrantStatus::GENERAL_ERROR);
        }
        self.own_page(Gfn(entry.frame.into())).ok_or(GrantStatus::BAD_PAGE)
    }

    fn mark(&self, gref: Gref, set: u16, clear: u16) {
        if let Some((frame, at)) = self.entry(gref) {
            let flags = frame.load_u16(at + FLAGS, Ordering::SeqCst);
            frame.store_u16(at + FLAGS, flags & !clear | set, Ordering::SeqCst);
        }
    }

    pub(super) fn map_grant(&self, arg: &mut MapGrantRef) {
        arg.status = match self.try_map_grant(arg) {
            Ok(handle) => {
                arg.handle = handle;
                GrantStatus::OKAY
            }
            Err(status) => status,
        };
    }

    fn try_map_grant(&self, arg: &MapGrantRef) -> Result<GrantHandle, GrantStatus> {
        if arg.flags & !gntmap::READONLY != gntmap::HOST_MAP {
            return Err(GrantStatus::GENERAL_ERROR);
        }
        let writable = arg.flags & gntmap::READONLY == 0;
        let granter = find(arg.dom).ok_or(GrantStatus::BAD_DOMAIN)?;
        let page = granter.granted(arg.gref, self.id(), writable)?;
        let at = Gfn(arg.host_addr / PAGE_SIZE as u64);
        let used = if writable { gtf::READING | gtf::WRITING } else { gtf::READING };
        granter.mark(arg.gref, used, 0);
        self.0.mapped.borrow_mut().insert(at.0, Some(page));
        let mut tracked = self.0.tracked.borrow_mut();
        tracked.push(Some(Tracked { from: arg.dom, gref: arg.gref, at, writable }));
        Ok(GrantHandle(tracked.len() as u32 - 1))
    }

    pub(super) fn unmap_grant(&self, arg: &mut UnmapGrantRef) {
        let mut tracked = self.0.tracked.borrow_mut();
        let slot = tracked.get_mut(arg.handle.0 as usize);
        let Some(mapping) = slot.and_then(Option::take) else {
            arg.status = GrantStatus::BAD_HANDLE;
            return;
        };
        let same = |t: &&Tracked| t.from == mapping.from && t.gref == mapping.gref;
        let others: Vec<Tracked> = tracked.iter().flatten().filter(same).copied().collect();
        drop(tracked);
        self.0.mapped.borrow_mut().insert(mapping.at.0, None);
        let mut unused = 0;
        if others.is_empty() {
            unused |= gtf::READING;
        }
        if others.iter().all(|t| !t.writable) {
            unused |= gtf::WRITING;
        }
        if let Some(granter) = find(mapping.from) {
            granter.mark(mapping.gref, 0, unused);
        }
        arg.status = GrantStatus::OKAY;
    }

    /// # Safety
    ///
    /// Frames of this domain that are given by their address may be used so.
    pub(super) unsafe fn copy_grant(&self, arg: &mut Copy) {
        let side = |ptr: &CopyPtr, is_gref: bool, write: bool| {
            let len = usize::from(arg.len);
            if usize::from(ptr.offset) + len > PAGE_SIZE {
                return Err(GrantStatus::BAD_COPY_ARG);
            }
            let page = if is_gref {
                let granter = find(ptr.domid).ok_or(GrantStatus::BAD_DOMAIN)?;
                granter.granted(ptr.gref(), self.id(), write)?.0
            } else if ptr.domid == Domid::SELF {
                self.local(ptr.gfn()).ok_or(GrantStatus::BAD_PAGE)?
            } else {
                return Err(GrantStatus::PERMISSION_DENIED);
            };
            // SAFETY: the offset lies in the page.
            Ok(unsafe { page.add(ptr.offset.into()) })
        };
        let source = side(&arg.source, arg.flags & gntcopy::SOURCE_GREF != 0, false);
        let dest = side(&arg.dest, arg.flags & gntcopy::DEST_GREF != 0, true);
        arg.status = match (source, dest) {
            (Ok(from), Ok(to)) => {
                // SAFETY: both ranges lie in pages that may be used, says the caller.
                unsafe { ptr::copy(from.as_ptr(), to.as_ptr(), arg.len.into()) };
                GrantStatus::OKAY
            }
            (Err(status), _) | (_, Err(status)) => status,
        };
    }

    /// A frame of this domain, or an address elsewhere in the process: see `frames::address_of`.
    fn local(&self, gfn: Gfn) -> Option<NonNull<u8>> {
        let first_address = u64::from(u32::MAX);
        if gfn.0 > first_address {
            return NonNull::new((gfn.0 * PAGE_SIZE as u64) as usize as *mut u8);
        }
        self.page_at(gfn).map(|page| page.0)
    }

    pub(super) fn query_grants(&self, arg: &mut QuerySize) {
        arg.nr_frames = self.0.grant_frames.borrow().len() as u32;
        arg.max_nr_frames = MAX_GRANT_FRAMES as u32;
        arg.status = GrantStatus::OKAY;
    }
}
