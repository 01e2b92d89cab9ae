//! Grant tables: a domain lets others use frames of its memory.
//!
//! Two sides, each with a lock of its own. The granter's [`GrantTable`] has the pages that it shares
//! with the hypervisor and, for each entry in use, by whom and which frame. The mapper's maptrack
//! has a handle for each mapping it made. A mapping holds one reference to the frame, from before the
//! p2m entry is made until after the TLBs have been flushed of it.
//!
//! Version 1 only, as Xen has it on ARM.

mod active;
mod copy;
mod entry;
mod flush;
mod map;
mod maptrack;
mod query;
mod unmap;

use alloc::vec::Vec;

use xen_abi::{
    Domid, Errno, Gfn, Gref, Mfn,
    grant_table::{ENTRIES_PER_FRAME, GrantStatus, gtf, op},
};

use crate::{
    current::Current,
    domain::Domain,
    frames::Mem,
    guest_access::Window,
    hypercall::{Args, HypercallResult, Stop},
    machine::{Access, Machine},
    p2m::P2mGuard,
};
use active::{Active, ActiveFrame};
use entry::{Place, Usage};

pub use map::release_all;
pub use maptrack::Maptrack;

/// A page of a table.
struct TableFrame {
    mfn: Mfn,
    /// Where the domain mapped it last.
    gfn: Gfn,
    active: ActiveFrame,
}

/// A domain's table.
pub struct GrantTable {
    owner: Domid,
    frames: Vec<TableFrame>,
    max_frames: u32,
}

impl GrantTable {
    /// A table of one page.
    pub fn new<M: Machine>(mem: Mem<'_, M>, owner: Domid, max_frames: u32) -> Result<Self, Errno> {
        let mut table = Self { owner, frames: Vec::new(), max_frames };
        table.grow(mem, max_frames.min(1))?;
        Ok(table)
    }

