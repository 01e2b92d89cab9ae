//! A set of small integers that finds its lowest member in a handful of steps.
//!
//! Level 0 has a bit for each integer; each level above has a bit for each word below that is not
//! zero. The words live in memory that the owner hands to every call, so that many trees share one
//! allocation.

/// Levels enough for 2^30 members.
const MAX_LEVELS: usize = 6;
const WORD_BITS: u32 = u32::BITS;

/// The shape of one set: where its levels lie in the shared words.
#[derive(Clone, Copy, Debug)]
pub(super) struct BitTree {
    /// First word of each level.
    offsets: [usize; MAX_LEVELS],
    levels: usize,
    /// After the last level.
    end: usize,
}

impl BitTree {
    /// How many words a set of integers below `members` takes.
    pub(super) fn words(members: u32) -> usize {
        let mut total = 0;
        let mut left = members;
        while left > 0 {
            let words = left.div_ceil(WORD_BITS);
            total += words as usize;
            left = if words > 1 { words } else { 0 };
        }
        total
    }

    /// Lays an empty set out at word `start`; the words there are zero.
    pub(super) fn new(start: usize, members: u32) -> Self {
        let mut tree = Self { offsets: [0; MAX_LEVELS], levels: 0, end: start };
        let (mut at, mut left) = (start, members);
        while left > 0 && tree.levels < MAX_LEVELS {
            let words = left.div_ceil(WORD_BITS);
            tree.offsets[tree.levels] = at;
            tree.levels += 1;
            at += words as usize;
            left = if words > 1 { words } else { 0 };
        }
        tree.end = at;
        tree
    }

    pub(super) fn contains(&self, words: &[u32], member: u32) -> bool {
        let (word, bit) = self.locate(0, member);
        words[word] & bit != 0
    }

    pub(super) fn insert(&self, words: &mut [u32], mut member: u32) {
        for level in 0..self.levels {
            let (word, bit) = self.locate(level, member);
            let was = words[word];
            words[word] = was | bit;
            if was != 0 {
                break;
            }
            member /= WORD_BITS;
        }
    }

    pub(super) fn remove(&self, words: &mut [u32], mut member: u32) {
        for level in 0..self.levels {
            let (word, bit) = self.locate(level, member);
            words[word] &= !bit;
            if words[word] != 0 {
                break;
            }
            member /= WORD_BITS;
        }
    }

    /// The lowest member that is not below `from`.
    pub(super) fn next(&self, words: &[u32], from: u32) -> Option<u32> {
        let mut at = from;
        for level in 0..self.levels {
            let (word, bit) = self.word(words, level, at)?;
            let left = word & bit.wrapping_neg();
            if left != 0 {
                let found = at / WORD_BITS * WORD_BITS + left.trailing_zeros();
                return Some(self.lowest_below(words, level, found));
            }
            at = at / WORD_BITS + 1;
        }
        None
    }

    /// The lowest member under bit `at` of a level.
    fn lowest_below(&self, words: &[u32], level: usize, mut at: u32) -> u32 {
        for level in (0..level).rev() {
            at = at * WORD_BITS + words[self.offsets[level] + at as usize].trailing_zeros();
        }
        at
    }

    /// The word of a level that bit `at` is in, and that bit; none beyond the level's end.
    fn word(&self, words: &[u32], level: usize, at: u32) -> Option<(u32, u32)> {
        let (word, bit) = self.locate(level, at);
        (word < self.offsets[level] + self.lengths(level)).then(|| (words[word], bit))
    }

    fn lengths(&self, level: usize) -> usize {
        let end = if level + 1 < self.levels { self.offsets[level + 1] } else { self.end };
        end - self.offsets[level]
    }

    fn locate(&self, level: usize, member: u32) -> (usize, u32) {
        let word = self.offsets[level] + (member / WORD_BITS) as usize;
        (word, 1 << (member % WORD_BITS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{collections::BTreeSet, vec};

    #[test]
    fn agrees_with_a_sorted_set() {
        let members = 40_000;
        let tree = BitTree::new(3, members);
        let mut words = vec![0; 3 + BitTree::words(members)];
        let mut model = BTreeSet::new();
        let mut seed = 1u32;
        for _ in 0..20_000 {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let member = (seed >> 8) % members;
            if seed & 0x40 == 0 {
                tree.insert(&mut words, member);
                model.insert(member);
            } else {
                tree.remove(&mut words, member);
                model.remove(&member);
            }
            assert_eq!(tree.contains(&words, member), model.contains(&member));
            assert_eq!(tree.next(&words, 0), model.first().copied());
            let from = seed >> 16;
            assert_eq!(tree.next(&words, from), model.range(from..).next().copied());
        }
        assert_eq!(&words[..3], [0; 3]);
    }

    #[test]
    fn an_empty_range_has_no_members() {
        let tree = BitTree::new(0, 0);
        assert_eq!(BitTree::words(0), 0);
        assert_eq!(tree.next(&[], 0), None);
    }
}
