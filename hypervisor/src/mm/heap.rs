//! The heap, in RAM set aside at boot.
#![allow(unsafe_code)]
// UNSAFETY: an allocator has to be told which memory is its own.

use talc::{TalcLock, source::Manual};

#[global_allocator]
static HEAP: TalcLock<spin::mutex::Mutex<()>, Manual> = TalcLock::new(Manual);

/// Gives memory to the heap for good.
///
/// # Safety
///
/// `len` bytes at `start` are mapped as data and nothing else uses them.
pub unsafe fn add(start: usize, len: usize) {
    // SAFETY: passed on to our caller.
    let claimed = unsafe { HEAP.lock().claim(start as *mut u8, len) };
    assert!(claimed.is_some(), "{len} bytes are too few for a heap");
}
