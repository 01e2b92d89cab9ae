//! The one place that touches frames that a guest may touch at the same time.
//!
//! No reference into a frame is ever made: bytes are copied by assembly, shared words
//! are changed by atomics. Every access is checked to lie in one frame of RAM; one that does
//! not is a bug of the caller.
#![allow(unsafe_code)]
// UNSAFETY: frames are reached through raw addresses of the direct map.

use core::{
    mem::MaybeUninit,
    ops::ControlFlow,
    sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering},
};

use hv_core::{errata::Errata, machine::CacheOp};
use xen_abi::Mfn;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::{ram::Ram, tables::PAGE_SIZE, words};
use crate::arch::{self, maintenance, sysregs::CTR_EL0};

/// Attempts of an atomic change before it counts as contended beyond reason. A guest that writes the
/// line all the time makes attempts fail, but the interconnect is fair enough that few do in a row.
const ATTEMPTS: u32 = 1 << 16;

/// Bytes of the shortest data cache line.
fn data_line() -> usize {
    4 << (CTR_EL0::read() >> 16 & 0xf)
}

impl Ram {
    /// Address of `len` bytes at `offset` of a frame.
    #[inline]
    fn bytes(&self, mfn: Mfn, offset: usize, len: usize) -> usize {
        if offset > PAGE_SIZE || len > PAGE_SIZE - offset {
            no_such_bytes(mfn, offset, len);
        }
        self.frame(mfn).wrapping_add(offset)
    }

    /// Where a value at a physical address is mapped, if that is in one frame of RAM and in aligned words.
    #[inline(always)]
    fn words_at<T>(&self, address: u64) -> Option<usize> {
        let frame = self.address(Mfn::containing(address))?;
        let offset = address as usize % PAGE_SIZE;
        let there = offset <= PAGE_SIZE - size_of::<T>() && words::are_aligned::<T>(offset);
        there.then(|| frame.wrapping_add(offset))
    }

    /// Address of the aligned word of `size` bytes at `offset` of a frame.
    #[inline]
    fn word(&self, mfn: Mfn, offset: usize, size: usize) -> usize {
        if offset & !(PAGE_SIZE - size) != 0 {
            no_such_bytes(mfn, offset, size);
        }
        self.frame(mfn).wrapping_add(offset)
    }

    #[inline]
    fn frame(&self, mfn: Mfn) -> usize {
        match self.address(mfn) {
            Some(frame) => frame,
            None => no_such_bytes(mfn, 0, PAGE_SIZE),
        }
    }

    #[inline]
    fn atomic8(&self, mfn: Mfn, offset: usize) -> &AtomicU8 {
        // SAFETY: `word` gives mapped memory that is there for good and only changed atomically or
        // by guests.
        unsafe { AtomicU8::from_ptr(self.word(mfn, offset, 1) as *mut u8) }
    }

    #[inline]
    fn atomic32(&self, mfn: Mfn, offset: usize) -> &AtomicU32 {
        // SAFETY: as above, and aligned.
        unsafe { AtomicU32::from_ptr(self.word(mfn, offset, 4) as *mut u32) }
    }

    #[inline]
    fn atomic64(&self, mfn: Mfn, offset: usize) -> &AtomicU64 {
        // SAFETY: as above, and aligned.
        unsafe { AtomicU64::from_ptr(self.word(mfn, offset, 8) as *mut u64) }
    }

    /// Loads an aligned word, if there is RAM.
    #[inline]
    pub fn load32_at(&self, address: u64) -> Option<u32> {
        let frame = self.address(Mfn::containing(address))?;
        let at = frame.wrapping_add(address as usize % PAGE_SIZE & !3);
        // SAFETY: mapped, as `address` says, and aligned.
        Some(unsafe { AtomicU32::from_ptr(at as *mut u32) }.load(Ordering::Acquire))
    }

    /// Copies bytes out of a frame.
    #[inline]
    pub fn read(&self, mfn: Mfn, offset: usize, to: &mut [u8]) {
        let from = self.bytes(mfn, offset, to.len());
        // SAFETY: `bytes` checked the frame's side; `to` is ours alone.
        unsafe { arch::copy(to.as_mut_ptr().addr(), from, to.len()) }
    }

