#![no_std]
#![forbid(unsafe_code)]
#![doc = include_str!("../README.md")]

extern crate alloc;

mod checksum;
mod connect;
mod error;
mod info;
mod interface;
mod receive;
mod session;
#[cfg(feature = "smoltcp")]
mod stack;
mod transmit;

pub use error::{Error, Violation};
pub use info::{Info, Mac};
pub use interface::{Counters, Interface};
#[cfg(feature = "smoltcp")]
pub use stack::{Phy, RxFrame, TxSlot};

use guest_sdk::abi::io::netif;

/// Slots of either ring, a page each.
const RING_SLOTS: usize = 256;

/// What a front end lends at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Pages to send from: frames under way, 4 KiB each or more of them.
    pub transmit_pages: usize,
    /// Pages to receive into.
    pub receive_pages: usize,
}

impl Default for Options {
    /// 256 KiB to send from, 512 KiB to receive into.
    fn default() -> Self {
        Self { transmit_pages: 64, receive_pages: 128 }
    }
}

impl Options {
    /// The same, within what the largest frame needs and the rings hold.
    fn bounded(self) -> Self {
        let bound = |pages: usize| pages.clamp(netif::NR_SLOTS_MIN as usize, RING_SLOTS);
        Self { transmit_pages: bound(self.transmit_pages), receive_pages: bound(self.receive_pages) }
    }
}
