//! Changing mappings.

use xen_abi::{Errno, Gfn, Mfn};

use super::{
    P2mGuard,
    descriptor::{self, Entry, LAST_LEVEL, P2mType, order_of},
    walk::{self, ENTRIES, GFN_END, ROOT_LEVEL, Slot},
};
use crate::machine::Machine;

/// Which translations the TLBs may still hold although the tables do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stale {
    Nothing,
    Page(u32),
    All,
}

impl Stale {
    #[inline]
    fn add(&mut self, gfn: u32, order: u32) {
        *self = match *self {
            Self::Nothing if order == 0 => Self::Page(gfn),
            same @ Self::Page(page) if order == 0 && page == gfn => same,
            _ => Self::All,
        };
    }
}

/// What is to happen to a frame once no TLB knows it any more.
#[derive(Clone, Copy, Debug)]
enum Release {
    /// A reference is dropped.
    Reference(Mfn),
    /// The domain gives frames of its memory back.
    Memory(Mfn, u32),
    /// A table is freed.
    Table(Mfn),
}

const PENDING: usize = 32;

/// Releases that wait for the next flush.
#[derive(Debug, Default)]
pub(super) struct Pending {
    items: [Option<Release>; PENDING],
    count: usize,
}

/// What becomes of RAM that is unmapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ram {
    /// The domain keeps owning it.
    Keep,
    /// It goes back to the free frames, unless others hold it.
    Free,
}

