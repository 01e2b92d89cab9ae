//! The mappings that a domain made of others' grants, by handle.

use alloc::vec::Vec;

use xen_abi::{
    Domid, Gref, Mfn,
    grant_table::{GrantHandle, GrantStatus},
};

use super::entry::Usage;

/// Handles in one frame of the limit that the toolstack sets.
const HANDLES_PER_FRAME: u32 = 256;
/// How many handles are added at a time.
const STEP: usize = 64;
const END: u32 = u32::MAX;

/// A mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mapped {
    /// Who granted.
    pub(super) dom: Domid,
    /// Which entry.
    pub(super) gref: Gref,
    /// The frame, on which the mapping holds a reference.
    pub(super) mfn: Mfn,
    /// How the entry is used.
    pub(super) usage: Usage,
}

#[derive(Clone, Copy, Debug)]
enum Slot {
    /// Not in use; the next one that is not.
    Free(u32),
    Used(Mapped),
}

/// A domain's handles.
#[derive(Debug)]
pub struct Maptrack {
    slots: Vec<Slot>,
    free: u32,
    limit: u32,
}

impl Maptrack {
    /// No mappings, and as many as fit in so many frames at most.
    pub fn new(max_frames: u32) -> Self {
        Self { slots: Vec::new(), free: END, limit: max_frames.saturating_mul(HANDLES_PER_FRAME) }
    }

    /// Handles in use.
    #[cfg(test)]
    pub(super) fn used(&self) -> usize {
        self.slots.iter().filter(|slot| !matches!(slot, Slot::Free(_))).count()
    }

    /// How many handles there can be without growing.
    pub(super) fn len(&self) -> u32 {
        self.slots.len() as u32
    }

    /// The handle that is given out next, with [`Maptrack::fill`].
    pub(super) fn next(&mut self) -> Result<GrantHandle, GrantStatus> {
        if self.free == END {
            self.grow()?;
        }
        Ok(GrantHandle(self.free))
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self) -> Result<(), GrantStatus> {
        let first = self.slots.len();
        let room = (self.limit as usize).saturating_sub(first).min(STEP);
        if room == 0 || self.slots.try_reserve(room).is_err() {
            return Err(GrantStatus::NO_SPACE);
        }
        let last = first + room - 1;
        let next = |at: usize| if at == last { END } else { at as u32 + 1 };
        self.slots.extend((first..=last).map(|at| Slot::Free(next(at))));
        self.free = first as u32;
        Ok(())
    }

    /// Gives out the handle that [`Maptrack::next`] named.
    pub(super) fn fill(&mut self, handle: GrantHandle, mapped: Mapped) {
        if let Some(slot) = self.slots.get_mut(handle.0 as usize)
            && let Slot::Free(next) = *slot
        {
            *slot = Slot::Used(mapped);
            self.free = next;
        }
    }

    /// What a handle in use stands for.
    pub(super) fn get(&self, handle: GrantHandle) -> Option<Mapped> {
        match self.slots.get(handle.0 as usize) {
            Some(Slot::Used(mapped)) => Some(*mapped),
            _ => None,
        }
    }

    /// Takes a handle back and tells what it stood for: nobody else can end that.
    #[inline]
    pub(super) fn take(&mut self, handle: GrantHandle) -> Option<Mapped> {
        let slot = self.slots.get_mut(handle.0 as usize)?;
        let Slot::Used(mapped) = *slot else {
            return None;
        };
        *slot = Slot::Free(self.free);
        self.free = handle.0;
        Some(mapped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapped(gref: u32) -> Mapped {
        Mapped { dom: Domid(1), gref: Gref(gref), mfn: Mfn(2), usage: Usage::Write }
    }

    fn add(track: &mut Maptrack, gref: u32) -> Result<GrantHandle, GrantStatus> {
        let handle = track.next()?;
        track.fill(handle, mapped(gref));
        Ok(handle)
    }

    #[test]
    fn a_handle_can_be_taken_back_once_only() {
        let mut track = Maptrack::new(1);
        let handle = track.next().unwrap();
        assert_eq!((track.get(handle), track.take(handle)), (None, None), "only named");
        assert_eq!(add(&mut track, 7), Ok(handle));
        assert_eq!(track.get(handle), Some(mapped(7)));
        assert_eq!(track.take(handle), Some(mapped(7)));
        assert_eq!((track.get(handle), track.take(handle), track.used()), (None, None, 0));
    }

    #[test]
    fn a_handle_in_use_is_not_given_out() {
        let mut track = Maptrack::new(1);
        let first = add(&mut track, 1).unwrap();
        let second = add(&mut track, 2).unwrap();
        track.fill(first, mapped(3));
        assert_eq!((track.get(first), track.get(second)), (Some(mapped(1)), Some(mapped(2))));
        track.take(first);
        assert_eq!(add(&mut track, 4), Ok(first));
        assert_ne!(add(&mut track, 5), Ok(second));
    }

    #[test]
    fn handles_are_bounded_and_come_back() {
        let mut track = Maptrack::new(1);
        let handles: Vec<_> = core::iter::from_fn(|| add(&mut track, 0).ok()).collect();
        assert_eq!(handles.len(), HANDLES_PER_FRAME as usize);
        assert_eq!(track.next(), Err(GrantStatus::NO_SPACE));
        assert!(handles.iter().all(|handle| track.take(*handle).is_some()));
        assert!(handles.iter().all(|_| add(&mut track, 0).is_ok()));
        assert_eq!(Maptrack::new(0).next(), Err(GrantStatus::NO_SPACE));
    }

    #[test]
    fn a_wild_handle_is_nothing() {
        let mut track = Maptrack::new(u32::MAX);
        for handle in [0, 63, u32::MAX] {
            assert_eq!(track.take(GrantHandle(handle)), None);
            track.fill(GrantHandle(handle), mapped(0));
        }
        assert_eq!(track.used(), 0);
    }
}
