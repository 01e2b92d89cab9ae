//! The lock itself, without what it protects.
// UNSAFETY: `RawMutex` is an unsafe trait.

use core::sync::atomic::{AtomicBool, Ordering};

use lock_api::{GuardSend, RawMutex};

use crate::acquire::acquire;

/// One byte that says whether somebody holds the lock; whoever waits looks at it again and again.
#[derive(Debug)]
pub struct SpinLock {
    held: AtomicBool,
}

// SAFETY: `held` goes from false to true in one exchange only, by `lock` and `try_lock`, and back
// by `unlock`, which only the holder may call.
unsafe impl RawMutex for SpinLock {
    #[allow(clippy::declare_interior_mutable_const)]
    const INIT: Self = Self { held: AtomicBool::new(false) };

    type GuardMarker = GuardSend;

    #[inline(always)]
    fn lock(&self) {
        acquire(&self.held);
    }

    #[inline]
    fn try_lock(&self) -> bool {
        self.held.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    #[inline(always)]
    unsafe fn unlock(&self) {
        self.held.store(false, Ordering::Release);
    }
}
