#![no_std]
#![forbid(unsafe_code)]
#![doc = include_str!("../README.md")]

extern crate alloc;

mod connect;
mod disk;
mod error;
mod info;
mod pool;
mod queue;
mod session;

pub use disk::{Disk, SECTOR_SIZE};
pub use error::Error;
pub use info::{Discard, Flush, Info};
pub use queue::Violation;

use guest_sdk::abi::io::blkif;

/// What a front end uses at most. The back end may offer less.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Pages lent to the back end for data; at least what one request of the largest kind needs.
    pub pages: usize,
    /// Pages of the ring, as a power of two: each holds 32 requests.
    pub ring_page_order: u32,
    /// Pages that one request moves, if the back end takes such large ones.
    pub segments: usize,
}

impl Default for Options {
    /// 1 MiB of pages, one page of ring, requests of up to 128 KiB.
    fn default() -> Self {
        Self { pages: 256, ring_page_order: 0, segments: 32 }
    }
}

impl Options {
    /// The same, within what the protocol and this crate can do.
    fn bounded(self) -> Self {
        let segments =
            self.segments.clamp(blkif::MAX_SEGMENTS_PER_REQUEST, blkif::SEGMENTS_PER_INDIRECT_PAGE);
        Self { pages: self.pages.max(segments + 1), ring_page_order: self.ring_page_order.min(4), segments }
    }
}
