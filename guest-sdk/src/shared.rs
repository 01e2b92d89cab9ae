//! Memory that somebody else can write.
//!
//! A page lent to another domain, or borrowed from one, may change between any two instructions.
//! No Rust reference can describe that, so [`SharedMemory`] gives none: bytes and plain values are
//! copied in and out, single words are accessed atomically. Who keeps the memory alive is another
//! question, answered by whatever implements [`Memory`]: a grant, a mapping, pages of our own.
//!
//! Offsets are the program's own numbers. Like an index of a slice, one that lies outside is a
//! bug of the caller and panics; a number that came from a peer is checked before it becomes an
//! offset.
// UNSAFETY: this is the module that touches shared memory, by volatile and atomic accesses
// through raw pointers, so that no other module has to.
#![allow(unsafe_code)]

use alloc::{rc::Rc, sync::Arc};
use core::{
    mem::{align_of, size_of},
    ptr::NonNull,
    sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering},
};

use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::arch;

/// Something that owns, and keeps mapped, memory that others may write.
pub trait Memory {
    /// The memory itself.
    fn shared(&self) -> &SharedMemory;
}

impl Memory for SharedMemory {
    fn shared(&self) -> &SharedMemory {
        self
    }
}

impl<M: Memory + ?Sized> Memory for &M {
    fn shared(&self) -> &SharedMemory {
        (**self).shared()
    }
}

impl<M: Memory + ?Sized> Memory for Rc<M> {
    fn shared(&self) -> &SharedMemory {
        (**self).shared()
    }
}

impl<M: Memory + ?Sized> Memory for Arc<M> {
    fn shared(&self) -> &SharedMemory {
        (**self).shared()
    }
}

/// A range of bytes that this domain and others access at the same time.
///
/// It does not own the range: whoever made it does, and hands out
/// references to it only while the range is mapped.
#[derive(Debug)]
pub struct SharedMemory {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: all access is by volatile copies and atomics, which may race with other accesses of the
// same kind from other vCPUs and domains; the type has no other state.
unsafe impl Send for SharedMemory {}
// SAFETY: as above.
unsafe impl Sync for SharedMemory {}

macro_rules! atomics {
    ($($load:ident $store:ident $ty:ident $atomic:ident;)*) => {$(
        #[doc = concat!("Loads the `", stringify!($ty), "` at `offset`, which must be aligned.")]
        pub fn $load(&self, offset: usize, order: Ordering) -> $ty {
            // SAFETY: `at` checked range and alignment; the range is mapped while `self` exists.
            unsafe { $atomic::from_ptr(self.at::<$ty>(offset)) }.load(order)
        }

        #[doc = concat!("Stores a `", stringify!($ty), "` at `offset`, which must be aligned.")]
        pub fn $store(&self, offset: usize, value: $ty, order: Ordering) {
            // SAFETY: as for the load.
            unsafe { $atomic::from_ptr(self.at::<$ty>(offset)) }.store(value, order);
        }
    )*};
}

impl SharedMemory {
    /// Describes `len` bytes at `base`.
    ///
    /// # Safety
    ///
    /// The range is mapped readable (and writable, if the caller lets anything be written) as
    /// long as the value exists, 8-byte aligned, and no Rust reference is made to any of it.
    pub(crate) unsafe fn new(base: NonNull<u8>, len: usize) -> Self {
        debug_assert!(base.cast::<u64>().is_aligned());
        Self { base, len }
    }

    /// Its length in bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it has no bytes at all.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Where it is mapped, for handing to a hypercall.
    pub fn as_ptr(&self) -> NonNull<u8> {
        self.base
    }

    /// A pointer to a `T` at `offset`, checked for range and alignment.
    fn at<T>(&self, offset: usize) -> *mut T {
        let ptr = self.range(offset, size_of::<T>()).cast::<T>();
        assert!(ptr.is_aligned(), "offset {offset:#x} is not aligned for {} bytes", align_of::<T>());
        ptr
    }

