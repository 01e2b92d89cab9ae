//! Instructions that differ with the execution state. Each state's file defines the same names.
// UNSAFETY: the address of vectors that are written in assembly.
#![allow(unsafe_code)]

use core::ptr::NonNull;

#[cfg(target_arch = "arm")]
mod arm32;
#[cfg(target_arch = "arm")]
pub use arm32::*;

#[cfg(target_arch = "aarch64")]
mod arm64;
#[cfg(target_arch = "aarch64")]
pub use arm64::*;

unsafe extern "C" {
    static bench_vectors: u8;
}

/// Our vectors.
pub fn vectors() -> usize {
    // SAFETY: only the address is used.
    unsafe { NonNull::from(&bench_vectors).as_ptr().addr() }
}
