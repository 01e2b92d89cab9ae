//! The page allocator: all free memory, in blocks of powers of two.
// UNSAFETY: hands out memory; it lies in the ranges that `add` was given.
#![allow(unsafe_code)]

use core::{alloc::Layout, ptr::NonNull};

use buddy_system_allocator::Heap;
use xen_abi::PAGE_SIZE;

use crate::lock::IrqLock;

/// Blocks of up to 2 GiB.
static FREE: IrqLock<Heap<32>> = IrqLock::new(Heap::empty());

/// A run of pages, aligned to the next power of two.
fn layout(count: usize) -> Option<Layout> {
    let size = count.checked_mul(PAGE_SIZE)?;
    Layout::from_size_align(size, size.checked_next_power_of_two()?).ok()
}

/// Adds memory.
///
/// # Safety
///
/// It is mapped, whole pages, and nobody uses it.
pub(crate) unsafe fn add(start: usize, end: usize) {
    // SAFETY: the caller's promise. The last page of the address space would end at 0.
    unsafe { FREE.lock().add_to_heap(start, end.wrapping_sub(usize::from(end == 0))) };
}

/// Whole pages side by side, with anything in them.
pub(crate) fn alloc_pages(count: usize) -> Option<NonNull<u8>> {
    FREE.lock().alloc(layout(count)?).ok()
}

/// # Safety
///
/// The pages came from [`alloc_pages`], and nobody uses them.
pub(crate) unsafe fn free_pages(start: NonNull<u8>, count: usize) {
    if let Some(layout) = layout(count) {
        // SAFETY: the caller's promise.
        unsafe { FREE.lock().dealloc(start, layout) };
    }
}

/// Bytes that are free.
pub(crate) fn free_bytes() -> usize {
    let free = FREE.lock();
    free.stats_total_bytes() - free.stats_alloc_actual()
}
