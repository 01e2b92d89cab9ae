//! One entry of a table: what the guest wrote, and the flags that tell it the entry is in use.
//!
//! The guest may change an entry at any moment. Each access reads it once; the flags go up by
//! compare-and-exchange, tried a few times and no more.

use xen_abi::{
    Domid, Gfn, Mfn,
    grant_table::{GrantStatus, gtf},
};

use crate::machine::Machine;

/// How often a changing entry is tried before its guest is taken to misbehave.
const TRIES: u32 = 5;
/// Size of an entry.
pub(super) const SIZE: usize = 8;

/// Where an entry lies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) mfn: Mfn,
    pub(super) offset: usize,
}

/// How a granted frame is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Usage {
    Read,
    Write,
}

impl Usage {
    pub(super) fn of(readonly: bool) -> Self {
        if readonly { Self::Read } else { Self::Write }
    }
}

impl Place {
    /// Marks the entry as used by `who`. `first` says that nobody uses it yet, so that its type
    /// and grantee have to be right; `map`, that parts of pages will not do.
    #[inline(always)]
    pub(super) fn mark<M: Machine>(
        self,
        machine: &M,
        who: Domid,
        usage: Usage,
        first: bool,
        map: bool,
    ) -> Result<(), GrantStatus> {
        let marked = machine.try_change32(self.mfn, self.offset, TRIES, |word| {
            let granted = !first || permits(word, who, map);
            let writable = usage == Usage::Read || word as u16 & gtf::READONLY == 0;
            (granted && writable).then(|| word | u32::from(marks(usage)))
        });
        if marked { Ok(()) } else { Err(GrantStatus::GENERAL_ERROR) }
    }

    /// Takes marks away again.
    #[inline(always)]
    pub(super) fn unmark<M: Machine>(self, machine: &M, flags: u16) {
        if flags != 0 {
            machine.fetch_and32(self.mfn, self.offset, !u32::from(flags));
        }
    }

    /// The same where the use that was marked is not to be had.
    #[cold]
    #[inline(never)]
    pub(super) fn take_back<M: Machine>(self, machine: &M, flags: u16) {
        self.unmark(machine, flags);
    }

    /// The granted frame. To be read once the entry is marked: the guest must not change it then,
    /// and harms only itself if it does.
    pub(super) fn frame<M: Machine>(self, machine: &M) -> Gfn {
        Gfn(machine.load32(self.mfn, self.offset + 4).into())
    }

    /// Swaps two entries that nobody uses.
    pub(super) fn swap<M: Machine>(self, machine: &M, other: Self) {
        let mine = machine.load64(self.mfn, self.offset);
        let theirs = machine.load64(other.mfn, other.offset);
        machine.store64(self.mfn, self.offset, theirs);
        machine.store64(other.mfn, other.offset, mine);
    }
}

fn marks(usage: Usage) -> u16 {
    match usage {
        Usage::Read => gtf::READING,
        Usage::Write => gtf::READING | gtf::WRITING,
    }
}

fn permits(word: u32, who: Domid, map: bool) -> bool {
    let mask = gtf::TYPE_MASK | if map { gtf::SUB_PAGE } else { 0 };
    word as u16 & mask == gtf::PERMIT_ACCESS && word >> 16 == u32::from(who.0)
}
