//! Holes: guest-physical pages that have no memory, kept in chunks for the next use.
//!
//! A chunk is a run of our own pages given back to the hypervisor once. It is never refilled:
//! on a domain that is mapped one to one the pages stay reserved for it anyway, and elsewhere the
//! next mapping wants a hole again. What the pool grows to is what is mapped at the same time.
// UNSAFETY: gives pages of ours back to the hypervisor; they came from the allocator and do not
// return there.
#![allow(unsafe_code)]

use alloc::{vec, vec::Vec};
use core::{fmt, mem, ptr::NonNull};

use xen_abi::{Domid, Errno, Gfn};

use super::Pages;
use crate::{arch, hypercall, lock::IrqLock, system::system};

/// Pages in a chunk, unless more are wanted at once.
const CHUNK: usize = 16;

struct Chunk {
    /// Given back to the hypervisor: what they name is address space, not memory.
    pages: mem::ManuallyDrop<Pages>,
    used: Vec<bool>,
}

impl Chunk {
    fn new(count: usize) -> Result<Self, Errno> {
        let pages = Pages::new(count)?;
        let gfns: Vec<Gfn> = (0..count).map(|i| pages.gfn(i)).collect();
        // SAFETY: the pages are ours, and never used as memory again.
        let done = unsafe { hypercall::memory::decrease_reservation(Domid::SELF, &gfns, 0) };
        if done != Ok(count) {
            // Some of them may be gone: none can go back to the allocator.
            mem::forget(pages);
            return Err(done.err().unwrap_or(Errno::ENOMEM));
        }
        Ok(Self { pages: mem::ManuallyDrop::new(pages), used: vec![false; count] })
    }

    /// Marks `count` free pages in a row as used; gives the first.
    fn take(&mut self, count: usize) -> Option<usize> {
        let first = self.used.windows(count).position(|run| run.iter().all(|used| !used))?;
        self.used[first..first + count].fill(true);
        Some(first)
    }
}

/// All holes of this domain.
pub(crate) struct Holes(IrqLock<Vec<Chunk>>);

impl Holes {
    pub(crate) const fn new() -> Self {
        Self(IrqLock::new(Vec::new()))
    }

    /// Takes `count` pages of address space, in a row.
    ///
    /// # Errors
    ///
    /// `ENOMEM` when there are none and no memory to make them of, `EINVAL` for none.
    pub(crate) fn take(&self, count: usize) -> Result<Hole, Errno> {
        if count == 0 {
            return Err(Errno::EINVAL);
        }
        let mut chunks = self.0.lock();
        for chunk in chunks.iter_mut() {
            if let Some(first) = chunk.take(count) {
                return Ok(Hole::of(chunk, first, count));
            }
        }
        let mut chunk = Chunk::new(count.max(CHUNK))?;
        chunk.used[..count].fill(true);
        let hole = Hole::of(&chunk, 0, count);
        chunks.push(chunk);
        Ok(hole)
    }

    fn give_back(&self, gfn: Gfn, count: usize) {
        for chunk in self.0.lock().iter_mut() {
            let first = chunk.pages.gfn(0).0;
            if (first..first + chunk.used.len() as u64).contains(&gfn.0) {
                let at = (gfn.0 - first) as usize;
                chunk.used[at..at + count].fill(false);
            }
        }
    }
}

/// Pages of address space without memory. Dropped, it may be used for something else: whatever was
/// mapped there has to be unmapped before.
pub struct Hole {
    gfn: Gfn,
    count: usize,
    home: arch::Home,
}

impl Hole {
    fn of(chunk: &Chunk, first: usize, count: usize) -> Self {
        Self { gfn: chunk.pages.gfn(first), count, home: arch::home() }
    }

    /// Takes `count` pages of address space, in a row.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EINVAL` for none.
    pub fn new(count: usize) -> Result<Self, Errno> {
        system().holes.take(count)
    }

    /// How many pages.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The frame of one of the pages.
    pub fn gfn(&self, index: usize) -> Gfn {
        assert!(index < self.count, "page {index} of {}", self.count);
        Gfn(self.gfn.0 + index as u64)
    }

    /// All frames.
    pub fn gfns(&self) -> impl Iterator<Item = Gfn> + '_ {
        (0..self.count).map(|i| self.gfn(i))
    }

    /// Never uses it for anything else: something is stuck there.
    pub(crate) fn retire(&mut self) {
        self.count = 0;
    }

    /// Where the first byte is, once something is mapped there.
    pub(crate) fn start(&self) -> NonNull<u8> {
        arch::mapped_at(self.gfn)
    }
}

impl Drop for Hole {
    fn drop(&mut self) {
        arch::within(self.home, || {
            system().holes.give_back(self.gfn, self.count);
        });
    }
}

impl fmt::Debug for Hole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hole({:#x}, {})", self.gfn.0, self.count)
    }
}
