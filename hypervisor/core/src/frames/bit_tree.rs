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
        let mut tree = Self { offsets: [0; MAX_LEVELS], levels: 0 };
        let (mut at, mut left) = (start, members);
        while left > 0 && tree.levels < MAX_LEVELS {
            let words = left.div_ceil(WORD_BITS);
            tree.offsets[tree.levels] = at;
            tree.levels += 1;
            at += words as usize;
            left = if words > 1 { words } else { 0 };
        }
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

    /// The lowest member.
    pub(super) fn first(&self, words: &[u32]) -> Option<u32> {
        let mut member = 0;
        for level in (0..self.levels).rev() {
            let word = words[self.offsets[level] + member as usize];
            if word == 0 {
                return None;
            }
            member = member * WORD_BITS + word.trailing_zeros();
        }
        (self.levels > 0).then_some(member)
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
            assert_eq!(tree.first(&words), model.first().copied());
        }
        assert_eq!(&words[..3], [0; 3]);
    }

    #[test]
    fn an_empty_range_has_no_first() {
        let tree = BitTree::new(0, 0);
        assert_eq!(BitTree::words(0), 0);
        assert_eq!(tree.first(&[]), None);
    }
}
