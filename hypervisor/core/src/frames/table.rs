//! The frame table: for each frame of RAM its owner and how many references are held.
//!
//! One word a frame, changed only by atomic operations:
//!
//! | bits | |
//! |---|---|
//! | 31..16 | owner's domid + 1; 0 while the frame is free |
//! | 15 | allocated: the owner itself holds one of the references |
//! | 14 | kept: the hypervisor's page, lent to the owner and not counted as its memory |
//! | 13..0 | references; 0 while the frame is free |
//!
//! Of a free frame, bits 15 and 14 say what it holds. A frame whose count has reached zero can never be referenced
//! again until it has been scrubbed and handed out anew: [`FrameTable::get`] refuses a count of zero, and
//! [`FrameTable::put`] takes it for a bug.

use alloc::vec::Vec;
use core::{
    cmp::Reverse,
    sync::atomic::{AtomicU32, Ordering, fence},
};

use xen_abi::{Domid, Mfn};

use super::buddy::RamBank;

const OWNER_SHIFT: u32 = 16;
const ALLOCATED: u32 = 1 << 15;
const KEPT: u32 = 1 << 14;
const COUNT: u32 = KEPT - 1;

/// A free frame that may hold anything: nobody had it since boot.
const FREE_DIRTY: u32 = 0;
/// A free frame of zeroes.
const FREE_CLEAN: u32 = 1 << 14;
/// A free frame with what its last owner left.
const FREE_USED: u32 = 2 << 14;
/// A free frame that a CPU without other work is scrubbing.
const FREE_SCRUBBING: u32 = 3 << 14;

/// What became of a reference that was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Put {
    /// Others hold the frame still.
    Held,
    /// It was the last; the caller scrubs the frame, marks it free and, when a domain owned it,
    /// takes it off that domain's account.
    Last(Option<Domid>),
}

/// What frames were like that were handed out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// How many held anything but zeroes.
    pub(super) dirty: u32,
    /// How many of these had an owner before.
    pub(super) used: u32,
}

impl Found {
    /// Keeps whoever scrubs free frames from the one of this entry. Says whether it is dirty.
    #[inline]
    fn claim(&mut self, entry: &AtomicU32) -> bool {
        let dirty = match entry.load(Ordering::Relaxed) {
            FREE_DIRTY => true,
            FREE_CLEAN => false,
            _ => self.claim_used(entry),
        };
        self.dirty += u32::from(dirty);
        dirty
    }

    #[cold]
    #[inline(never)]
    fn claim_used(&mut self, entry: &AtomicU32) -> bool {
        let order = Ordering::Relaxed;
        loop {
            match entry.load(order) {
                FREE_USED if entry.compare_exchange(FREE_USED, FREE_DIRTY, order, order).is_ok() => {
                    self.used += 1;
                    return true;
                }
                // To wait for who scrubs it takes no longer than to do it here.
                FREE_USED | FREE_SCRUBBING => lock::relax(),
                _ => return false,
            }
        }
    }
}

/// What a frame is handed out for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// The hypervisor's own.
    Hypervisor,
    /// Memory of a domain.
    Domain(Domid),
}

/// The table.
pub(super) struct FrameTable {
    /// Largest first, each with its first entry.
    banks: Vec<(RamBank, usize)>,
    largest: RamBank,
    entries: &'static [AtomicU32],
}

impl FrameTable {
    pub(super) fn new(banks: &[RamBank], entries: &'static [AtomicU32]) -> Self {
        let mut banks = banks.to_vec();
        banks.sort_unstable_by_key(|bank| Reverse(bank.frames));
        let largest = banks.first().copied().unwrap_or(RamBank { start: Mfn(0), frames: 0 });
        let mut first = 0;
        let place = |bank: &RamBank| {
            let at = first;
            first += bank.frames as usize;
            (*bank, at)
        };
        Self { banks: banks.iter().map(place).collect(), largest, entries }
    }

    /// One more than the highest frame.
    pub(super) fn end(&self) -> Mfn {
        let end = |(bank, _): &(RamBank, usize)| bank.start.0 + u64::from(bank.frames);
        Mfn(self.banks.iter().map(end).max().unwrap_or(0))
    }

    pub(super) fn len(&self) -> u32 {
        self.entries.len() as u32
    }

    pub(super) fn contains(&self, mfn: Mfn) -> bool {
        self.entry(mfn).is_some()
    }

    /// The frame that entry `index` describes.
    pub(super) fn mfn_at(&self, index: u32) -> Option<Mfn> {
        self.banks.iter().find_map(|(bank, first)| {
            let offset = (index as usize).checked_sub(*first)?;
            (offset < bank.frames as usize).then(|| Mfn(bank.start.0 + offset as u64))
        })
    }

