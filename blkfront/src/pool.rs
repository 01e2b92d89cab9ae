//! Pages lent to the back end for as long as the connection lasts.
//!
//! All data passes through these, so that the back end never sees a page of anybody else, and a page need never
//! be taken back in a hurry. The one returned last is used next: the back end keeps its mappings of pages that
//! are used often.

use alloc::vec::Vec;

use guest_sdk::abi::{Domid, Errno, Gref, PAGE_SIZE};
use guest_sdk::grant::{Access, Grant};
use guest_sdk::shared::Memory;

/// Pages lent at a time.
const CHUNK: usize = 16;

/// A page of the pool, owned until it is put back. Dropping it only makes it idle for ever.
#[derive(Debug)]
pub(crate) struct Page {
    chunk: usize,
    offset: usize,
    gref: Gref,
}

impl Page {
    /// What the back end knows it by.
    pub(crate) const fn gref(&self) -> Gref {
        self.gref
    }
}

/// Lent pages, free ones and those in use.
#[derive(Debug)]
pub(crate) struct Pool {
    to: Domid,
    chunks: Vec<Grant>,
    free: Vec<Page>,
    limit: usize,
}

impl Pool {
    /// A pool of at most `limit` pages lent to `to`; it has none yet.
    pub(crate) const fn new(to: Domid, limit: usize) -> Self {
        Self { to, chunks: Vec::new(), free: Vec::new(), limit }
    }

    /// Sees to it that `count` pages are free; says whether that worked. If it did not, it will once enough of
    /// those in use have been put back.
    ///
    /// # Errors
    ///
    /// `ENOMEM` or `ENOSPC` when there are not so many pages at all, and no more can be lent.
    pub(crate) fn reserve(&mut self, count: usize) -> Result<bool, Errno> {
        while self.free.len() < count {
            let lent = self.chunks.len() * CHUNK;
            let grown = if lent < self.limit { self.grow() } else { Err(Errno::ENOMEM) };
            match grown {
                Ok(()) => {}
                Err(_) if lent >= count => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    fn grow(&mut self) -> Result<(), Errno> {
        let grant = Grant::of_zeroes(self.to, CHUNK, Access::ReadWrite)?;
        let chunk = self.chunks.len();
        let pages = grant.grefs().iter().enumerate();
        self.free.extend(pages.rev().map(|(i, &gref)| Page { chunk, offset: i * PAGE_SIZE, gref }));
        self.chunks.push(grant);
        Ok(())
    }

    /// Takes a free page.
    pub(crate) fn take(&mut self) -> Option<Page> {
        self.free.pop()
    }

    /// Puts a page back.
    pub(crate) fn put(&mut self, page: Page) {
        self.free.push(page);
    }

    /// Writes to the beginning of a page.
    pub(crate) fn write(&self, page: &Page, bytes: &[u8]) {
        self.chunks[page.chunk].shared().write_bytes(page.offset, bytes);
    }

    /// Reads the beginning of a page.
    pub(crate) fn read(&self, page: &Page, into: &mut [u8]) {
        self.chunks[page.chunk].shared().read_bytes(page.offset, into);
    }
}