    /// A pointer to `len` bytes at `offset`, checked for range.
    #[track_caller]
    fn range(&self, offset: usize, len: usize) -> *mut u8 {
        let end = offset.checked_add(len);
        assert!(
            end.is_some_and(|end| end <= self.len),
            "{len} bytes at {offset:#x} of {:#x} bytes of shared memory",
            self.len
        );
        // SAFETY: the sum lies in the range that `new` was given.
        unsafe { self.base.as_ptr().add(offset) }
    }

    /// Copies bytes out, each read once.
    pub fn read_bytes(&self, offset: usize, into: &mut [u8]) {
        let from = self.range(offset, into.len());
        // SAFETY: both ranges are valid; they cannot overlap, as no reference points into ours.
        unsafe { copy_out(from, into) }
    }

    /// Copies bytes in, each written once.
    pub fn write_bytes(&self, offset: usize, from: &[u8]) {
        let into = self.range(offset, from.len());
        // SAFETY: as in `read_bytes`.
        unsafe { copy_in(from, into) }
    }

    /// Sets `len` bytes from `offset` on to zero.
    pub fn zero(&self, offset: usize, len: usize) {
        const ZEROES: [u8; 64] = [0; 64];
        let mut done = 0;
        while done < len {
            let n = (len - done).min(ZEROES.len());
            self.write_bytes(offset + done, &ZEROES[..n]);
            done += n;
        }
    }

    /// Copies a plain value out. What is checked is then the copy, which no peer can change.
    pub fn read<T: FromBytes + IntoBytes>(&self, offset: usize) -> T {
        let mut value = T::new_zeroed();
        self.read_bytes(offset, value.as_mut_bytes());
        value
    }

    /// Copies a plain value in.
    pub fn write<T: IntoBytes + Immutable + ?Sized>(&self, offset: usize, value: &T) {
        self.write_bytes(offset, value.as_bytes());
    }

    atomics! {
        load_u8 store_u8 u8 AtomicU8;
        load_u16 store_u16 u16 AtomicU16;
        load_u32 store_u32 u32 AtomicU32;
        load_u64 store_u64 u64 AtomicU64;
    }

    /// Replaces the `u16` at `offset` if it is `old`; gives what was there.
    ///
    /// # Errors
    ///
    /// What was there, when it was not `old`.
    pub fn compare_exchange_u16(&self, offset: usize, old: u16, new: u16) -> Result<u16, u16> {
        // SAFETY: `at` checked range and alignment; the range is mapped while `self` exists.
        unsafe { AtomicU16::from_ptr(self.at::<u16>(offset)) }.compare_exchange(
            old,
            new,
            Ordering::SeqCst,
            Ordering::SeqCst,
        )
    }

    /// Replaces the `u8` at `offset`; gives what was there.
    pub fn swap_u8(&self, offset: usize, new: u8) -> u8 {
        // SAFETY: as above.
        unsafe { AtomicU8::from_ptr(self.at::<u8>(offset)) }.swap(new, Ordering::SeqCst)
    }

    /// Replaces the `u64` at `offset`; gives what was there.
    pub fn swap_u64(&self, offset: usize, new: u64) -> u64 {
        // SAFETY: as above.
        unsafe { AtomicU64::from_ptr(self.at::<u64>(offset)) }.swap(new, Ordering::SeqCst)
    }

    /// Sets bits of the `u64` at `offset`; gives what was there.
    pub fn set_bits_u64(&self, offset: usize, bits: u64) -> u64 {
        // SAFETY: as above.
        unsafe { AtomicU64::from_ptr(self.at::<u64>(offset)) }.fetch_or(bits, Ordering::SeqCst)
    }