    /// Which entry is a frame's; beyond the last one, when none is.
    #[inline]
    fn index(&self, mfn: Mfn) -> usize {
        match self.largest.index(mfn) {
            Some(index) => index as usize,
            None => self.index_in_others(mfn),
        }
    }

    #[cold]
    #[inline(never)]
    fn index_in_others(&self, mfn: Mfn) -> usize {
        let index = self.banks.iter().find_map(|(bank, first)| Some(first + bank.index(mfn)? as usize));
        index.unwrap_or(usize::MAX)
    }

    #[inline]
    fn entry(&self, mfn: Mfn) -> Option<&AtomicU32> {
        self.entries.get(self.index(mfn))
    }

    /// Whether any of `frames` frames from `start` on is RAM.
    pub(super) fn overlaps(&self, start: Mfn, frames: u64) -> bool {
        let end = start.0.saturating_add(frames);
        let touches = |(bank, _): &(RamBank, usize)| {
            start.0 < bank.start.0 + u64::from(bank.frames) && bank.start.0 < end
        };
        self.banks.iter().any(touches)
    }

    #[inline(always)]
    fn update(&self, mfn: Mfn, change: impl FnMut(u32) -> Option<u32>) -> Option<u32> {
        self.entry(mfn)?.fetch_update(Ordering::AcqRel, Ordering::Relaxed, change).ok()
    }

    /// Whether a free frame has still to be scrubbed.
    pub(super) fn is_dirty(&self, mfn: Mfn) -> bool {
        self.entry(mfn).is_some_and(|entry| entry.load(Ordering::Relaxed) != FREE_CLEAN)
    }

    /// Marks frames that came from the free lists as in use, with one reference each. Calls `dirty`
    /// for those that hold anything but zeroes. Gives what it found.
    pub(super) fn hand_out(&self, start: Mfn, frames: u32, to: Use, mut dirty: impl FnMut(Mfn)) -> Found {
        let (entries, value) = (self.run(start, frames), in_use(to));
        let mut found = Found::default();
        for (index, entry) in entries.iter().enumerate() {
            if found.claim(entry) {
                dirty(Mfn(start.0 + index as u64));
            }
        }
        // What was scrubbed, here or by another CPU, is seen before the frames can be referenced.
        fence(Ordering::AcqRel);
        for entry in entries {
            entry.store(value, Ordering::Relaxed);
        }
        found
    }

    /// The same for frames that are handed out as they are.
    pub(super) fn hand_out_as_is(&self, start: Mfn, frames: u32, to: Use) -> Found {
        let (mut found, value) = (Found::default(), in_use(to));
        for entry in self.run(start, frames) {
            found.claim(entry);
            entry.store(value, Ordering::Relaxed);
        }
        fence(Ordering::Acquire);
        found
    }

    /// The entries of some frames.
    fn run(&self, start: Mfn, frames: u32) -> &[AtomicU32] {
        let entries = self.entries.get(self.index(start)..).unwrap_or_default();
        &entries[..entries.len().min(frames as usize)]
    }

    /// Marks a scrubbed frame as free.
    pub(super) fn set_free(&self, mfn: Mfn) {
        self.set(mfn, FREE_CLEAN);
    }

    /// Marks a frame as free with what its owner left in it.
    pub(super) fn set_used(&self, mfn: Mfn) {
        self.set(mfn, FREE_USED);
    }

    fn set(&self, mfn: Mfn, free: u32) {
        if let Some(entry) = self.entry(mfn) {
            entry.store(free, Ordering::Release);
        }
    }

    /// Has a frame scrubbed that is free with what its owner left, the first of the `frames` from entry `from` on.
    /// Gives its entry.
    pub(super) fn scrub_one(&self, from: u32, frames: u32, scrub: impl FnOnce(Mfn)) -> Option<u32> {
        let begins = |index: &u32| {
            let entry = &self.entries[*index as usize];
            let (begun, not) = (Ordering::Acquire, Ordering::Relaxed);
            entry.compare_exchange(FREE_USED, FREE_SCRUBBING, begun, not).is_ok()
        };
        let index = (from..from.saturating_add(frames).min(self.len())).find(begins)?;
        let mfn = self.mfn_at(index)?;
        scrub(mfn);
        self.set_free(mfn);
        Some(index)
    }

