//! Finding an entry in the tables.
//!
//! Three levels of 512 entries; the root is two tables side by side, so that its index has ten
//! bits and guest-physical addresses forty.

use core::cell::Cell;

use xen_abi::{Gfn, Mfn};

use super::descriptor::{self, Entry, LAST_LEVEL, decode, order_of};
use crate::machine::Machine;

/// Width of a guest-physical address.
pub const IPA_BITS: u32 = 40;
/// One more than the highest frame that can be mapped.
pub const GFN_END: u64 = 1 << (IPA_BITS - xen_abi::PAGE_SHIFT);
/// The level of the root.
pub(super) const ROOT_LEVEL: u32 = 1;
/// The level between root and pages.
const MIDDLE_LEVEL: u32 = 2;
/// log2 of the root's frames.
pub(super) const ROOT_ORDER: u32 = 1;
/// Entries of a table.
pub(super) const ENTRIES: u32 = 512;
/// Entries of the root.
pub(super) const ROOT_ENTRIES: u32 = ENTRIES << ROOT_ORDER;

/// Where an entry is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    pub(super) table: Mfn,
    pub(super) index: u32,
    pub(super) level: u32,
}

impl Slot {
    /// The root's entry for a frame.
    pub(super) fn root(root: Mfn, gfn: u32) -> Self {
        Self::root_entry(root, gfn >> order_of(ROOT_LEVEL))
    }

    /// The root's entry `index`, below [`ROOT_ENTRIES`].
    pub(super) fn root_entry(root: Mfn, index: u32) -> Self {
        Self { table: Mfn(root.0 + u64::from(index / ENTRIES)), index: index % ENTRIES, level: ROOT_LEVEL }
    }

    /// The entry for a frame in a table of `level`.
    pub(super) fn of(table: Mfn, level: u32, gfn: u32) -> Self {
        Self { table, index: gfn >> order_of(level) & (ENTRIES - 1), level }
    }

    #[inline]
    pub(super) fn load<M: Machine>(&self, machine: &M) -> u64 {
        machine.load64(self.table, self.index as usize * 8)
    }

    #[inline]
    pub(super) fn store<M: Machine>(&self, machine: &M, value: u64) {
        machine.store64(self.table, self.index as usize * 8, value);
    }

    /// Stores what `change` makes of the entry, if anything; says whether it did.
    #[inline(always)]
    pub(super) fn change<M: Machine>(&self, machine: &M, change: impl FnOnce(u64) -> Option<u64>) -> bool {
        machine.change64(self.table, self.index as usize * 8, change)
    }

    #[inline]
    pub(super) fn entry<M: Machine>(&self, machine: &M) -> Entry {
        decode(self.load(machine), self.level)
    }
}

/// What was found of late at level 2, by block of 512 frames: most walks are near the last ones.
#[derive(Debug)]
pub(super) struct Memo([Cell<(u32, u64)>; MEMOS]);

const MEMOS: usize = 4;
/// No block: there are fewer.
const NOTHING: (u32, u64) = (u32::MAX, 0);

impl Memo {
    pub(super) fn new() -> Self {
        Self([const { Cell::new(NOTHING) }; MEMOS])
    }

    fn cell(&self, block: u32) -> &Cell<(u32, u64)> {
        &self.0[block as usize % MEMOS]
    }

    /// Entries of tables above the last level have changed.
    pub(super) fn forget(&self) {
        for cell in &self.0 {
            cell.set(NOTHING);
        }
    }

    /// The entry of level 2 for a frame; an empty one, where there is no table for it.
    #[inline(always)]
    fn middle<M: Machine>(&self, machine: &M, root: Mfn, gfn: u32) -> u64 {
        let block = gfn >> order_of(MIDDLE_LEVEL);
        let (key, value) = self.cell(block).get();
        if key == block { value } else { self.find_middle(machine, root, gfn, block) }
    }

    #[hot]
    #[cold]
    #[inline(never)]
    fn find_middle<M: Machine>(&self, machine: &M, root: Mfn, gfn: u32, block: u32) -> u64 {
        let Entry::Table(table) = Slot::root(root, gfn).entry(machine) else { return descriptor::EMPTY };
        let value = Slot::of(table, MIDDLE_LEVEL, gfn).load(machine);
        self.cell(block).set((block, value));
        value
    }

    /// The table of pages for a frame, if there is one.
    #[inline(always)]
    pub(super) fn last_table<M: Machine>(&self, machine: &M, root: Mfn, gfn: u32) -> Option<Mfn> {
        descriptor::table_at(self.middle(machine, root, gfn))
    }

    /// The deepest entry on the way to a frame, which is no table, and its level.
    #[inline(always)]
    pub(super) fn deepest<M: Machine>(&self, machine: &M, root: Mfn, gfn: u32) -> (u64, u32) {
        let middle = self.middle(machine, root, gfn);
        match descriptor::table_at(middle) {
            Some(table) => (Slot::of(table, LAST_LEVEL, gfn).load(machine), LAST_LEVEL),
            None if middle == descriptor::EMPTY => {
                let (slot, _) = find(machine, root, gfn, LAST_LEVEL);
                (slot.load(machine), slot.level)
            }
            None => (middle, MIDDLE_LEVEL),
        }
    }
}

/// The frame's number when the tables can map it.
pub(super) fn checked(gfn: Gfn) -> Option<u32> {
    (gfn.0 < GFN_END).then_some(gfn.0 as u32)
}

/// The deepest entry on the way to a frame, at `down_to` at the latest: a leaf, an empty one, or a
/// table when the walk stopped there.
#[hot]
pub(super) fn find<M: Machine>(machine: &M, root: Mfn, gfn: u32, down_to: u32) -> (Slot, Entry) {
    let mut slot = Slot::root(root, gfn);
    loop {
        let entry = slot.entry(machine);
        match entry {
            Entry::Table(next) if slot.level < down_to.min(LAST_LEVEL) => {
                slot = Slot::of(next, slot.level + 1, gfn);
            }
            _ => return (slot, entry),
        }
    }
}
