//! Free frames in blocks of powers of two, over any number of RAM banks.
//!
//! Each order of each bank is a set of free blocks ([`BitTree`]); two free buddies always merge.
//! Nothing is written into free frames, so that a scrubbed one stays scrubbed.

use alloc::vec::Vec;
use core::ops::Range;

use xen_abi::Mfn;

use super::bit_tree::BitTree;

/// log2 of the frames in the largest block: 1 GiB.
pub const MAX_ORDER: u32 = 18;
const ORDERS: usize = MAX_ORDER as usize + 1;

/// A range of RAM, in frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RamBank {
    /// First frame.
    pub start: Mfn,
    /// How many.
    pub frames: u32,
}

impl RamBank {
    /// The frame's number within the bank.
    #[inline]
    pub fn index(&self, mfn: Mfn) -> Option<u32> {
        let offset = mfn.0.wrapping_sub(self.start.0);
        (offset < u64::from(self.frames)).then_some(offset as u32)
    }

    /// The number of the block of `order` that begins at frame `at`; none beyond the bank.
    fn block_at_or_after(&self, at: u64, order: u32) -> Option<u32> {
        let block = (at >> order).saturating_sub(self.start.0 >> order);
        (block < u64::from(self.blocks(order))).then_some(block as u32)
    }

    /// Blocks of `order` that begin in the bank's span, whole ones and those at its edges.
    fn blocks(&self, order: u32) -> u32 {
        let end = self.start.0 + u64::from(self.frames);
        (end.div_ceil(1 << order) - (self.start.0 >> order)) as u32
    }
}

struct BankFree {
    bank: RamBank,
    orders: [BitTree; ORDERS],
}

impl BankFree {
    fn block(&self, mfn: Mfn, order: u32) -> u32 {
        ((mfn.0 >> order) - (self.bank.start.0 >> order)) as u32
    }

    fn count_from(&self, words: &[u32], start: Mfn, order: u32) -> u64 {
        let mut from = self.bank.block_at_or_after(start.0.div_ceil(1 << order) << order, order);
        let next = || {
            let block = self.orders[order as usize].next(words, from?)?;
            from = Some(block + 1);
            Some(block)
        };
        core::iter::from_fn(next).count() as u64
    }

    fn first_mfn(&self, block: u32, order: u32) -> Mfn {
        Mfn(((self.bank.start.0 >> order) + u64::from(block)) << order)
    }
}

/// The free blocks of a machine.
pub(super) struct Buddy {
    banks: Vec<BankFree>,
    words: &'static mut [u32],
}

impl Buddy {
    /// How many words of bitmaps the banks take.
    pub(super) fn words(banks: &[RamBank]) -> usize {
        let trees = |bank: &RamBank| -> usize {
            (0..=MAX_ORDER).map(|order| BitTree::words(bank.blocks(order))).sum()
        };
        banks.iter().map(trees).sum()
    }

    /// No block is free at first. `words` is zero and as long as [`Buddy::words`] says.
    pub(super) fn new(banks: &[RamBank], words: &'static mut [u32]) -> Self {
        let mut next = 0;
        let lay_out = |bank: &RamBank| BankFree {
            bank: *bank,
            orders: core::array::from_fn(|order| {
                let blocks = bank.blocks(order as u32);
                let tree = BitTree::new(next, blocks);
                next += BitTree::words(blocks);
                tree
            }),
        };
        Self { banks: banks.iter().map(lay_out).collect(), words }
    }

    /// Takes the lowest block of the smallest order that serves, all of it in `within`.
    pub(super) fn take(&mut self, order: u32, within: &Range<u64>) -> Option<Mfn> {
        let found = (order..=MAX_ORDER).find_map(|of| Some((of, self.lowest(of, order, within)?)));
        found.map(|(of, mfn)| self.split(mfn, of, order))
    }

    /// The lowest block there is, as part of however large a one.
    pub(super) fn find_lowest(&self, order: u32, within: &Range<u64>) -> Option<Mfn> {
        (order..=MAX_ORDER).filter_map(|of| self.lowest(of, order, within)).min_by_key(|mfn| mfn.0)
    }

