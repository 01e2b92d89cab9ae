//! Device memory and interrupts that a domain may use.

use alloc::vec::Vec;
use core::ops::Range;

use xen_abi::Errno;

const IRQ_WORDS: usize = 32;
/// Interrupts that permissions are kept for.
pub const IRQS: u32 = IRQ_WORDS as u32 * u32::BITS;

/// A set of frame numbers, as ranges that neither touch nor overlap, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RangeSet(Vec<(u64, u64)>);

impl RangeSet {
    /// Whether nothing is in the set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether all of `first..end` is in the set.
    pub fn contains(&self, first: u64, end: u64) -> bool {
        let at = self.0.partition_point(|range| range.1 <= first);
        first >= end || self.0.get(at).is_some_and(|range| range.0 <= first && end <= range.1)
    }

    /// Whether any of `first..end` is in the set.
    pub fn overlaps(&self, first: u64, end: u64) -> bool {
        let at = self.0.partition_point(|range| range.1 <= first);
        self.0.get(at).is_some_and(|range| range.0 < end)
    }

    /// Adds `first..end`.
    pub fn insert(&mut self, first: u64, end: u64) -> Result<(), Errno> {
        if first >= end {
            return Ok(());
        }
        let from = self.0.partition_point(|range| range.1 < first);
        let to = self.0.partition_point(|range| range.0 <= end);
        let touched = &self.0[from..to];
        let low = touched.first().map_or(first, |range| range.0.min(first));
        let high = touched.last().map_or(end, |range| range.1.max(end));
        self.replace(from..to, [(low, high), (0, 0)])
    }

    /// Takes `first..end` away.
    pub fn remove(&mut self, first: u64, end: u64) -> Result<(), Errno> {
        if first >= end {
            return Ok(());
        }
        let from = self.0.partition_point(|range| range.1 <= first);
        let to = self.0.partition_point(|range| range.0 < end);
        if from >= to {
            return Ok(());
        }
        let before = (self.0[from].0, first);
        let after = (end, self.0[to - 1].1);
        self.replace(from..to, [before, after])
    }

    /// Has others, unless they are empty, where some are: one more at most.
    fn replace(&mut self, old: Range<usize>, new: [(u64, u64); 2]) -> Result<(), Errno> {
        self.0.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
        let at = old.start;
        self.0.drain(old);
        for range in new.into_iter().rev().filter(|range| range.0 < range.1) {
            self.0.insert(at, range);
        }
        Ok(())
    }

    /// The ranges, in order: first and one more than last.
    pub fn iter(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.0.iter().copied()
    }
}

/// What a domain may use.
#[derive(Clone, Debug, Default)]
pub struct Resources {
    /// Frames of device memory.
    pub iomem: RangeSet,
    irqs: [u32; IRQ_WORDS],
}

impl Resources {
    /// Whether it may use an interrupt.
    pub fn has_irq(&self, irq: u32) -> bool {
        irq < IRQS && self.irqs[(irq / 32) as usize] >> (irq % 32) & 1 != 0
    }

    /// Lets it use one, or not. False when there is no such.
    pub fn set_irq(&mut self, irq: u32, allowed: bool) -> bool {
        let Some(word) = self.irqs.get_mut((irq / 32) as usize) else {
            return false;
        };
        let bit = 1 << (irq % 32);
        *word = if allowed { *word | bit } else { *word & !bit };
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_agree_with_a_plain_set() {
        let (mut set, mut model, mut seed) = (RangeSet::default(), [false; 64], 3u32);
        for _ in 0..5000 {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let (first, len) = (seed >> 8 & 63, seed >> 16 & 15);
            let end = (first + len).min(64);
            let add = seed >> 24 & 1 != 0;
            if add {
                set.insert(first.into(), end.into()).unwrap();
            } else {
                set.remove(first.into(), end.into()).unwrap();
            }
            model[first as usize..end.max(first) as usize].fill(add);
            let in_model = |r: core::ops::Range<u32>| model[r.start as usize..r.end as usize].iter();
            let (from, to) = (seed >> 4 & 31, 32 + (seed >> 12 & 31));
            assert_eq!(set.contains(from.into(), to.into()), in_model(from..to).all(|m| *m));
            assert_eq!(set.overlaps(from.into(), to.into()), in_model(from..to).any(|m| *m));
            let ranges: Vec<_> = set.iter().collect();
            assert!(ranges.windows(2).all(|w| w[0].1 < w[1].0), "{ranges:?}");
        }
    }

    #[test]
    fn the_end_of_the_numbers_is_no_trouble() {
        let mut set = RangeSet::default();
        set.insert(u64::MAX - 1, u64::MAX).unwrap();
        set.insert(5, 5).unwrap();
        assert!(set.contains(u64::MAX - 1, u64::MAX));
        assert!(!set.contains(0, u64::MAX));
        set.remove(0, u64::MAX).unwrap();
        assert_eq!(set, RangeSet::default());
    }

    #[test]
    fn interrupts_beyond_the_last_are_refused() {
        let mut resources = Resources::default();
        assert!(resources.set_irq(1023, true) && resources.has_irq(1023));
        assert!(!resources.set_irq(1024, true) && !resources.has_irq(1024));
        assert!(!resources.has_irq(u32::MAX));
    }
}
