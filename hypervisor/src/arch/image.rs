//! Where the image lies in physical memory.

use core::sync::atomic::{AtomicUsize, Ordering};

/// Its physical address minus its link address.
static OFFSET: AtomicUsize = AtomicUsize::new(0);

/// Says where firmware has put it.
pub fn set_image_offset(offset: usize) {
    OFFSET.store(offset, Ordering::Relaxed);
}

/// Physical address of something in the image.
pub fn image_to_physical<T: ?Sized>(of: &T) -> u64 {
    let va = core::ptr::from_ref(of).addr();
    va.wrapping_add(OFFSET.load(Ordering::Relaxed)) as u64
}
