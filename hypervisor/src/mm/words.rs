//! Values that guests share, moved through registers: a word at a time, each once.
#![allow(unsafe_code)]
// UNSAFETY: raw addresses of the direct map.

use core::{mem::MaybeUninit, ptr};

use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Words of the largest value.
const MOST: usize = 10;

/// Does something for each word of a value. Written out, as a loop would have the value in memory.
macro_rules! each_word {
    ($value:ty, $word:ty, $work:expr) => {
        each_word!($value, $word, $work, 0 1 2 3 4 5 6 7 8 9)
    };
    ($value:ty, $word:ty, $work:expr, $($n:literal)*) => {
        $(if size_of::<$value>() > $n * size_of::<$word>() { $work($n) })*
    };
}

/// The size of the words that a value is moved in.
const fn word<T>() -> usize {
    let whole = size_of::<T>().is_multiple_of(size_of::<usize>());
    if whole { size_of::<usize>() } else { size_of::<u16>() }
}

/// Whether a value there lies in aligned words.
#[inline(always)]
pub fn are_aligned<T>(at: usize) -> bool {
    const { assert!(size_of::<T>().is_multiple_of(word::<T>()) && size_of::<T>() <= MOST * word::<T>()) }
    at.is_multiple_of(word::<T>())
}

/// Copies a value that others may write meanwhile.
///
/// # Safety
///
/// It is mapped, may be read, and lies in aligned words.
#[inline(always)]
pub unsafe fn load<T: FromBytes>(from: usize) -> T {
    // SAFETY: the caller's.
    unsafe {
        if word::<T>() == size_of::<u16>() { load_by::<T, u16>(from) } else { load_by::<T, usize>(from) }
    }
}

#[inline(always)]
unsafe fn load_by<T: FromBytes, W: Copy>(from: usize) -> T {
    let mut value = MaybeUninit::<T>::uninit();
    let (to, from) = (value.as_mut_ptr().cast::<W>(), ptr::with_exposed_provenance::<W>(from));
    // SAFETY: the caller's, and within the value.
    each_word!(T, W, |n| unsafe { to.add(n).write_unaligned(from.add(n).read_volatile()) });
    // SAFETY: each byte is set, and any will do.
    unsafe { value.assume_init() }
}

/// Copies a value to where others may look meanwhile.
///
/// # Safety
///
/// It is mapped, may be written, and lies in aligned words.
#[inline(always)]
pub unsafe fn store<T: IntoBytes + Immutable>(to: usize, value: &T) {
    // SAFETY: the caller's.
    unsafe {
        if word::<T>() == size_of::<u16>() {
            store_by::<T, u16>(to, value)
        } else {
            store_by::<T, usize>(to, value)
        }
    }
}

#[inline(always)]
unsafe fn store_by<T: IntoBytes + Immutable, W: Copy>(to: usize, value: &T) {
    let (to, from) = (ptr::with_exposed_provenance_mut::<W>(to), ptr::from_ref(value).cast::<W>());
    // SAFETY: the caller's, and within the value, each byte of which is set.
    each_word!(T, W, |n| unsafe { to.add(n).write_volatile(from.add(n).read_unaligned()) });
}
