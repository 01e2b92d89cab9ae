//! A lock for what interrupt handlers and several vCPUs share.
// UNSAFETY: `RawMutex` is an unsafe trait; its promise of exclusion is kept by the spin lock inside.
#![allow(unsafe_code)]

use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::arch;

/// Spins with interrupts off: a handler can take it, and nobody holding it is interrupted.
#[derive(Debug)]
pub struct RawIrqLock {
    held: AtomicBool,
    /// What to restore at unlock. Written and read by the holder only.
    flags: AtomicUsize,
}

// SAFETY: `held` goes from false to true in one exchange only, by `lock` and `try_lock`, and back
// by `unlock`, which only the holder may call.
unsafe impl lock_api::RawMutex for RawIrqLock {
    #[allow(clippy::declare_interior_mutable_const)]
    const INIT: Self = Self { held: AtomicBool::new(false), flags: AtomicUsize::new(0) };

    // A guard sent to another vCPU would restore the wrong interrupt mask there.
    type GuardMarker = lock_api::GuardNoSend;

    fn lock(&self) {
        while !self.try_lock() {
            while self.held.load(Ordering::Relaxed) {
                core::hint::spin_loop();
            }
        }
    }

    fn try_lock(&self) -> bool {
        let flags = arch::irq_save();
        let free = self.held.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_ok();
        if free {
            self.flags.store(flags, Ordering::Relaxed);
        } else {
            arch::irq_restore(flags);
        }
        free
    }

    unsafe fn unlock(&self) {
        let flags = self.flags.load(Ordering::Relaxed);
        self.held.store(false, Ordering::Release);
        arch::irq_restore(flags);
    }
}

/// A value behind a [`RawIrqLock`].
pub type IrqLock<T> = lock_api::Mutex<RawIrqLock, T>;
