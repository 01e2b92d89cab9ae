//! The heap: takes pages when it needs them, and keeps them.
// UNSAFETY: gives the allocator pages that nobody else has.
#![allow(unsafe_code)]

use core::alloc::Layout;

use talc::{TalcLock, base::Talc, base::binning::Binning, source::Source};
use xen_abi::PAGE_SIZE;

use super::pages;
use crate::lock::RawIrqLock;

#[global_allocator]
static HEAP: TalcLock<RawIrqLock, PageSource> = TalcLock::new(PageSource);

/// Takes from the page allocator.
#[derive(Debug)]
struct PageSource;

/// How much is taken at a time, unless more is needed, or there is less.
const CHUNK: usize = 64;
/// What the allocator's own records may need beside an allocation.
const OVERHEAD: usize = PAGE_SIZE;

// SAFETY: the page allocator does not use the heap.
unsafe impl Source for PageSource {
    fn acquire<B: Binning>(talc: &mut Talc<Self, B>, layout: Layout) -> Result<(), ()> {
        let bytes = layout.size().checked_add(layout.align()).ok_or(())?;
        let needed = bytes.checked_add(OVERHEAD).ok_or(())?.div_ceil(PAGE_SIZE);
        let count = needed.max(CHUNK);
        let (start, count) = match pages::alloc_pages(count) {
            Some(start) => (start, count),
            None => (pages::alloc_pages(needed).ok_or(())?, needed),
        };
        // SAFETY: the pages are ours now, and stay with the heap.
        unsafe { talc.claim(start.as_ptr(), count * PAGE_SIZE) }.map(drop).ok_or(())
    }
}
