//! The direct map: every frame of RAM at a fixed virtual address.
//!
//! RAM is a handful of runs, mapped one after the other from `arch::DIRECT_MAP` on. What does not
//! fit into the address space of the state is left out, with a line in the log.

use core::ops::Range;

use heapless::Vec;
use xen_abi::Mfn;

use super::tables::{BLOCK_SIZE, MAP, Memory, PAGE_SIZE};
use crate::arch;

/// The most runs that are told apart: banks, less reserved memory and this image in between.
pub const MAX_RUNS: usize = 16;

/// Contiguous frames and where they are mapped.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// First frame.
    pub start: u64,
    /// How many.
    pub frames: u64,
    va: usize,
}

/// All RAM that the hypervisor uses.
#[derive(Default)]
pub struct Ram {
    // Largest first.
    runs: Vec<Run, MAX_RUNS>,
    quick: Quick,
}

impl Ram {
    /// Maps ranges of physical addresses, which do not overlap. Partial pages are dropped.
    pub fn map(ranges: &[Range<u64>]) -> Self {
        let mut ram = Self::default();
        let mut next = arch::DIRECT_MAP.start;
        for range in ranges {
            let start = range.start.next_multiple_of(PAGE_SIZE as u64);
            let end = range.end & !(PAGE_SIZE as u64 - 1);
            if start < end {
                next = ram.map_run(start..end, next);
            }
        }
        ram
    }

    /// Maps one run at or above `next`; gives the next free address.
    fn map_run(&mut self, range: Range<u64>, next: usize) -> usize {
        // Same offset within a block, so that blocks fit.
        let va = next + (range.start as usize).wrapping_sub(next) % BLOCK_SIZE;
        let room = arch::DIRECT_MAP.end.saturating_sub(va) as u64;
        let len = room.min(range.end - range.start);
        let end = range.start + len;
        if end < range.end {
            log::warn!("RAM {end:#x}-{:#x} is not used: no room to map it", range.end - 1);
        }
        if len == 0 {
            return next;
        }
        if let Err(error) = MAP.lock().map(va, range.start, len as usize, Memory::Data) {
            log::warn!("RAM {:#x}-{:#x} is not used: {error:?}", range.start, end - 1);
            return va.saturating_add(len as usize);
        }
        let run = Run { start: range.start / PAGE_SIZE as u64, frames: len / PAGE_SIZE as u64, va };
        let at = self.runs.partition_point(|other| other.frames >= run.frames);
        if self.runs.insert(at, run).is_err() {
            log::warn!("RAM {:#x}-{:#x} is not used: too many pieces", range.start, end - 1);
        }
        self.quick = self.runs.first().map(Quick::of).unwrap_or_default();
        va.saturating_add(len as usize)
    }

    /// The runs, largest first.
    pub fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// Which physical address an address of the direct map stands for.
    pub fn physical(&self, va: usize) -> Option<u64> {
        self.runs.iter().find_map(|run| {
            let offset = va.checked_sub(run.va)? as u64;
            (offset < run.frames * PAGE_SIZE as u64).then_some(run.start * PAGE_SIZE as u64 + offset)
        })
    }

    /// Where a range of physical addresses is mapped, if all of it is RAM and in one piece.
    pub fn span(&self, pa: u64, len: u64) -> Option<usize> {
        let last = pa.checked_add(len.checked_sub(1)?)?;
        self.runs.iter().find_map(|run| {
            let start = run.start * PAGE_SIZE as u64;
            let inside = pa >= start && last - start < run.frames * PAGE_SIZE as u64;
            inside.then(|| run.va + (pa - start) as usize)
        })
    }

    /// Where a frame is mapped, if it is RAM.
    #[inline]
    pub fn address(&self, mfn: Mfn) -> Option<usize> {
        match self.quick.address(mfn) {
            None => self.address_in_others(mfn),
            address => address,
        }
    }

    #[cold]
    #[inline(never)]
    fn address_in_others(&self, mfn: Mfn) -> Option<usize> {
        self.runs.iter().find_map(|run| {
            let offset = mfn.0.wrapping_sub(run.start);
            (offset < run.frames).then(|| run.va + offset as usize * PAGE_SIZE)
        })
    }
}

/// The largest run, in words: nearly every access is to it.
#[derive(Default)]
struct Quick {
    start: u32,
    frames: u32,
    va: usize,
}

impl Quick {
    /// Of a run; nothing of one beyond the words.
    fn of(run: &Run) -> Self {
        match (run.start.try_into(), run.frames.try_into()) {
            (Ok(start), Ok(frames)) => Self { start, frames, va: run.va },
            _ => Self::default(),
        }
    }

    #[inline]
    fn address(&self, mfn: Mfn) -> Option<usize> {
        let offset = u32::try_from(mfn.0).ok()?.wrapping_sub(self.start);
        // What is mapped does not wrap around.
        (offset < self.frames).then(|| self.va.wrapping_add((offset as usize).wrapping_mul(PAGE_SIZE)))
    }
}
