//! The TLB tags of stage-2 tables: eight bits everywhere, 0 never a guest's.

use lock::RareMutex;

use crate::machine::Vmid;

const WORDS: usize = 8;

/// Which tags are taken.
pub struct Vmids(RareMutex<[u32; WORDS]>);

impl Vmids {
    /// Only 0 is taken.
    pub(super) const fn new() -> Self {
        let mut words = [0; WORDS];
        words[0] = 1;
        Self(RareMutex::new(words))
    }

    /// Takes a free tag.
    pub(super) fn take(&self) -> Option<Vmid> {
        let mut words = self.0.lock();
        let (index, word) = words.iter_mut().enumerate().find(|(_, word)| **word != u32::MAX)?;
        let bit = word.trailing_ones();
        *word |= 1 << bit;
        Some(Vmid((index as u32 * u32::BITS + bit) as u16))
    }

    /// Gives one back, that no CPU uses.
    pub(super) fn give(&self, vmid: Vmid) {
        let mut words = self.0.lock();
        if let Some(word) = words.get_mut(usize::from(vmid.0) / 32) {
            *word &= !(1 << (vmid.0 % 32));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_255_and_they_come_back() {
        let vmids = Vmids::new();
        for expected in 1..=255 {
            assert_eq!(vmids.take(), Some(Vmid(expected)));
        }
        assert_eq!(vmids.take(), None);
        vmids.give(Vmid(77));
        assert_eq!(vmids.take(), Some(Vmid(77)));
    }
}
