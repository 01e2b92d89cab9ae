//! Memory that ends: pages behind which nothing is, and one that comes and goes.
// UNSAFETY: gives pages back to the hypervisor that nothing else uses, and writes to the others.
#![allow(unsafe_code)]

use guest_sdk::{
    abi::{Errno, Gfn, PAGE_SIZE},
    memory::Pages,
};

use crate::memory;

/// Pages of our own, for good.
pub struct Edge {
    start: usize,
    gfn: Gfn,
}

impl Edge {
    /// Three pages: one of memory, one that was given back, and one to play with.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn new() -> Result<Self, Errno> {
        let pages = Pages::new(3)?;
        let gfn = pages.gfn(0);
        let start = pages.into_raw().as_ptr() as usize;
        memory::give_back(Gfn(gfn.0 + 1), 0);
        Ok(Self { start, gfn })
    }

    /// Where the memory ends.
    pub fn end(&self) -> usize {
        self.start + PAGE_SIZE
    }

    /// The page to play with.
    pub fn page(&self) -> Gfn {
        Gfn(self.gfn.0 + 2)
    }

    /// The page that was given back.
    pub fn hole(&self) -> Gfn {
        Gfn(self.gfn.0 + 1)
    }

    /// Address of the page to play with.
    pub fn page_address(&self) -> usize {
        self.start + 2 * PAGE_SIZE
    }

    /// Writes element `index` of a list that fills the memory.
    pub fn write<T: Copy>(&self, index: usize, value: &T) {
        assert!((index + 1) * size_of::<T>() <= PAGE_SIZE, "element {index}");
        let at = (self.start as *mut T).wrapping_add(index);
        // SAFETY: within the first page, which is this value's.
        unsafe { at.write_volatile(*value) };
    }

    /// Fills the memory with copies.
    pub fn fill<T: Copy>(&self, value: T) {
        for index in 0..PAGE_SIZE / size_of::<T>() {
            self.write(index, &value);
        }
    }
}

/// A word of memory, whatever is there.
pub fn read(address: usize) -> u32 {
    // SAFETY: the caller names mapped memory of this program, of which it makes no reference.
    unsafe { (address as *const u32).read_volatile() }
}

/// Changes such a word.
pub fn write(address: usize, value: u32) {
    // SAFETY: as above.
    unsafe { (address as *mut u32).write_volatile(value) };
}
