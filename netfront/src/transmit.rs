//! The ring of frames to send.

use alloc::vec::Vec;

use guest_sdk::abi::io::netif::{self, rsp, txf};
use guest_sdk::abi::{Domid, Errno, PAGE_SIZE};
use guest_sdk::grant::{Access, Grant};
use guest_sdk::ring::FrontRing;
use guest_sdk::shared::Memory;

use crate::Violation;

/// Frames that the back end has not taken yet. A request's id is the number of its page.
#[derive(Debug)]
pub(crate) struct Transmit {
    ring: FrontRing<netif::TxRequest, netif::TxResponse, Grant>,
    /// The back end may read these, and nothing else.
    pages: Grant,
    free: Vec<u16>,
    /// Which pages are the back end's at the moment.
    lent: Vec<bool>,
    /// Slots that the back end could not send.
    pub(crate) failed: u64,
}

impl Transmit {
    /// An empty ring with `pages` pages, at most one for each of its slots.
    pub(crate) fn new(to: Domid, pages: usize) -> Result<Self, Errno> {
        Ok(Self {
            ring: FrontRing::new(Grant::of_zeroes(to, 1, Access::ReadWrite)?),
            pages: Grant::of_zeroes(to, pages, Access::ReadOnly)?,
            free: (0..pages as u16).rev().collect(),
            lent: (0..pages).map(|_| false).collect(),
            failed: 0,
        })
    }

    /// The page of the ring.
    pub(crate) fn memory(&self) -> &Grant {
        self.ring.memory()
    }

    /// Requests without an answer.
    pub(crate) fn in_flight(&self) -> u32 {
        self.ring.in_flight()
    }

    /// Sees to it that a frame of `len` bytes can be put; if it cannot, the back end is asked to tell once it has
    /// taken some.
    pub(crate) fn has_room(&mut self, len: usize) -> Result<bool, Violation> {
        let slots = len.div_ceil(PAGE_SIZE);
        loop {
            self.collect()?;
            if self.free.len() >= slots {
                return Ok(true);
            }
            if !self.ring.arm()? {
                return Ok(false);
            }
        }
    }

    /// Takes the answers that are there.
    pub(crate) fn collect(&mut self) -> Result<(), Violation> {
        while let Some(response) = self.ring.pop()? {
            let unknown = Violation::UnknownId(response.id);
            let lent = self.lent.get_mut(usize::from(response.id)).ok_or(unknown)?;
            if !core::mem::replace(lent, false) {
                return Err(unknown);
            }
            self.free.push(response.id);
            self.failed += u64::from(response.status != rsp::OKAY);
        }
        Ok(())
    }

    /// Asks to be told of the next answer; true when one is there already.
    pub(crate) fn arm(&mut self) -> Result<bool, Violation> {
        Ok(self.ring.arm()?)
    }

    /// Puts a frame for which there is room; says whether to notify the back end.
    pub(crate) fn put(&mut self, frame: &[u8]) -> Result<bool, Violation> {
        let slots = frame.len().div_ceil(PAGE_SIZE);
        for (slot, part) in frame.chunks(PAGE_SIZE).enumerate() {
            let Some(id) = self.free.pop() else { break };
            let offset = usize::from(id) * PAGE_SIZE;
            self.pages.shared().write_bytes(offset, part);
            self.lent[usize::from(id)] = true;
            let flags = if slot + 1 < slots { txf::MORE_DATA } else { 0 };
            // The first slot says how long the whole frame is.
            let size = if slot == 0 { frame.len() } else { part.len() } as u16;
            self.ring.push(&netif::TxRequest {
                gref: self.pages.gref_at(offset),
                offset: 0,
                flags,
                id,
                size,
            })?;
        }
        Ok(self.ring.publish())
    }
}
