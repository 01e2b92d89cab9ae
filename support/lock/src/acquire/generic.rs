//! How a lock is taken on any processor.

use core::sync::atomic::{AtomicBool, Ordering};

use crate::relax;

/// Sets `held` once it is false.
#[inline(always)]
pub fn acquire(held: &AtomicBool) {
    while held.compare_exchange_weak(false, true, Ordering::Acquire, Ordering::Relaxed).is_err() {
        while held.load(Ordering::Relaxed) {
            relax();
        }
    }
}

/// The same by a call.
#[inline(never)]
pub fn acquire_by_call(held: &AtomicBool) {
    acquire(held);
}