    /// Pages it has.
    pub fn len(&self) -> u32 {
        self.frames.len() as u32
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Pages it may have.
    pub fn max_frames(&self) -> u32 {
        self.max_frames
    }

    /// Makes it at least `frames` pages long.
    pub fn grow<M: Machine>(&mut self, mem: Mem<'_, M>, frames: u32) -> Result<(), Errno> {
        if frames > self.max_frames {
            return Err(Errno::EINVAL);
        }
        let old = self.frames.len();
        let more = (frames as usize).saturating_sub(old);
        self.frames.try_reserve(more).map_err(|_| Errno::ENOMEM)?;
        for _ in 0..more {
            let Some(mfn) = mem.frames.alloc(mem.machine, 0) else {
                self.shrink(mem, old);
                return Err(Errno::ENOMEM);
            };
            mem.frames.lend(mfn, self.owner);
            self.frames.push(TableFrame { mfn, gfn: Gfn::INVALID, active: ActiveFrame::default() });
        }
        Ok(())
    }

    fn shrink<M: Machine>(&mut self, mem: Mem<'_, M>, frames: usize) {
        for frame in self.frames.drain(frames..) {
            mem.frames.end_loan(mem.machine, frame.mfn);
        }
    }

    /// Gives all pages back.
    pub fn free<M: Machine>(&mut self, mem: Mem<'_, M>) {
        self.shrink(mem, 0);
        self.max_frames = 0;
    }

    /// Page `index`, which has to exist.
    pub fn frame(&self, index: u32) -> Option<Mfn> {
        self.frames.get(index as usize).map(|frame| frame.mfn)
    }

    /// Page `index`, with the table grown to have it.
    pub fn frame_grown<M: Machine>(&mut self, mem: Mem<'_, M>, index: u64) -> Result<Mfn, Errno> {
        let index = u32::try_from(index).map_err(|_| Errno::EINVAL)?;
        if index >= self.len() {
            self.grow(mem, index.checked_add(1).ok_or(Errno::EINVAL)?)?;
        }
        self.frame(index).ok_or(Errno::EINVAL)
    }

    /// Where the domain mapped page `index` last; it may have unmapped it since.
    pub fn mapped_at(&self, index: u32) -> Gfn {
        self.frames.get(index as usize).map_or(Gfn::INVALID, |frame| frame.gfn)
    }

    /// Remembers where the page is mapped.
    pub fn set_mapped_at(&mut self, index: u32, gfn: Gfn) {
        if let Some(frame) = self.frames.get_mut(index as usize) {
            frame.gfn = gfn;
        }
    }

    /// Writes an entry as the toolstack does for the console and xenstore.
    pub fn seed<M: Machine>(&self, machine: &M, gref: Gref, to: Domid, frame: Gfn) {
        if let Some(place) = self.place(gref) {
            let flags = u64::from(gtf::PERMIT_ACCESS) | u64::from(to.0) << 16;
            machine.store64(place.mfn, place.offset, flags | frame.0 << 32);
        }
    }

    fn place(&self, gref: Gref) -> Option<Place> {
        let frame = self.frames.get((gref.0 / ENTRIES_PER_FRAME) as usize)?;
        let offset = (gref.0 % ENTRIES_PER_FRAME) as usize * entry::SIZE;
        Some(Place { mfn: frame.mfn, offset })
    }

    fn active(&mut self, gref: Gref) -> Option<&mut ActiveFrame> {
        self.entry(gref).map(|(_, active)| active)
    }

    /// An entry, and what is known of those in its page.
    #[inline]
    fn entry(&mut self, gref: Gref) -> Option<(Place, &mut ActiveFrame)> {
        let frame = self.frames.get_mut((gref.0 / ENTRIES_PER_FRAME) as usize)?;
        let offset = (gref.0 % ENTRIES_PER_FRAME) as usize * entry::SIZE;
        Some((Place { mfn: frame.mfn, offset }, &mut frame.active))
    }

    /// Counts a use of an entry by `who` and gives its frame, with a reference. `p2m` is the
    /// owner's. `map` says that the whole page is wanted.
    #[hot]
    fn pin<M: Machine>(
        &mut self,
        mem: Mem<'_, M>,
        p2m: &P2mGuard<'_, M>,
        (gref, who): (Gref, Domid),
        usage: Usage,
        map: bool,
    ) -> Result<Mfn, GrantStatus> {
        let owner = self.owner;
        let (place, active) = self.entry(gref).ok_or(GrantStatus::BAD_GNTREF)?;
        let active = active.make(gref.0).map_err(|_| GrantStatus::GENERAL_ERROR)?;
        let first = !active.is_used();
        if !first && (active.who != who || !active.has_room(usage)) {
            return Err(GrantStatus::GENERAL_ERROR);
        }
        if first || (usage == Usage::Write && !active.is_written()) {
            place.mark(mem.machine, who, usage, first, map)?;
        }
        let mfn = if first {
            granted_frame(p2m, place.frame(mem.machine), usage)
        } else {
            let mfn = active.mfn;
            mem.frames.get(mfn, owner).then_some(mfn).ok_or(GrantStatus::GENERAL_ERROR)
        };
        match mfn {
            Ok(mfn) => {
                (active.mfn, active.who) = (mfn, who);
                active.add(usage);
            }
            Err(_) => place.take_back(mem.machine, unused_marks(active, usage)),
        }
        mfn
    }

    /// Ends a use. What is not in use so (the domain's id has a new bearer) stays as it is.
    fn unpin<M: Machine>(&mut self, mem: Mem<'_, M>, (gref, who): (Gref, Domid), mfn: Mfn, usage: Usage) {
        let Some((place, frame)) = self.entry(gref) else { return };
        let Some(active) = frame.get_mut(gref.0) else { return };
        if active.is_used_as(who, mfn, usage) {
            active.remove(usage);
            place.unmark(mem.machine, unused_marks(active, usage));
        }
    }
}

/// Ends the use of an entry that [`GrantTable::pin`] began, then drops the reference.
#[hot]
fn let_go<M: Machine>(mem: Mem<'_, M>, granter: &Domain<M>, entry: (Gref, Domid), mfn: Mfn, usage: Usage) {
    granter.grants.lock().unpin(mem, entry, mfn, usage);
    mem.frames.put(mem.machine, mfn);
}

/// The flags that are wrong now that a use of this kind is over.
fn unused_marks(active: &Active, usage: Usage) -> u16 {
    let reading = if active.is_used() { 0 } else { gtf::READING };
    let writing = if usage == Usage::Write && !active.is_written() { gtf::WRITING } else { 0 };
    reading | writing
}

fn granted_frame<M: Machine>(p2m: &P2mGuard<'_, M>, gfn: Gfn, usage: Usage) -> Result<Mfn, GrantStatus> {
    let access = match usage {
        Usage::Read => Access::Read,
        Usage::Write => Access::Write,
    };
    p2m.get_own(gfn, access).ok_or(GrantStatus::BAD_PAGE)
}

/// Works through a list element by element; stops between two when the CPU is wanted. Gives how many
/// are done.
fn each<'a, M: Machine>(
    cur: &Current<'a, M>,
    (list, size): (u64, u64),
    count: u32,
    mut one: impl FnMut(&mut Window<'_, 'a, M>, u64) -> Result<(), Errno>,
) -> Result<u32, Errno> {
    let mut window = Window::new(cur, count);
    let mut at = list;
    for index in 0..count {
        if index > 0 && cur.must_stop() {
            return Ok(index);
        }
        one(&mut window, at)?;
        at = at.wrapping_add(size);
    }
    Ok(count)
}