    /// How many frames are free in blocks that begin at `start` or above.
    pub(super) fn count_from(&self, start: Mfn) -> u64 {
        let orders = (0..=MAX_ORDER).flat_map(|order| self.banks.iter().map(move |bank| (bank, order)));
        orders.map(|(bank, order)| bank.count_from(self.words, start, order) << order).sum()
    }

    /// Takes the lowest block there is, from however large a one.
    pub(super) fn take_lowest(&mut self, order: u32, within: &Range<u64>) -> Option<Mfn> {
        let candidates = (order..=MAX_ORDER).filter_map(|of| Some((self.lowest(of, order, within)?, of)));
        let (mfn, of) = candidates.min_by_key(|(mfn, _)| mfn.0)?;
        Some(self.split(mfn, of, order))
    }

    /// Puts frames back, in the largest blocks that they make.
    pub(super) fn give(&mut self, start: Mfn, frames: u32) {
        let (mut at, mut left) = (start.0, frames);
        while left > 0 {
            let fits = left.ilog2().min(at.trailing_zeros()).min(MAX_ORDER);
            self.give_block(Mfn(at), fits);
            at += 1 << fits;
            left -= 1 << fits;
        }
    }

    /// The first free block of order `of` that begins in `within`, with its first part of `order`.
    fn lowest(&self, of: u32, order: u32, within: &Range<u64>) -> Option<Mfn> {
        let first = |bank: &BankFree| {
            let from = bank.bank.start.0.max(within.start).div_ceil(1 << of) << of;
            let from = bank.bank.block_at_or_after(from, of)?;
            let block = bank.orders[of as usize].next(self.words, from)?;
            Some(bank.first_mfn(block, of))
        };
        let inside = |mfn: &Mfn| mfn.0 + (1 << order) <= within.end;
        self.banks.iter().filter_map(first).filter(inside).min_by_key(|mfn| mfn.0)
    }

    fn split(&mut self, mfn: Mfn, of: u32, order: u32) -> Mfn {
        let Some(bank) = self.banks.iter().find(|b| b.bank.index(mfn).is_some()) else {
            return mfn;
        };
        bank.orders[of as usize].remove(self.words, bank.block(mfn, of));
        for half in order..of {
            let upper = Mfn(mfn.0 + (1 << half));
            bank.orders[half as usize].insert(self.words, bank.block(upper, half));
        }
        mfn
    }

