//! Pages: our own, those of others, and the holes in which those of others appear.
//!
//! [`Pages`] are owned, zeroed and contiguous. They are what is lent to other domains (see
//! [`crate::grant`]) and given to devices. A [`Hole`] is address space without memory behind it:
//! made by giving pages back to the hypervisor, it is where frames of other domains are mapped.
// UNSAFETY: turns page-aligned addresses into slices and shared memory, and gives pages back to
// the hypervisor. Every such range comes from the page allocator or the hole pool, which hand each
// page out once.
#![allow(unsafe_code)]

mod foreign;
mod hole;

use core::{fmt, ptr::NonNull, slice};

use xen_abi::{Errno, Gfn, PAGE_SIZE};

pub use foreign::{ForeignMapping, ResourceMapping};
pub use hole::Hole;
pub(crate) use hole::Holes;

use crate::{arch, shared::SharedMemory};

/// Whole pages, side by side, zeroed when they were allocated; freed when dropped. A run of
/// `n` pages begins at a multiple of the next power of two.
pub struct Pages {
    start: NonNull<u8>,
    count: usize,
}

// SAFETY: the pages belong to the value.
unsafe impl Send for Pages {}
// SAFETY: shared access to the value gives shared references only.
unsafe impl Sync for Pages {}

impl Pages {
    /// Allocates.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EINVAL` for no page at all.
    pub fn new(count: usize) -> Result<Self, Errno> {
        let bytes = count.checked_mul(PAGE_SIZE).ok_or(Errno::ENOMEM)?;
        if count == 0 {
            return Err(Errno::EINVAL);
        }
        let start = arch::alloc_pages(count).ok_or(Errno::ENOMEM)?;
        // SAFETY: the allocator gave us that many bytes.
        unsafe { start.as_ptr().write_bytes(0, bytes) };
        Ok(Self { start, count })
    }

    /// How many pages.
    pub fn count(&self) -> usize {
        self.count
    }

    /// How many bytes.
    pub fn len(&self) -> usize {
        self.count * PAGE_SIZE
    }

    /// Whether there are no bytes; never.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// The frame of one of the pages.
    pub fn gfn(&self, index: usize) -> Gfn {
        assert!(index < self.count, "page {index} of {}", self.count);
        Gfn(arch::gfn_of(self.start).0 + index as u64)
    }

    /// The guest-physical address of the first byte; for dom0, whose memory is mapped one to one,
    /// it is what a device is told.
    pub fn address(&self) -> u64 {
        self.gfn(0).0 * PAGE_SIZE as u64
    }

    #[cfg(target_os = "none")]
    pub(crate) fn start(&self) -> NonNull<u8> {
        self.start
    }

    /// The same bytes as shared memory, to be used instead of the slices from now on.
    pub(crate) fn share(&self) -> SharedMemory {
        // SAFETY: the caller keeps `self` as long, and makes no slice of it meanwhile.
        unsafe { SharedMemory::new(self.start, self.len()) }
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the pages are ours, and initialised.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.len()) }
    }

    /// The bytes, to be changed.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: the pages are ours alone, and initialised.
        unsafe { slice::from_raw_parts_mut(self.start.as_ptr(), self.len()) }
    }

    /// Gives the pages up without freeing them.
    pub fn into_raw(self) -> NonNull<u8> {
        let start = self.start;
        core::mem::forget(self);
        start
    }

    /// Takes pages back from [`into_raw`](Self::into_raw).
    ///
    /// # Safety
    ///
    /// `start` came from there, of a run of as many pages, and nobody uses them.
    pub unsafe fn from_raw(start: NonNull<u8>, count: usize) -> Self {
        Self { start, count }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: they came from there, and go with the value.
        unsafe { arch::free_pages(self.start, self.count) }
    }
}

impl fmt::Debug for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pages({:p}, {})", self.start, self.count)
    }
}

/// The guest-physical address of something in this domain's memory. None for what is not mapped.
pub fn address_of<T: ?Sized>(ptr: NonNull<T>) -> Option<u64> {
    arch::address_of(ptr.cast())
}

/// Maps the registers of a device, for good, at their own address. For dom0, which has devices.
///
/// # Errors
///
/// `EBUSY` when the range is in use for something else, `ENOMEM`.
#[cfg(target_os = "none")]
pub fn map_device(address: u64, size: usize) -> Result<NonNull<u8>, Errno> {
    use crate::mm::tables::MapError;
    crate::mm::map_device(address, size as u64).map_err(|error| match error {
        MapError::NoMemory => Errno::ENOMEM,
        MapError::Taken(_) => Errno::EBUSY,
        MapError::BadRange => Errno::EINVAL,
    })
}

/// Bytes of memory that are free in whole pages; the heap has more.
#[cfg(target_os = "none")]
pub fn free_bytes() -> usize {
    crate::mm::free_bytes()
}

#[cfg(test)]
mod tests;