    /// Copies a value out of a frame.
    #[inline]
    pub fn read_value<T: FromBytes>(&self, mfn: Mfn, offset: usize) -> T {
        // SAFETY: `bytes` checks it.
        unsafe { copied(self.bytes(mfn, offset, size_of::<T>())) }
    }

    /// Copies a value from a physical address, where [`Ram::words_at`] finds it.
    #[inline(always)]
    pub fn read_value_at<T: FromBytes>(&self, address: u64) -> Option<T> {
        let from = self.words_at::<T>(address)?;
        // SAFETY: `words_at` checked it.
        Some(unsafe { words::load(from) })
    }

    /// Copies a value to a physical address; false, with nothing done, where [`Ram::words_at`] finds nothing.
    #[inline(always)]
    pub fn write_value_at<T: IntoBytes + Immutable>(&self, address: u64, value: &T) -> bool {
        let to = self.words_at::<T>(address);
        if let Some(to) = to {
            // SAFETY: `words_at` checked it.
            unsafe { words::store(to, value) };
        }
        to.is_some()
    }

    /// Copies bytes into a frame.
    #[inline]
    pub fn write(&self, mfn: Mfn, offset: usize, from: &[u8]) {
        let to = self.bytes(mfn, offset, from.len());
        // SAFETY: `bytes` checked the frame's side; `from` is not changed meanwhile.
        unsafe { arch::copy(to, from.as_ptr().addr(), from.len()) }
    }

    /// Copies between frames; ranges of one frame must not overlap.
    #[inline(always)]
    pub fn copy(&self, to: (Mfn, usize), from: (Mfn, usize), len: usize) {
        let to = self.bytes(to.0, to.1, len);
        let from = self.bytes(from.0, from.1, len);
        // SAFETY: `bytes` checked both.
        unsafe { arch::copy(to, from, len) }
    }

    /// Fills a frame with zeroes.
    pub fn zero(&self, mfn: Mfn) {
        // SAFETY: `bytes` checked that it is a mapped page.
        unsafe { arch::zero(self.bytes(mfn, 0, PAGE_SIZE), PAGE_SIZE) }
    }

    /// Maintains the cache lines of part of a frame.
    pub fn cache(&self, mfn: Mfn, offset: usize, len: usize, op: CacheOp) {
        let start = self.bytes(mfn, offset, len);
        let clean_loses = op == CacheOp::Clean && arch::errata::found(Errata::CLEAN);
        let op = if clean_loses { CacheOp::CleanInvalidate } else { op };
        let line = data_line();
        arch::barrier();
        for va in (start & !(line - 1)..start + len).step_by(line) {
            // SAFETY: mapped, and a frame of the core's: it decides what may be invalidated.
            unsafe { maintenance::line(va, op) }
        }
        arch::barrier();
        if len == PAGE_SIZE && op != CacheOp::Invalidate {
            // A whole frame is cleaned for whoever gets it next and may execute it.
            maintenance::invalidate_instructions();
        }
    }

    /// Loads a word.
    #[inline]
    pub fn load32(&self, mfn: Mfn, offset: usize) -> u32 {
        self.atomic32(mfn, offset).load(Ordering::Acquire)
    }

    /// Stores a word.
    #[inline]
    pub fn store32(&self, mfn: Mfn, offset: usize, value: u32) {
        self.atomic32(mfn, offset).store(value, Ordering::Release);
    }

    /// Loads a double word.
    #[inline]
    pub fn load64(&self, mfn: Mfn, offset: usize) -> u64 {
        self.atomic64(mfn, offset).load(Ordering::Acquire)
    }

    /// Stores a double word.
    #[inline]
    pub fn store64(&self, mfn: Mfn, offset: usize, value: u64) {
        self.atomic64(mfn, offset).store(value, Ordering::Release);
    }

    /// Replaces a word if it is `old`; else, or when it is contended, gives what is there.
    #[inline]
    pub fn compare_exchange32(&self, mfn: Mfn, offset: usize, old: u32, new: u32) -> Result<u32, u32> {
        exchange(self.atomic32(mfn, offset), old, new)
    }

    /// Changes a word to what `change` makes of it. False when it makes nothing of it, and when the word
    /// was another one each of `tries` times.
    #[inline(always)]
    pub fn try_change32(
        &self,
        mfn: Mfn,
        offset: usize,
        tries: u32,
        change: impl Fn(u32) -> Option<u32>,
    ) -> bool {
        let word = self.atomic32(mfn, offset);
        let mut old = word.load(Ordering::Relaxed);
        for _ in 0..tries {
            let Some(new) = change(old) else { return false };
            match exchange(word, old, new) {
                Ok(_) => return true,
                Err(now) => old = now,
            }
        }
        false
    }

