//! This domain's grant table: entries that say which frame who may use.
// UNSAFETY: maps the table's frames where the device tree says, and makes shared memory of them.
#![allow(unsafe_code)]

use alloc::vec::Vec;
use core::{
    mem::{self, offset_of},
    sync::atomic::{Ordering, fence},
};

use xen_abi::{
    Domid, Errno, Gfn, Gref, PAGE_SIZE,
    grant_table::{ENTRIES_PER_FRAME, EntryV1, NR_RESERVED_ENTRIES, gtf},
    memory::mapspace,
};

use super::Lent;
use crate::{arch, hypercall, lock::IrqLock, shared::SharedMemory};

const FLAGS: usize = offset_of!(EntryV1, flags);
const DOMID: usize = offset_of!(EntryV1, domid);
const FRAME: usize = offset_of!(EntryV1, frame);
const IN_USE: u16 = gtf::READING | gtf::WRITING;

/// Revoking races with the hypervisor setting and clearing the use bits. It gives up by itself,
/// and so do we: then the entry is in use.
const TRIES: usize = 16;

struct State {
    /// The frames that are mapped, in order.
    frames: Vec<SharedMemory>,
    free: Vec<Gref>,
    /// Dropped grants that are in use.
    held: Vec<Lent>,
}

impl State {
    /// The entry of a reference that was given out: its frame of the table, and offset in it.
    fn entry(&self, gref: Gref) -> (&SharedMemory, usize) {
        let (frame, index) = (gref.0 / ENTRIES_PER_FRAME, gref.0 % ENTRIES_PER_FRAME);
        let offset = index as usize * size_of::<EntryV1>();
        (&self.frames[frame as usize], offset)
    }

    /// Maps one more frame of the table and adds its references to the free ones.
    fn grow(&mut self) -> Result<(), Errno> {
        let index = self.frames.len();
        let gfn = arch::grant_frame(index).ok_or(Errno::ENOSPC)?;
        // SAFETY: the region is there for this, says the device tree.
        let mapped = unsafe {
            hypercall::memory::add_to_physmap(Domid::SELF, mapspace::GRANT_TABLE, index as u64, gfn)
        };
        mapped.map_err(|_| Errno::ENOSPC)?;
        // SAFETY: the frame is mapped there now, and for ever.
        let frame = unsafe { SharedMemory::new(arch::mapped_at(gfn), PAGE_SIZE) };
        self.frames.push(frame);
        let base = index as u32 * ENTRIES_PER_FRAME;
        let first = base.max(NR_RESERVED_ENTRIES);
        self.free.extend((first..base + ENTRIES_PER_FRAME).rev().map(Gref));
        Ok(())
    }

    fn revoke(&mut self, gref: Gref) -> bool {
        let (frame, at) = self.entry(gref);
        let mut flags = frame.load_u16(at + FLAGS, Ordering::Relaxed);
        for _ in 0..TRIES {
            if flags & IN_USE != 0 {
                return false;
            }
            match frame.compare_exchange_u16(at + FLAGS, flags, 0) {
                Ok(_) => {
                    self.free.push(gref);
                    return true;
                }
                Err(now) => flags = now,
            }
        }
        false
    }
}

/// The table.
pub(crate) struct Table(IrqLock<State>);

impl Table {
    pub(crate) const fn new() -> Self {
        Self(IrqLock::new(State { frames: Vec::new(), free: Vec::new(), held: Vec::new() }))
    }

    /// Lets `to` use a frame of ours.
    ///
    /// # Errors
    ///
    /// `ENOSPC` when the table is full, `EOVERFLOW` for a frame that version 1 cannot name.
    pub(super) fn allow(&self, to: Domid, gfn: Gfn, flags: u16) -> Result<Gref, Errno> {
        let number = u32::try_from(gfn.0).map_err(|_| Errno::EOVERFLOW)?;
        let mut state = self.0.lock();
        if state.free.is_empty() {
            state.grow()?;
        }
        let gref = state.free.pop().ok_or(Errno::ENOSPC)?;
        let (frame, at) = state.entry(gref);
        frame.store_u32(at + FRAME, number, Ordering::Relaxed);
        frame.store_u16(at + DOMID, to.0, Ordering::Relaxed);
        // The entry becomes valid with its flags, and not before the rest of it is there.
        fence(Ordering::SeqCst);
        frame.store_u16(at + FLAGS, flags, Ordering::Release);
        Ok(gref)
    }

    /// Whether a borrower uses the frame.
    pub(super) fn in_use(&self, gref: Gref) -> bool {
        let state = self.0.lock();
        let (frame, at) = state.entry(gref);
        frame.load_u16(at + FLAGS, Ordering::Acquire) & IN_USE != 0
    }

    /// Takes a reference back unless it is in use.
    pub(super) fn revoke(&self, gref: Gref) -> bool {
        self.0.lock().revoke(gref)
    }

    /// Frees a grant's pages, or keeps them until that can be done.
    pub(super) fn settle(&self, mut lent: Lent) {
        if !lent.revoke(self) {
            self.0.lock().held.push(lent);
        }
    }

    /// Frees what can be freed of the grants that are held; says how many remain.
    pub(super) fn reap(&self) -> usize {
        let held = mem::take(&mut self.0.lock().held);
        if held.is_empty() {
            return 0;
        }
        for lent in held {
            self.settle(lent);
        }
        self.0.lock().held.len()
    }
}
