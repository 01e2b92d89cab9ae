//! The lock itself, without what it protects.
// UNSAFETY: `RawMutex` is an unsafe trait.

use core::sync::atomic::{AtomicBool, Ordering};

use lock_api::{GuardSend, RawMutex};

use crate::acquire::{acquire, acquire_by_call};

/// One byte that says whether somebody holds the lock; whoever waits looks at it again and again.
#[derive(Debug)]
pub struct SpinLock {
    held: AtomicBool,
}

impl SpinLock {
    /// [`RawMutex::lock`] by a call.
    #[inline(always)]
    pub(crate) fn lock_by_call(&self) {
        acquire_by_call(&self.held);
    }
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

/// The same, locked by a call.
#[derive(Debug)]
pub struct RareLock(SpinLock);

// SAFETY: as for what it is made of.
unsafe impl RawMutex for RareLock {
    #[allow(clippy::declare_interior_mutable_const)]
    const INIT: Self = Self(SpinLock::INIT);

    type GuardMarker = GuardSend;

    #[inline(always)]
    fn lock(&self) {
        self.0.lock_by_call();
    }

    #[inline]
    fn try_lock(&self) -> bool {
        self.0.try_lock()
    }

    #[inline(always)]
    unsafe fn unlock(&self) {
        // SAFETY: the caller holds the lock.
        unsafe { self.0.unlock() }
    }
}
