//! Locks that wait by YIELD.
//!
//! `core::hint::spin_loop` is an ISB on AArch64. That delays a loop on a real processor, but an emulator or a
//! hypervisor that runs several CPUs in turn learns only from YIELD that this one waits for another.
//!
//! A lock is taken in place, or else by a call: that is a few instructions slower, and half a dozen shorter at each of
//! the many places that are seldom reached.
#![no_std]
// UNSAFETY: the hint is one instruction of assembly, and `lock_api` has no safe way to lock in more than one way.
#![allow(unsafe_code)]

#[cfg_attr(not(target_arch = "aarch64"), path = "acquire/generic.rs")]
#[cfg_attr(target_arch = "aarch64", path = "acquire/arm64.rs")]
mod acquire;
mod once;
mod spin_lock;

use spin::RelaxStrategy;

pub use once::Once;
pub use spin_lock::{RareLock, SpinLock};

/// A lock for one holder at a time.
pub type Mutex<T> = lock_api::Mutex<SpinLock, T>;
/// What holds a [`Mutex`].
pub type MutexGuard<'a, T> = lock_api::MutexGuard<'a, SpinLock, T>;
/// The same for what no frequent path needs: it is taken by a call.
pub type RareMutex<T> = lock_api::Mutex<RareLock, T>;
/// What holds a [`RareMutex`].
pub type RareGuard<'a, T> = lock_api::MutexGuard<'a, RareLock, T>;
/// A lock for one writer or several readers at a time.
pub type RwLock<T> = spin::rwlock::RwLock<T, Yield>;

/// How rare paths take a lock that frequent ones take too.
pub trait LockRarely<T> {
    /// Takes it by a call.
    fn lock_rarely(&self) -> MutexGuard<'_, T>;
}

impl<T> LockRarely<T> for Mutex<T> {
    #[inline(always)]
    fn lock_rarely(&self) -> MutexGuard<'_, T> {
        // SAFETY: the raw lock is only taken, and for the guard that is made of it.
        unsafe {
            self.raw().lock_by_call();
            self.make_guard_unchecked()
        }
    }
}

/// Waits for another CPU by [`relax`].
pub struct Yield;

impl RelaxStrategy for Yield {
    #[inline(always)]
    fn relax() {
        relax();
    }
}

/// Says to the processor that this CPU waits for what another does: once in each round of a loop.
#[inline(always)]
pub fn relax() {
    #[cfg(target_arch = "aarch64")]
    // SAFETY: a hint changes nothing.
    unsafe {
        core::arch::asm!("yield", options(nomem, nostack, preserves_flags));
    }
    #[cfg(not(target_arch = "aarch64"))]
    core::hint::spin_loop();
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;

    #[test]
    fn whoever_waits_gets_the_lock() {
        let (count, rare) = (Mutex::new(0), RareMutex::new(0));
        let ready = Once::new();
        let add = || {
            ready.wait();
            for _ in 0..10_000 {
                *count.lock() += 1;
                *count.lock_rarely() += 1;
                *rare.lock() += 1;
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(add);
            scope.spawn(add);
            ready.call_once(|| ());
        });
        assert_eq!((*count.lock(), *rare.lock()), (40_000, 20_000));
    }

    #[test]
    fn a_value_is_set_once() {
        let value = Once::new();
        assert_eq!(value.get(), None);
        let set = |to: &'static str| *value.call_once(|| to);
        std::thread::scope(|scope| {
            let (a, b) = (scope.spawn(|| set("a")), scope.spawn(|| set("b")));
            let waited = *value.wait();
            assert_eq!((a.join().unwrap(), b.join().unwrap()), (waited, waited));
        });
        assert_eq!(Some(&set("c")), value.get());
    }

    #[test]
    fn a_value_is_dropped_if_it_was_set() {
        let shared = std::sync::Arc::new(());
        let (set, unset) = (Once::new(), Once::<std::sync::Arc<()>>::new());
        set.call_once(|| shared.clone());
        assert_eq!(std::sync::Arc::strong_count(&shared), 2);
        drop((set, unset));
        assert_eq!(std::sync::Arc::strong_count(&shared), 1);
    }

    #[test]
    fn a_lock_that_is_held_is_not_given() {
        let lock = Mutex::new(());
        let held = lock.lock();
        assert!(lock.try_lock().is_none());
        drop(held);
        assert!(lock.try_lock().is_some());
        let _held = lock.lock_rarely();
        assert!(lock.try_lock().is_none());
    }
}