    /// The owner of a frame that is in use.
    pub(super) fn owner(&self, mfn: Mfn) -> Option<Domid> {
        let value = self.entry(mfn)?.load(Ordering::Acquire);
        (value & COUNT != 0).then(|| owner_of(value)).flatten()
    }

    /// Whether `owner` owns a frame that is in use.
    #[inline]
    pub(super) fn is_owned(&self, mfn: Mfn, owner: Domid) -> bool {
        let value = self.entry(mfn).map_or(0, |entry| entry.load(Ordering::Acquire));
        value & COUNT != 0 && value >> OWNER_SHIFT == owner_bits(owner) >> OWNER_SHIFT
    }

    /// References held now.
    pub(super) fn references(&self, mfn: Mfn) -> u32 {
        self.entry(mfn).map_or(0, |entry| entry.load(Ordering::Acquire) & COUNT)
    }

    /// Takes a reference to a frame that `owner` owns. False when it does not, or when the count
    /// is at its end.
    #[inline(always)]
    pub(super) fn get(&self, mfn: Mfn, owner: Domid) -> bool {
        let wanted = owner_bits(owner);
        self.update(mfn, |value| {
            let owned = value >> OWNER_SHIFT << OWNER_SHIFT == wanted;
            (owned && value & COUNT != 0 && value & COUNT != COUNT).then(|| value.wrapping_add(1))
        })
        .is_some()
    }

    /// Takes a reference to a frame in use, whoever owns it.
    #[hot]
    pub(super) fn get_used(&self, mfn: Mfn) -> bool {
        self.update(mfn, |value| (value & COUNT != 0 && value & COUNT != COUNT).then(|| value + 1)).is_some()
    }

    /// Drops a reference.
    #[hot]
    pub(super) fn put(&self, mfn: Mfn) -> Put {
        let old = self.entry(mfn).map_or(0, |entry| entry.fetch_sub(1, Ordering::AcqRel));
        assert!(old & COUNT != 0, "reference to frame {:#x} dropped twice", mfn.0);
        if old & COUNT > 1 {
            return Put::Held;
        }
        let counted = old & KEPT == 0 && owner_of(old) != Some(Domid::XEN);
        Put::Last(if counted { owner_of(old) } else { None })
    }

    /// Makes the caller the one that drops the owner's own reference: true once for each frame.
    pub(super) fn take_allocated(&self, mfn: Mfn, owner: Domid) -> bool {
        self.update(mfn, |value| {
            let allocated = value & ALLOCATED != 0 && owner_of(value) == Some(owner);
            allocated.then_some(value & !ALLOCATED)
        })
        .is_some()
    }

    /// Lends a page of the hypervisor's to a domain, which then counts as its owner for references.
    pub(super) fn lend(&self, mfn: Mfn, to: Domid) {
        self.update(mfn, |value| Some(value & COUNT | owner_bits(to) | KEPT));
    }

    /// Ends that: no new references in the domain's name.
    #[hot]
    pub(super) fn take_back(&self, mfn: Mfn) {
        self.update(mfn, |value| Some(value & COUNT | owner_bits(Domid::XEN)));
    }
}

/// The entry of a frame with one reference.
fn in_use(by: Use) -> u32 {
    match by {
        Use::Hypervisor => owner_bits(Domid::XEN) | 1,
        Use::Domain(owner) => owner_bits(owner) | ALLOCATED | 1,
    }
}

fn owner_bits(owner: Domid) -> u32 {
    (u32::from(owner.0) + 1) << OWNER_SHIFT
}

