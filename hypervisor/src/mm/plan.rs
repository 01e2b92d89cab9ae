//! Who gets which RAM at boot.

use core::ops::Range;

use device_tree::Tree;
use heapless::Vec;
use hv_core::{
    frames::RamBank,
    host::{
        Error,
        chosen::Chosen,
        memory::{self, Ranges},
    },
};
use xen_abi::Mfn;

use super::{
    ram::{MAX_RUNS, Ram},
    tables::PAGE_SIZE,
};

const PAGE: u64 = PAGE_SIZE as u64;

/// RAM that is mapped, and what of it nobody has yet.
pub struct Plan {
    /// All of it.
    pub ram: Ram,
    free: Ranges,
    boot_data: Ranges,
    set_aside: Ranges,
}

impl Plan {
    /// Maps all RAM that the tree lists and nobody keeps for good. What the image takes is left out;
    /// the boot modules, and the `tree` that lies at `blob`, are not free yet.
    pub fn new<'a>(
        tree: &Tree<'a>,
        chosen: &Chosen<'a>,
        image: Range<u64>,
        blob: Range<u64>,
    ) -> Result<Self, Error<'a>> {
        let mut usable = Ranges::of_ram(tree)?;
        memory::reserved(tree, |range| usable.remove(range))?;
        usable.remove(image)?;
        usable.keep_whole_pages(PAGE);
        let ram = Ram::map(usable.as_slice());

        let mut free = Ranges::default();
        for run in ram.runs() {
            free.add(run.start * PAGE..(run.start + run.frames) * PAGE)?;
        }
        // Loaders list here what firmware keeps, but also the tree and the initial RAM disk: both
        // can be read, neither is ever given away.
        for region in tree.reservations() {
            free.remove(whole_pages(region.base..region.base.saturating_add(region.size)))?;
        }
        let mut set_aside = free.clone();
        memory::all_set_aside(chosen, |range| free.remove(whole_pages(range)))?;
        for range in free.as_slice() {
            set_aside.remove(range.clone())?;
        }
        if let Some(heap) = memory::heap(chosen)? {
            free.keep(&heap)?;
        }
        let mut boot_data = free.clone();
        free.remove(whole_pages(blob))?;
        memory::modules(chosen, |range| {
            set_aside.remove(whole_pages(range.clone()))?;
            free.remove(whole_pages(range))
        })?;
        for range in free.as_slice() {
            boot_data.remove(range.clone())?;
        }
        Ok(Self { ram, free, boot_data, set_aside })
    }

    /// What is set aside for guests, without what something else lies in.
    pub fn set_aside(&self) -> &Ranges {
        &self.set_aside
    }

    /// What becomes free once all boot modules have been used.
    pub fn boot_data(&self) -> &Ranges {
        &self.boot_data
    }

    /// Takes `len` bytes, whole pages, from as high up as there are; gives their address in the
    /// direct map.
    pub fn take(&mut self, len: usize) -> Option<usize> {
        let len = len.next_multiple_of(PAGE_SIZE) as u64;
        let from = self.free.as_slice().iter().rfind(|range| range.end - range.start >= len)?;
        let start = from.end - len;
        self.free.remove(start..start + len).ok()?;
        self.ram.address(Mfn(start / PAGE))
    }

    /// What nobody has.
    pub fn free(&self) -> &Ranges {
        &self.free
    }

    /// All RAM, in ascending order.
    pub fn banks(&self) -> Vec<RamBank, MAX_RUNS> {
        let mut banks: Vec<RamBank, MAX_RUNS> = Vec::new();
        for run in self.ram.runs() {
            let at = banks.partition_point(|bank| bank.start.0 < run.start);
            let bank = RamBank { start: Mfn(run.start), frames: run.frames as u32 };
            // There is room: there are as many as runs.
            let _ = banks.insert(at, bank);
        }
        banks
    }
}

/// The pages that a range lies in.
fn whole_pages(range: Range<u64>) -> Range<u64> {
    range.start & !(PAGE - 1)..range.end.checked_next_multiple_of(PAGE).unwrap_or(range.end)
}
