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
    /// Somebody is making or ending the mapping.
    Busy,
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

    /// Takes a handle: busy until [`Maptrack::set`] or [`Maptrack::release`].
    pub(super) fn take(&mut self) -> Result<GrantHandle, GrantStatus> {
        if self.free == END {
            self.grow()?;
        }
        let handle = self.free;
        let slot = self.slots.get_mut(handle as usize).ok_or(GrantStatus::NO_SPACE)?;
        if let Slot::Free(next) = *slot {
            self.free = next;
        }
        *slot = Slot::Busy;
        Ok(GrantHandle(handle))
    }

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

    /// Fills in a busy handle.
    pub(super) fn set(&mut self, handle: GrantHandle, mapped: Mapped) {
        if let Some(slot) = self.slots.get_mut(handle.0 as usize) {
            *slot = Slot::Used(mapped);
        }
    }

    /// Makes a handle in use busy and tells what it stands for: nobody else can end it meanwhile.
    pub(super) fn claim(&mut self, handle: GrantHandle) -> Option<Mapped> {
        let slot = self.slots.get_mut(handle.0 as usize)?;
        let Slot::Used(mapped) = *slot else {
            return None;
        };
        *slot = Slot::Busy;
        Some(mapped)
    }

    /// Frees a busy handle.
    pub(super) fn release(&mut self, handle: GrantHandle) {
        if let Some(slot @ Slot::Busy) = self.slots.get_mut(handle.0 as usize) {
            *slot = Slot::Free(self.free);
            self.free = handle.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapped(gref: u32) -> Mapped {
        Mapped { dom: Domid(1), gref: Gref(gref), mfn: Mfn(2), usage: Usage::Write }
    }

    #[test]
    fn a_handle_can_be_claimed_by_one_only() {
        let mut track = Maptrack::new(1);
        let handle = track.take().unwrap();
        assert_eq!(track.claim(handle), None, "busy");
        track.set(handle, mapped(7));
        assert_eq!(track.claim(handle), Some(mapped(7)));
        assert_eq!(track.claim(handle), None);
        track.release(handle);
        track.release(handle);
        assert_eq!((track.claim(handle), track.used()), (None, 0));
    }

    #[test]
    fn handles_are_bounded_and_come_back() {
        let mut track = Maptrack::new(1);
        let handles: Vec<_> = core::iter::from_fn(|| track.take().ok()).collect();
        assert_eq!(handles.len(), HANDLES_PER_FRAME as usize);
        assert_eq!(track.take(), Err(GrantStatus::NO_SPACE));
        for handle in &handles {
            track.release(*handle);
        }
        assert!(handles.iter().all(|_| track.take().is_ok()));
        assert_eq!(Maptrack::new(0).take(), Err(GrantStatus::NO_SPACE));
    }

    #[test]
    fn a_wild_handle_is_nothing() {
        let mut track = Maptrack::new(u32::MAX);
        for handle in [0, 63, u32::MAX] {
            assert_eq!(track.claim(GrantHandle(handle)), None);
            track.release(GrantHandle(handle));
        }
        assert_eq!(track.used(), 0);
    }
}
