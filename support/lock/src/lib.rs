//! The locks of the `spin` crate, which wait by YIELD.
//!
//! `core::hint::spin_loop` is an ISB on AArch64. That delays a loop on a real processor, but an emulator or a
//! hypervisor that runs several CPUs in turn learns only from YIELD that this one waits for another.
#![no_std]
// UNSAFETY: the hint is one instruction of assembly.
#![allow(unsafe_code)]

use spin::RelaxStrategy;

/// A lock for one holder at a time.
pub type Mutex<T> = spin::mutex::Mutex<T, Yield>;
/// What holds a [`Mutex`].
pub type MutexGuard<'a, T> = spin::mutex::MutexGuard<'a, T, Yield>;
/// A lock for one writer or several readers at a time.
pub type RwLock<T> = spin::rwlock::RwLock<T, Yield>;
/// A value that is set once.
pub type Once<T> = spin::once::Once<T, Yield>;

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
        let count = Mutex::new(0);
        let ready = Once::new();
        let add = || {
            ready.wait();
            for _ in 0..10_000 {
                *count.lock() += 1;
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(add);
            scope.spawn(add);
            ready.call_once(|| ());
        });
        assert_eq!(*count.lock(), 20_000);
    }
}