    fn give_block(&mut self, mfn: Mfn, mut order: u32) {
        let Some(bank) = self.banks.iter().find(|b| b.bank.index(mfn).is_some()) else {
            return;
        };
        let mut mfn = mfn.0;
        while order < MAX_ORDER {
            let buddy = Mfn(mfn ^ (1 << order));
            if bank.bank.index(buddy).is_none() {
                break;
            }
            let tree = &bank.orders[order as usize];
            let block = bank.block(buddy, order);
            if !tree.contains(self.words, block) {
                break;
            }
            tree.remove(self.words, block);
            mfn &= buddy.0;
            order += 1;
        }
        let block = bank.block(Mfn(mfn), order);
        bank.orders[order as usize].insert(self.words, block);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{boxed::Box, vec};

    const ANY: Range<u64> = 0..u64::MAX;

    fn buddy(banks: &[(u64, u32)]) -> Buddy {
        let banks: Vec<_> =
            banks.iter().map(|&(start, frames)| RamBank { start: Mfn(start), frames }).collect();
        let words = Box::leak(vec![0; Buddy::words(&banks)].into_boxed_slice());
        let mut buddy = Buddy::new(&banks, words);
        for bank in banks {
            buddy.give(bank.start, bank.frames);
        }
        buddy
    }

    fn drain(buddy: &mut Buddy, order: u32) -> Vec<Mfn> {
        core::iter::from_fn(|| buddy.take(order, &ANY)).collect()
    }

    #[test]
    fn every_frame_is_handed_out_once() {
        let mut buddy = buddy(&[(0x401, 1000), (0x1_0000_0000, 77)]);
        let mut frames = drain(&mut buddy, 0);
        assert_eq!(frames.len(), 1077);
        frames.sort();
        frames.dedup();
        assert_eq!(frames.len(), 1077);
    }

    #[test]
    fn freed_frames_merge_into_the_largest_blocks_again() {
        let mut buddy = buddy(&[(0x400, 1024)]);
        for mfn in drain(&mut buddy, 0) {
            buddy.give(mfn, 1);
        }
        assert_eq!(buddy.take(10, &ANY), Some(Mfn(0x400)));
        assert_eq!(buddy.take(0, &ANY), None);
    }

    #[test]
    fn blocks_are_aligned_to_their_size() {
        let mut buddy = buddy(&[(0x3ff, 0x1002)]);
        for order in [9, 4, 9, 0, 11] {
            let mfn = buddy.take(order, &ANY).unwrap();
            assert_eq!(mfn.0 % (1 << order), 0);
        }
    }

    #[test]
    fn a_limit_is_kept() {
        let mut buddy = buddy(&[(0x1000, 0x100), (0x10, 0x20)]);
        assert_eq!(buddy.take(4, &(0..0x30)), Some(Mfn(0x10)));
        assert_eq!(buddy.take(4, &(0..0x30)), Some(Mfn(0x20)));
        assert_eq!(buddy.take(4, &(0..0x30)), None);
    }

    #[test]
    fn nothing_below_the_range_is_taken() {
        let mut buddy = buddy(&[(0x10, 0x20), (0x1000, 0x100)]);
        assert_eq!(buddy.take(0, &(0x21..0x23)), None, "in the middle of a larger block");
        assert_eq!(buddy.take(4, &(0x11..0x30)), Some(Mfn(0x20)));
        assert_eq!(buddy.take_lowest(2, &(0x21..u64::MAX)), Some(Mfn(0x1000)));
    }

    #[test]
    fn free_frames_are_counted_from_anywhere() {
        let mut buddy = buddy(&[(0x10, 0x20), (0x1000, 0x101)]);
        assert_eq!(buddy.count_from(Mfn(0)), 0x121);
        assert_eq!(buddy.count_from(Mfn(0x1000)), 0x101);
        assert_eq!(buddy.count_from(Mfn(0x1100)), 1);
        assert_eq!(buddy.count_from(Mfn(0x2000)), 0);
        buddy.take(0, &(0x1000..0x1100));
        assert_eq!(buddy.count_from(Mfn(0x1000)), 0x100);
    }

    #[test]
    fn the_lowest_block_may_come_from_a_large_one() {
        let mut buddy = buddy(&[(0x1000, 0x400), (0x8001, 1)]);
        assert_eq!(buddy.take(0, &ANY), Some(Mfn(0x8001)));
        assert_eq!(buddy.take_lowest(0, &ANY), Some(Mfn(0x1000)));
    }

    #[test]
    fn buddies_do_not_merge_across_the_end_of_a_bank() {
        let mut buddy = buddy(&[(0x101, 3)]);
        assert_eq!(drain(&mut buddy, 1), [Mfn(0x102)]);
        assert_eq!(drain(&mut buddy, 0), [Mfn(0x101)]);
    }

    #[test]
    fn random_use_loses_nothing() {
        let mut buddy = buddy(&[(0x777, 5000), (0x9000, 513)]);
        let (mut held, mut seed) = (Vec::new(), 7u32);
        for _ in 0..5000 {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let order = (seed >> 16) % 6;
            if seed & 0x8000 == 0 {
                held.extend(buddy.take(order, &ANY).map(|mfn| (mfn, order)));
            } else if !held.is_empty() {
                let (mfn, order) = held.swap_remove((seed >> 8) as usize % held.len());
                buddy.give(mfn, 1 << order);
            }
        }
        for (mfn, order) in held {
            buddy.give(mfn, 1 << order);
        }
        assert_eq!(drain(&mut buddy, 0).len(), 5513);
    }
}
