//! The heap, in RAM set aside at boot and more of it as it fills up.
#![allow(unsafe_code)]
// UNSAFETY: an allocator has to be told which memory is its own.

use core::alloc::{GlobalAlloc, Layout};

use talc::{
    TalcLock,
    base::{Talc, binning::Binning},
    source::Source,
};

use crate::{boot, mm::tables::PAGE_SIZE};

/// log2 of the frames that it grows by, unless more is asked for: 1 MiB.
const GROWTH: u32 = 8;
/// Frames that only the heap may have.
pub const RESERVE: u32 = 2 << GROWTH;
/// What is lost in a block besides what alignment costs, at most.
const OVERHEAD: usize = 64;

#[global_allocator]
static HEAP: Heap = Heap(TalcLock::new(FreeRam));

/// Gives memory to the heap for good.
///
/// # Safety
///
/// `len` bytes at `start` are mapped as data and nothing else uses them.
pub unsafe fn add(start: usize, len: usize) {
    // SAFETY: passed on to our caller.
    let claimed = unsafe { HEAP.0.lock().claim(start as *mut u8, len) };
    assert!(claimed.is_some(), "{len} bytes are too few for a heap");
}

/// The allocator, whose functions are there once each: its lock would be taken in the midst of everything that
/// frees something.
struct Heap(TalcLock<lock::SpinLock, FreeRam>);

// SAFETY: what is promised, and asked for, is what `talc` promises and asks for.
unsafe impl GlobalAlloc for Heap {
    #[inline(never)]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: passed on to our caller.
        unsafe { self.0.alloc(layout) }
    }

    #[inline(never)]
    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: passed on to our caller.
        unsafe { self.0.dealloc(memory, layout) }
    }

    #[inline(never)]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: passed on to our caller.
        unsafe { self.0.alloc_zeroed(layout) }
    }

    #[inline(never)]
    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: passed on to our caller.
        unsafe { self.0.realloc(memory, layout, size) }
    }
}

/// Lets the heap grow in the midst of an allocation: of all locks only that of the free frames comes after
/// its own.
#[derive(Debug)]
struct FreeRam;

// SAFETY: taking frames allocates nothing, and the heap is only used through `talc`.
unsafe impl Source for FreeRam {
    fn acquire<B: Binning>(talc: &mut Talc<Self, B>, layout: Layout) -> Result<(), ()> {
        let hv = boot::started().ok_or(())?;
        let bytes = layout.size().saturating_add(layout.align() + OVERHEAD);
        let least = bytes.div_ceil(PAGE_SIZE).checked_next_power_of_two().ok_or(())?.trailing_zeros();
        // RAM that is nearly used up has few large blocks.
        let take = |order| Some((hv.frames.alloc_reserved(&hv.machine, order)?, order));
        let (start, order) = [GROWTH.max(least), least].into_iter().find_map(take).ok_or(())?;
        let start = hv.machine.ram.address(start).ok_or(())?;
        // SAFETY: these frames have just become the hypervisor's and nobody else knows them.
        unsafe { talc.claim(start as *mut u8, PAGE_SIZE << order) }.map(drop).ok_or(())
    }
}
