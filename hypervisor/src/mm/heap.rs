//! The heap, in RAM set aside at boot and more of it as it fills up.
#![allow(unsafe_code)]
// UNSAFETY: an allocator has to be told which memory is its own.

use hv_core::Hypervisor;
use talc::{TalcLock, source::Manual};

use crate::board::Board;

/// Below this the heap grows. It is more than what serving one trap allocates: growing takes locks,
/// so it is only done between traps.
const LOW_WATER: usize = 512 << 10;
/// log2 of the frames that it grows by: 1 MiB.
const GROWTH: u32 = 8;
/// Frames that only the heap may have.
pub const RESERVE: u32 = 2 << GROWTH;

#[global_allocator]
static HEAP: TalcLock<lock::Mutex<()>, Manual> = TalcLock::new(Manual);

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

/// Makes sure that serving the next trap finds enough. To be called with no lock held.
pub fn replenish(hv: &Hypervisor<Board>) {
    if HEAP.lock().counters().available_bytes >= LOW_WATER {
        return;
    }
    let frames = hv.frames.alloc_reserved(&hv.machine, GROWTH);
    if let Some(start) = frames.and_then(|start| hv.machine.ram.address(start)) {
        // SAFETY: these frames have just become the hypervisor's and nobody else knows them.
        unsafe { add(start, crate::mm::tables::PAGE_SIZE << GROWTH) };
    }
}
