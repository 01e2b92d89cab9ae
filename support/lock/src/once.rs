//! A value that is set once.
// UNSAFETY: the value is there, and no longer changes, from when a flag says so.

use core::{
    cell::UnsafeCell,
    convert::Infallible,
    fmt,
    mem::MaybeUninit,
    sync::atomic::{AtomicBool, Ordering},
};

use crate::{Mutex, relax};

/// A value that is set once and then read by anyone, without a lock.
pub struct Once<T> {
    setting: Mutex<()>,
    is_set: AtomicBool,
    value: UnsafeCell<MaybeUninit<T>>,
}

// SAFETY: whoever shares this may have references to the value, may be the one that sets it, and may drop it.
unsafe impl<T: Send + Sync> Sync for Once<T> {}

impl<T> Once<T> {
    /// One that is not set yet.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        Self {
            setting: Mutex::new(()),
            is_set: AtomicBool::new(false),
            value: UnsafeCell::new(MaybeUninit::uninit()),
        }
    }

    /// The value, if it is set.
    #[inline]
    pub fn get(&self) -> Option<&T> {
        // SAFETY: it was written before the flag was, and is not written again.
        self.is_set.load(Ordering::Acquire).then(|| unsafe { (*self.value.get()).assume_init_ref() })
    }

    /// Whether it is set.
    #[inline]
    pub fn is_completed(&self) -> bool {
        self.get().is_some()
    }

    /// The value, which is set to what `make` gives if it is not yet. Of several that set it one does, and the
    /// others wait for that; so `make` must not ask for the value.
    pub fn call_once(&self, make: impl FnOnce() -> T) -> &T {
        match self.try_call_once(|| Ok::<T, Infallible>(make())) {
            Ok(value) => value,
        }
    }

    /// The same where `make` may fail, and the value then is as unset as before.
    pub fn try_call_once<E>(&self, make: impl FnOnce() -> Result<T, E>) -> Result<&T, E> {
        let setting = self.setting.lock();
        if !self.is_set.load(Ordering::Relaxed) {
            let value = make()?;
            // SAFETY: the flag says that nobody reads it yet, and the lock that nobody else writes it.
            unsafe { (*self.value.get()).write(value) };
            self.is_set.store(true, Ordering::Release);
        }
        drop(setting);
        // SAFETY: as in `get`; it is set now.
        Ok(unsafe { (*self.value.get()).assume_init_ref() })
    }

    /// The value, once it is set.
    pub fn wait(&self) -> &T {
        loop {
            if let Some(value) = self.get() {
                return value;
            }
            relax();
        }
    }
}

impl<T> Drop for Once<T> {
    fn drop(&mut self) {
        if *self.is_set.get_mut() {
            // SAFETY: it is set, and dropped nowhere else.
            unsafe { self.value.get_mut().assume_init_drop() };
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Once<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Once").field(&self.get()).finish()
    }
}