/// grant_table_op: command, list, length.
#[hot]
pub fn grant_table_op<M: Machine>(cur: &mut Current<'_, M>, args: Args) -> HypercallResult {
    let result = serve(cur, args);
    // A page that was let go may have been the last of a domain that is gone.
    cur.hv.bury_dead();
    result
}

fn serve<M: Machine>(cur: &mut Current<'_, M>, args: Args) -> HypercallResult {
    let (cmd, list, count) = (args[0] as u32, args[1], args[2] as u32);
    let (command, opaque) = (cmd & op::MASK, cmd & !op::MASK);
    if (count as i32) < 0 || (opaque != 0 && command != op::CACHE_FLUSH) {
        return Err(Errno::EINVAL.into());
    }
    let (done, size) = match command {
        op::MAP_GRANT_REF => (map::map(cur, list, count)?, map::SIZE),
        op::UNMAP_GRANT_REF => (unmap::unmap(cur, list, count)?, unmap::SIZE),
        op::UNMAP_AND_REPLACE => (unmap::unmap_and_replace(cur, list, count)?, unmap::SIZE),
        op::COPY => (copy::copy(cur, list, count)?, copy::SIZE),
        op::SWAP_GRANT_REF => (query::swap(cur, list, count)?, query::SWAP_SIZE),
        op::CACHE_FLUSH => return flush::cache_flush(cur, args),
        op::SETUP_TABLE => return query::setup_table(cur, list, count),
        op::QUERY_SIZE => return query::query_size(cur, list, count),
        op::SET_VERSION => return query::set_version(cur, list),
        op::GET_STATUS_FRAMES => return query::get_status_frames(cur, list, count),
        op::GET_VERSION => return query::get_version(cur, list),
        op::TRANSFER => return Err(Errno::EOPNOTSUPP.into()),
        _ => return Err(Errno::ENOSYS.into()),
    };
    if done == count {
        return Ok(0);
    }
    let list = list.wrapping_add(u64::from(done) * size);
    Err(Stop::Preempted([args[0], list, u64::from(count - done), args[3], args[4]]))
}

#[cfg(test)]
mod tests;
