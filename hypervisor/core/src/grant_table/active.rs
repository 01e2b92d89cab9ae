//! Who uses which entry of a table, and which frame that is.
//!
//! Kept only for the entries of a table that are or were in use, in runs of 64.

use alloc::vec::Vec;

use xen_abi::{Domid, Errno, Mfn, grant_table::ENTRIES_PER_FRAME};

use super::entry::Usage;

const RUN: u32 = 64;
const RUNS: usize = (ENTRIES_PER_FRAME / RUN) as usize;

/// An entry in use, or one that is not while both counts are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Active {
    /// The frame.
    pub(super) mfn: Mfn,
    /// Who uses it.
    pub(super) who: Domid,
    readers: u16,
    writers: u16,
}

impl Active {
    const IDLE: Self = Self { mfn: Mfn::INVALID, who: Domid::INVALID, readers: 0, writers: 0 };

    pub(super) fn is_used(&self) -> bool {
        self.readers != 0 || self.writers != 0
    }

    pub(super) fn is_written(&self) -> bool {
        self.writers != 0
    }

    /// Whether `who` uses `mfn` in this way.
    pub(super) fn is_used_as(&self, who: Domid, mfn: Mfn, usage: Usage) -> bool {
        let count = match usage {
            Usage::Read => self.readers,
            Usage::Write => self.writers,
        };
        count != 0 && self.who == who && self.mfn == mfn
    }

    /// Whether one more use can be counted.
    pub(super) fn has_room(&self, usage: Usage) -> bool {
        match usage {
            Usage::Read => self.readers < u16::MAX,
            Usage::Write => self.writers < u16::MAX,
        }
    }

    /// Counts a use that there is room for.
    pub(super) fn add(&mut self, usage: Usage) {
        let count = self.count_mut(usage);
        *count = count.wrapping_add(1);
    }

    /// Counts one less, of those there are.
    pub(super) fn remove(&mut self, usage: Usage) {
        let count = self.count_mut(usage);
        *count = count.wrapping_sub(1);
    }

    fn count_mut(&mut self, usage: Usage) -> &mut u16 {
        match usage {
            Usage::Read => &mut self.readers,
            Usage::Write => &mut self.writers,
        }
    }
}

/// The entries of one frame of a table.
#[derive(Debug, Default)]
pub(super) struct ActiveFrame {
    runs: [Vec<Active>; RUNS],
}

impl ActiveFrame {
    /// The entry `index` of the frame, if anything is kept about it.
    pub(super) fn get(&self, index: u32) -> Option<&Active> {
        let index = index % ENTRIES_PER_FRAME;
        self.runs[(index / RUN) as usize].get((index % RUN) as usize)
    }

    /// The same, to change it.
    pub(super) fn get_mut(&mut self, index: u32) -> Option<&mut Active> {
        let index = index % ENTRIES_PER_FRAME;
        self.runs[(index / RUN) as usize].get_mut((index % RUN) as usize)
    }

    /// The entry, made if need be.
    pub(super) fn make(&mut self, index: u32) -> Result<&mut Active, Errno> {
        let index = index % ENTRIES_PER_FRAME;
        let run = &mut self.runs[(index / RUN) as usize];
        if run.is_empty() {
            run.try_reserve_exact(RUN as usize).map_err(|_| Errno::ENOMEM)?;
            run.resize(RUN as usize, Active::IDLE);
        }
        run.get_mut((index % RUN) as usize).ok_or(Errno::EINVAL)
    }

    /// The next entry from `index` on about which something is kept.
    pub(super) fn next(&self, mut index: u32) -> Option<u32> {
        while index < ENTRIES_PER_FRAME {
            if !self.runs[(index / RUN) as usize].is_empty() {
                return Some(index);
            }
            index = (index / RUN + 1) * RUN;
        }
        None
    }
}