    /// Clears bits of the `u64` at `offset`; gives what was there.
    pub fn clear_bits_u64(&self, offset: usize, bits: u64) -> u64 {
        // SAFETY: as above.
        unsafe { AtomicU64::from_ptr(self.at::<u64>(offset)) }.fetch_and(!bits, Ordering::SeqCst)
    }
}

/// Bytes that are copied at a time where both sides are aligned.
const BLOCK: usize = 32;

/// Copies whole blocks, if both sides are aligned for that; says how many bytes.
///
/// # Safety
///
/// `from` is valid for reads and `into` for writes of `len` bytes, and they are apart.
unsafe fn copy_aligned(from: *const u8, into: *mut u8, len: usize) -> usize {
    let blocks = len / BLOCK;
    if blocks == 0 || !from.cast::<u32>().is_aligned() || !into.cast::<u32>().is_aligned() {
        return 0;
    }
    // SAFETY: the caller's promise; aligned, and one block at least.
    unsafe { arch::copy_blocks(from, into, blocks) };
    blocks * BLOCK
}

/// Copies from shared memory: in blocks, then word by word where the shared side is aligned.
///
/// # Safety
///
/// `from` is valid for volatile reads of `into.len()` bytes.
unsafe fn copy_out(from: *const u8, into: &mut [u8]) {
    // SAFETY: the caller's promise, and `into` is borrowed.
    let mut done = unsafe { copy_aligned(from, into.as_mut_ptr(), into.len()) };
    while done < into.len() {
        let left = &mut into[done..];
        // SAFETY: `done` is below the length that is valid.
        let at = unsafe { from.add(done) };
        if at.cast::<usize>().is_aligned() && left.len() >= size_of::<usize>() {
            // SAFETY: aligned, and a whole word is left.
            let word = unsafe { at.cast::<usize>().read_volatile() };
            left[..size_of::<usize>()].copy_from_slice(&word.to_ne_bytes());
            done += size_of::<usize>();
        } else {
            // SAFETY: one byte is left.
            left[0] = unsafe { at.read_volatile() };
            done += 1;
        }
    }
}

/// Copies to shared memory: in blocks, then word by word where the shared side is aligned.
///
/// # Safety
///
/// `into` is valid for volatile writes of `from.len()` bytes.
unsafe fn copy_in(from: &[u8], into: *mut u8) {
    // SAFETY: the caller's promise, and `from` is borrowed.
    let mut done = unsafe { copy_aligned(from.as_ptr(), into, from.len()) };
    while done < from.len() {
        let left = &from[done..];
        // SAFETY: `done` is below the length that is valid.
        let at = unsafe { into.add(done) };
        if at.cast::<usize>().is_aligned()
            && let Some(word) = left.first_chunk()
        {
            // SAFETY: aligned, and a whole word is left.
            unsafe { at.cast::<usize>().write_volatile(usize::from_ne_bytes(*word)) }
            done += size_of::<usize>();
        } else {
            // SAFETY: one byte is left.
            unsafe { at.write_volatile(left[0]) }
            done += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(len: usize, f: impl FnOnce(&SharedMemory)) {
        let mut words = alloc::vec![0u64; len.div_ceil(8)];
        let base = NonNull::new(words.as_mut_ptr().cast()).unwrap();
        // SAFETY: the vector outlives the value and is not used meanwhile.
        f(&unsafe { SharedMemory::new(base, len) });
    }

    #[test]
    fn bytes_come_back_from_any_offset_and_length() {
        with(128, |m| {
            for offset in 0..17 {
                for len in 0..100 {
                    let out: alloc::vec::Vec<u8> = (0..len).map(|i| i ^ offset as u8).collect();
                    let mut back = alloc::vec![0xff; out.len()];
                    m.zero(0, 128);
                    m.write_bytes(offset, &out);
                    m.read_bytes(offset, &mut back);
                    assert_eq!(out, back);
                    assert_eq!(m.load_u8(offset + out.len(), Ordering::Relaxed), 0);
                }
            }
        });
    }

    #[test]
    #[should_panic(expected = "of shared memory")]
    fn a_read_across_the_end_panics() {
        with(16, |m| m.read_bytes(9, &mut [0; 8]));
    }

    #[test]
    #[should_panic(expected = "not aligned")]
    fn an_unaligned_atomic_panics() {
        with(16, |m| m.store_u32(2, 1, Ordering::Relaxed));
    }
}