fn owner_of(value: u32) -> Option<Domid> {
    let owner = value >> OWNER_SHIFT;
    owner.checked_sub(1).map(|domid| Domid(domid as u16))
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use alloc::boxed::Box;

    const D: Domid = Domid(0);
    const M: Mfn = Mfn(0x40005);

    fn table() -> FrameTable {
        let banks =
            [RamBank { start: Mfn(0x40000), frames: 16 }, RamBank { start: Mfn(0x10_0000_0000), frames: 4 }];
        let entries: Box<[AtomicU32]> = (0..20).map(|_| AtomicU32::new(0)).collect();
        FrameTable::new(&banks, Box::leak(entries))
    }

    #[test]
    fn a_free_frame_cannot_be_referenced() {
        let table = table();
        assert!(!table.get(M, D));
        table.set_free(M);
        assert!(!table.get(M, D) && !table.is_owned(M, D));
        assert_eq!(table.owner(M), None);
    }

    #[test]
    fn only_the_owner_named_gets_a_reference() {
        let table = table();
        table.hand_out(M, 1, Use::Domain(D), |_| ());
        assert!(!table.get(M, Domid(1)) && !table.is_owned(M, Domid(1)));
        assert!(table.get(M, D) && table.is_owned(M, D));
        assert_eq!(table.references(M), 2);
    }

    #[test]
    fn the_last_reference_names_whose_account_shrinks() {
        let table = table();
        table.hand_out(M, 1, Use::Domain(D), |_| ());
        assert!(table.get(M, D));
        assert_eq!(table.put(M), Put::Held);
        assert_eq!(table.put(M), Put::Last(Some(D)));
        assert!(!table.get(M, D), "a dying frame came back to life");
    }

    #[test]
    fn what_is_handed_out_as_it_is_was_dirty_or_not() {
        let table = table();
        table.set_free(M);
        table.set_used(Mfn(M.0 + 1));
        assert_eq!(table.hand_out_as_is(Mfn(M.0 - 1), 3, Use::Domain(D)), Found { dirty: 2, used: 1 });
        assert!((0..3).all(|n| table.get(Mfn(M.0 - 1 + n), D)));
        assert!(!table.get(Mfn(M.0 + 2), D));
    }

    #[test]
    fn a_frame_is_handed_out_or_scrubbed_but_never_both_at_once() {
        let table = table();
        table.set_used(M);
        let frames = table.len();
        let scrubbed = table.scrub_one(0, frames, |mfn| {
            assert_eq!((mfn, table.is_dirty(M), table.get(M, D)), (M, true, false));
            assert_eq!(table.scrub_one(0, frames, |_| panic!("twice")), None);
        });
        assert_eq!((scrubbed, table.is_dirty(M)), (Some(5), false));
        table.set_used(M);
        let found = table.hand_out(M, 1, Use::Domain(D), |_| {
            assert_eq!(table.scrub_one(0, frames, |_| panic!("not free")), None);
        });
        assert_eq!(found, Found { dirty: 1, used: 1 });
        assert_eq!(table.scrub_one(0, frames, |_| panic!("in use")), None);
    }

    #[test]
    fn the_owners_reference_is_taken_once() {
        let table = table();
        table.hand_out(M, 1, Use::Domain(D), |_| ());
        assert!(!table.take_allocated(M, Domid(3)));
        assert!(table.take_allocated(M, D));
        assert!(!table.take_allocated(M, D));
    }

    #[test]
    fn references_do_not_overflow_into_the_flags() {
        let table = table();
        table.hand_out(M, 1, Use::Domain(D), |_| ());
        for _ in 1..COUNT {
            assert!(table.get(M, D));
        }
        assert!(!table.get(M, D));
        assert_eq!(table.owner(M), Some(D));
        for _ in 1..COUNT {
            assert_eq!(table.put(M), Put::Held);
        }
        assert_eq!(table.put(M), Put::Last(Some(D)));
    }

    #[test]
    #[should_panic(expected = "dropped twice")]
    fn dropping_what_nobody_holds_is_a_bug() {
        let table = table();
        table.hand_out(M, 1, Use::Hypervisor, |_| ());
        table.put(M);
        table.put(M);
    }

    #[test]
    fn dropping_a_free_frame_is_a_bug_whatever_it_holds() {
        for free in [FREE_DIRTY, FREE_CLEAN, FREE_USED, FREE_SCRUBBING] {
            let table = table();
            table.set(M, free);
            assert_eq!((table.references(M), table.owner(M), table.get_used(M)), (0, None, false));
            assert!(std::panic::catch_unwind(|| table.put(M)).is_err(), "{free:#x}");
        }
    }

    #[test]
    fn a_lent_page_is_not_counted() {
        let table = table();
        table.hand_out(M, 1, Use::Hypervisor, |_| ());
        assert!(!table.get(M, D));
        table.lend(M, D);
        assert!(table.get(M, D));
        table.take_back(M);
        assert!(!table.get(M, D));
        assert_eq!(table.put(M), Put::Held);
        assert_eq!(table.put(M), Put::Last(None));
    }

    #[test]
    fn frames_outside_ram_are_nobodys() {
        let table = table();
        for mfn in [Mfn(0x3ffff), Mfn(0x40010), Mfn(u64::MAX), Mfn(0x10_0000_0004)] {
            assert!(!table.contains(mfn));
            assert!(!table.get(mfn, D) && !table.is_owned(mfn, D));
            assert_eq!(table.owner(mfn), None);
        }
        assert_eq!(table.mfn_at(17), Some(Mfn(0x10_0000_0001)));
        assert_eq!(table.mfn_at(20), None);
        assert_eq!(table.end(), Mfn(0x10_0000_0004));
    }
}