    /// Stores what `change` makes of a double word, if anything; says whether it did.
    #[inline(always)]
    pub fn change64(&self, mfn: Mfn, offset: usize, change: impl FnOnce(u64) -> Option<u64>) -> bool {
        let word = self.atomic64(mfn, offset);
        let new = change(word.load(Ordering::Relaxed));
        if let Some(new) = new {
            word.store(new, Ordering::Release);
        }
        new.is_some()
    }

    /// Changes a word; gives the old value.
    #[inline]
    pub fn update32(&self, mfn: Mfn, offset: usize, change: impl Fn(u32) -> u32) -> u32 {
        let word = self.atomic32(mfn, offset);
        let attempt = || {
            let old = word.load(Ordering::Relaxed);
            word.compare_exchange_weak(old, change(old), Ordering::SeqCst, Ordering::Relaxed).ok()
        };
        bounded(attempt).unwrap_or_else(|| {
            let old = word.load(Ordering::SeqCst);
            word.store(change(old), Ordering::SeqCst);
            old
        })
    }

    /// Changes a double word; gives the old value.
    pub fn update64(&self, mfn: Mfn, offset: usize, change: impl Fn(u64) -> u64) -> u64 {
        let word = self.atomic64(mfn, offset);
        let attempt = || {
            let old = word.load(Ordering::Relaxed);
            word.compare_exchange_weak(old, change(old), Ordering::SeqCst, Ordering::Relaxed).ok()
        };
        bounded(attempt).unwrap_or_else(|| {
            let old = word.load(Ordering::SeqCst);
            word.store(change(old), Ordering::SeqCst);
            old
        })
    }

    /// Replaces a byte; gives the old one.
    #[inline]
    pub fn swap8(&self, mfn: Mfn, offset: usize, value: u8) -> u8 {
        let byte = self.atomic8(mfn, offset);
        let attempt = || {
            let old = byte.load(Ordering::Relaxed);
            byte.compare_exchange_weak(old, value, Ordering::SeqCst, Ordering::Relaxed).ok()
        };
        bounded(attempt).unwrap_or_else(|| {
            let old = byte.load(Ordering::SeqCst);
            byte.store(value, Ordering::SeqCst);
            old
        })
    }
}

/// Copies a value that others may write meanwhile.
///
/// # Safety
///
/// It is mapped and may be read.
#[inline(always)]
unsafe fn copied<T: FromBytes>(from: usize) -> T {
    let mut value = MaybeUninit::<T>::uninit();
    // SAFETY: the caller's; afterwards each byte of the value is set, and any will do.
    unsafe {
        arch::copy(value.as_mut_ptr().expose_provenance(), from, size_of::<T>());
        value.assume_init()
    }
}

/// A bug of the caller's.
#[cold]
#[inline(never)]
fn no_such_bytes(mfn: Mfn, offset: usize, len: usize) -> ! {
    panic!("no {len:#x} bytes at {offset:#x} of frame {:#x}", mfn.0)
}

/// Replaces a word if it is `old`; else, or when it is contended, gives what is there.
#[inline]
fn exchange(word: &AtomicU32, old: u32, new: u32) -> Result<u32, u32> {
    let done = bounded(|| {
        match word.compare_exchange_weak(old, new, Ordering::SeqCst, Ordering::SeqCst) {
            // Failed although it was what was expected: try again.
            Err(found) if found == old => None,
            result => Some(result),
        }
    });
    done.unwrap_or_else(|| Err(word.load(Ordering::SeqCst)))
}

/// Tries until it succeeds, but not forever: a plain access in the end is what the guest that keeps
/// writing there has asked for, and changes nothing but its own memory.
#[inline]
fn bounded<T>(mut attempt: impl FnMut() -> Option<T>) -> Option<T> {
    let tries = (0..ATTEMPTS).try_for_each(|_| match attempt() {
        Some(value) => ControlFlow::Break(value),
        None => ControlFlow::Continue(()),
    });
    match tries {
        ControlFlow::Break(value) => Some(value),
        ControlFlow::Continue(()) => None,
    }
}