impl<M: Machine> P2mGuard<'_, M> {
    /// Maps `frames` frames from `mfn` on at `gfn` and following, in the largest entries that fit.
    /// What was mapped there is replaced. After an error the first part may be mapped.
    ///
    /// # Errors
    ///
    /// `EINVAL` beyond the address space or while the domain dies, `ENOMEM` without memory for
    /// tables.
    #[hot]
    pub fn map(&mut self, gfn: Gfn, mfn: Mfn, frames: u64, kind: P2mType) -> Result<(), Errno> {
        let end = gfn.0.checked_add(frames).filter(|end| *end <= GFN_END).ok_or(Errno::EINVAL)?;
        if !self.p2m.torn.is_alive() {
            return Err(Errno::EINVAL);
        }
        self.flush_tlb();
        let (mut at, mut mfn) = (gfn.0, mfn);
        while at < end {
            let done = self.map_entry(at as u32, mfn, end - at, kind)?;
            at += done;
            mfn.0 += done;
        }
        Ok(())
    }

    /// Maps one frame, as [`P2mGuard::map`] does.
    pub fn map_page(&mut self, gfn: Gfn, mfn: Mfn, kind: P2mType) -> Result<(), Errno> {
        // Somebody may have removed what was here and not have flushed yet.
        self.flush_tlb();
        let machine = self.mem.machine;
        let fill = |value| (value == 0).then(|| descriptor::page(mfn, kind));
        if self.page_slot(gfn).is_some_and(|slot| slot.change(machine, fill)) {
            machine.table_barrier();
            self.note_mapped(gfn.0 as u32, 1);
            return Ok(());
        }
        self.map(gfn, mfn, 1, kind)
    }

    /// Unmaps a frame if a grant of `mfn` is mapped there.
    pub fn unmap_grant(&mut self, gfn: Gfn, mfn: Mfn) -> bool {
        let remove = |value| descriptor::is_grant_of(value, mfn).then_some(0);
        let removed = self.page_slot(gfn).is_some_and(|slot| slot.change(self.mem.machine, remove));
        if removed {
            self.note_removed(gfn.0 as u32, 0);
        }
        removed
    }

    /// The entry of the last level for a frame, where there is a table of pages.
    #[inline(always)]
    fn page_slot(&self, gfn: Gfn) -> Option<Slot> {
        let gfn = walk::checked(gfn).filter(|_| self.p2m.torn.is_alive())?;
        let table = self.p2m.memo.last_table(self.mem.machine, self.p2m.root, gfn)?;
        Some(Slot::of(table, LAST_LEVEL, gfn))
    }

    /// Writes an entry.
    #[inline(always)]
    pub(super) fn put(&mut self, slot: Slot, value: u64) {
        if slot.level != LAST_LEVEL {
            self.p2m.memo.forget();
        }
        slot.store(self.mem.machine, value);
        self.mem.machine.table_barrier();
    }

    /// Maps one entry's worth; says how many frames that was.
    fn map_entry(&mut self, gfn: u32, mfn: Mfn, left: u64, kind: P2mType) -> Result<u64, Errno> {
        let fits = |level: &u32| {
            let frames = 1 << order_of(*level);
            left >= frames && (u64::from(gfn) | mfn.0) & (frames - 1) == 0
        };
        let mut level = (ROOT_LEVEL..LAST_LEVEL).find(fits).unwrap_or(LAST_LEVEL);
        loop {
            let (slot, entry) = self.descend(gfn, level)?;
            match entry {
                Entry::Table(table) if !self.is_empty(table) => level += 1,
                Entry::Table(table) => {
                    self.clear(slot, gfn);
                    self.release(Release::Table(table));
                }
                _ => {
                    self.write_leaf(slot, gfn, entry, descriptor::leaf(mfn, kind, level));
                    self.note_mapped(gfn, 1 << order_of(level));
                    return Ok(1 << order_of(level));
                }
            }
        }
    }

    /// The entry of `level` for a frame, with the tables above it made where missing.
    fn descend(&mut self, gfn: u32, level: u32) -> Result<(Slot, Entry), Errno> {
        loop {
            let (slot, entry) = walk::find(self.mem.machine, self.p2m.root, gfn, level);
            if slot.level == level {
                return Ok((slot, entry));
            }
            match entry {
                Entry::Leaf(mfn, kind) => self.shatter(slot, gfn, mfn, kind)?,
                _ => {
                    let table = self.alloc_table()?;
                    self.put(slot, descriptor::table(table));
                }
            }
        }
    }

    fn alloc_table(&mut self) -> Result<Mfn, Errno> {
        let mem = self.mem;
        self.p2m.pool.alloc(mem.machine, mem.frames).ok_or(Errno::ENOMEM)
    }

    /// Replaces a block by a table that maps the same.
    fn shatter(&mut self, slot: Slot, gfn: u32, mfn: Mfn, kind: P2mType) -> Result<(), Errno> {
        let table = self.alloc_table()?;
        let machine = self.mem.machine;
        let level = slot.level + 1;
        // All of it counts as accessed: if the block is being cleaned, its rest would be forgotten.
        for index in 0..ENTRIES {
            let first = Mfn(mfn.0 + (u64::from(index) << order_of(level)));
            Slot { table, index, level }.store(machine, descriptor::leaf(first, kind, level));
        }
        self.clear(slot, gfn);
        self.flush_tlb();
        self.put(slot, descriptor::table(table));
        Ok(())
    }

    fn write_leaf(&mut self, slot: Slot, gfn: u32, old: Entry, value: u64) {
        let machine = self.mem.machine;
        if let Entry::Leaf(mfn, kind) = old {
            if slot.load(machine) == value {
                return;
            }
            self.clear(slot, gfn);
            self.flush_tlb();
            self.drop_leaf(slot.level, mfn, kind, Ram::Keep);
        }
        self.put(slot, value);
    }

    #[inline]
    fn note_mapped(&mut self, gfn: u32, frames: u32) {
        self.p2m.lowest = self.p2m.lowest.min(gfn);
        self.p2m.end = self.p2m.end.max(gfn + frames);
    }

    /// Unmaps one frame and says what was there.
    ///
    /// # Errors
    ///
    /// `ENOENT` when nothing was; `ENOMEM` when a block had to be split and no memory was left:
    /// the mapping is then unchanged.
    #[hot]
    pub fn unmap(&mut self, gfn: Gfn, ram: Ram) -> Result<super::Mapping, Errno> {
        let mapping = self.lookup(gfn).ok_or(Errno::ENOENT)?;
        self.unmap_range(gfn, 1, ram)?;
        Ok(mapping)
    }

    /// Unmaps whatever is mapped in a range.
    ///
    /// # Errors
    ///
    /// `ENOMEM` as in [`P2mGuard::unmap`], with the range unmapped up to there.
    pub fn unmap_range(&mut self, gfn: Gfn, frames: u64, ram: Ram) -> Result<(), Errno> {
        let end = gfn.0.saturating_add(frames).min(GFN_END);
        let mut at = gfn.0;
        while at < end && self.p2m.torn.is_alive() {
            at += self.unmap_entry(at as u32, end - at, ram)?;
        }
        Ok(())
    }

    /// Unmaps one entry's worth, or skips as much; says how many frames that was.
    fn unmap_entry(&mut self, gfn: u32, left: u64, ram: Ram) -> Result<u64, Errno> {
        loop {
            let (slot, entry) = walk::find(self.mem.machine, self.p2m.root, gfn, LAST_LEVEL);
            let frames = 1 << order_of(slot.level);
            let within = u64::from(gfn) & (frames - 1);
            let Entry::Leaf(mfn, kind) = entry else {
                return Ok(frames - within);
            };
            if within == 0 && left >= frames {
                self.clear(slot, gfn);
                self.drop_leaf(slot.level, mfn, kind, ram);
                return Ok(frames);
            }
            self.shatter(slot, gfn, mfn, kind)?;
        }
    }

    /// Notes what has to happen to the frames of a mapping that is gone.
    #[hot]
    pub(super) fn drop_leaf(&mut self, level: u32, mfn: Mfn, kind: P2mType, ram: Ram) {
        let frames = 1 << order_of(level);
        if kind.is_foreign() {
            for frame in 0..u64::from(frames) {
                self.release(Release::Reference(Mfn(mfn.0 + frame)));
            }
        } else if kind.is_ram() && ram == Ram::Free {
            self.release(Release::Memory(mfn, frames));
        }
    }

    #[hot]
    fn release(&mut self, what: Release) {
        if self.p2m.pending.count == PENDING {
            self.flush();
        }
        let pending = &mut self.p2m.pending;
        pending.items[pending.count] = Some(what);
        pending.count += 1;
    }

    /// Writes an entry as nothing.
    #[inline(always)]
    pub(super) fn clear(&mut self, slot: Slot, gfn: u32) {
        if slot.level != LAST_LEVEL {
            self.p2m.memo.forget();
        }
        slot.store(self.mem.machine, 0);
        self.note_removed(gfn, order_of(slot.level));
    }

    #[inline(always)]
    fn note_removed(&mut self, gfn: u32, order: u32) {
        self.p2m.stale.add(gfn, order);
        self.removed = true;
    }

    fn is_empty(&self, table: Mfn) -> bool {
        (0..ENTRIES).all(|index| self.mem.machine.load64(table, index as usize * 8) == 0)
    }

    /// Makes removals take effect on every CPU, then drops what they held.
    #[inline]
    pub fn flush(&mut self) {
        self.flush_tlb();
        if self.p2m.pending.count != 0 {
            self.finish_all();
        }
    }

    /// [`P2mGuard::flush`], at the guard's end.
    #[inline(never)]
    pub(super) fn flush_removed(&mut self) {
        self.flush();
    }

    #[hot]
    #[inline(never)]
    fn finish_all(&mut self) {
        let count = core::mem::take(&mut self.p2m.pending.count);
        for index in 0..count {
            if let Some(item) = self.p2m.pending.items[index].take() {
                self.finish(item);
            }
        }
    }

    fn finish(&mut self, item: Release) {
        let mem = self.mem;
        match item {
            Release::Reference(mfn) => mem.frames.put(mem.machine, mfn),
            Release::Memory(mfn, frames) => {
                mem.frames.give_up_run(mem.machine, mfn, frames, &self.p2m.account);
            }
            Release::Table(mfn) => self.p2m.pool.free(mem.machine, mem.frames, mfn),
        }
    }

    #[inline]
    pub(super) fn flush_tlb(&mut self) {
        if self.p2m.stale != Stale::Nothing {
            self.flush_stale();
        }
    }

    #[hot]
    #[inline(never)]
    fn flush_stale(&mut self) {
        let machine = self.mem.machine;
        machine.table_barrier();
        match core::mem::replace(&mut self.p2m.stale, Stale::Nothing) {
            Stale::Page(gfn) => machine.flush_guest_page(self.p2m.vmid, Gfn(gfn.into())),
            _ => machine.flush_guest_tlb(self.p2m.vmid),
        }
    }
}
