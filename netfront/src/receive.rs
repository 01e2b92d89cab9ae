//! The ring of frames received.

use alloc::vec::Vec;

use guest_sdk::abi::io::netif::{self, rxf};
use guest_sdk::abi::{Domid, Errno, PAGE_SIZE};
use guest_sdk::grant::{Access, Grant};
use guest_sdk::ring::FrontRing;
use guest_sdk::shared::Memory;

use crate::{Violation, checksum};

/// Pages for the back end to copy frames into. A request's id is the number of its page.
#[derive(Debug)]
pub(crate) struct Receive {
    ring: FrontRing<netif::RxRequest, netif::RxResponse, Grant>,
    pages: Grant,
    /// Which pages are the back end's at the moment.
    lent: Vec<bool>,
    partial: Partial,
    /// Frames given up: their sender failed, or left a checksum blank that cannot be filled in.
    pub(crate) dropped: u64,
}

/// The frame of which not all parts are there yet.
#[derive(Debug, Default)]
struct Partial {
    bytes: Vec<u8>,
    slots: u32,
    blank: bool,
    failed: bool,
}

impl Receive {
    /// A ring in which all `pages` pages, at most one for each of its slots, wait for frames.
    pub(crate) fn new(to: Domid, pages: usize) -> Result<Self, Errno> {
        let mut receive = Self {
            ring: FrontRing::new(Grant::of_zeroes(to, 1, Access::ReadWrite)?),
            pages: Grant::of_zeroes(to, pages, Access::ReadWrite)?,
            lent: (0..pages).map(|_| false).collect(),
            partial: Partial::default(),
            dropped: 0,
        };
        for id in 0..pages as u16 {
            receive.lend(id).map_err(|_| Errno::ENOSPC)?;
        }
        // Nobody is connected yet that could be notified.
        let _ = receive.ring.publish();
        Ok(receive)
    }

    /// The page of the ring.
    pub(crate) fn memory(&self) -> &Grant {
        self.ring.memory()
    }

    fn lend(&mut self, id: u16) -> Result<(), Violation> {
        let gref = self.pages.gref_at(usize::from(id) * PAGE_SIZE);
        self.ring.push(&netif::RxRequest { id, pad: 0, gref })?;
        self.lent[usize::from(id)] = true;
        Ok(())
    }

    /// Hands over the pages lent again; says whether to notify the back end.
    pub(crate) fn publish(&mut self) -> bool {
        self.ring.publish()
    }

    /// Takes the next frame. When there is none, the back end is asked to tell of it.
    pub(crate) fn take(&mut self) -> Result<Option<Vec<u8>>, Violation> {
        loop {
            while let Some(response) = self.ring.pop()? {
                if let Some(frame) = self.accept(&response)? {
                    return Ok(Some(frame));
                }
            }
            if !self.ring.arm()? {
                return Ok(None);
            }
        }
    }

    /// Takes one slot; gives the frame that ends with it.
    fn accept(&mut self, response: &netif::RxResponse) -> Result<Option<Vec<u8>>, Violation> {
        let unknown = Violation::UnknownId(response.id);
        let lent = self.lent.get_mut(usize::from(response.id)).ok_or(unknown)?;
        if !core::mem::replace(lent, false) {
            return Err(unknown);
        }
        if response.flags & (rxf::EXTRA_INFO | rxf::GSO_PREFIX) != 0 {
            return Err(Violation::Extra);
        }
        self.append(response)?;
        self.lend(response.id)?;
        if response.flags & rxf::MORE_DATA != 0 {
            return Ok(None);
        }
        let frame = core::mem::take(&mut self.partial).finish();
        self.dropped += u64::from(frame.is_none());
        Ok(frame)
    }

    /// Copies what a slot holds: the only time that these bytes are read.
    fn append(&mut self, response: &netif::RxResponse) -> Result<(), Violation> {
        let partial = &mut self.partial;
        partial.slots += 1;
        if partial.slots > netif::NR_SLOTS_MIN {
            return Err(Violation::Oversized);
        }
        partial.blank |= response.flags & rxf::CSUM_BLANK != 0;
        let (Ok(len), offset) = (usize::try_from(response.status), usize::from(response.offset)) else {
            partial.failed = true;
            return Ok(());
        };
        if offset + len > PAGE_SIZE {
            return Err(Violation::OutsidePage(response.offset, response.status));
        }
        let start = partial.bytes.len();
        if start + len > netif::MAX_TX_SIZE as usize {
            return Err(Violation::Oversized);
        }
        partial.bytes.resize(start + len, 0);
        let page = usize::from(response.id) * PAGE_SIZE;
        self.pages.shared().read_bytes(page + offset, &mut partial.bytes[start..]);
        Ok(())
    }
}

impl Partial {
    /// The frame, if it is one.
    fn finish(mut self) -> Option<Vec<u8>> {
        if self.failed || self.bytes.is_empty() {
            return None;
        }
        if self.blank {
            checksum::complete(&mut self.bytes)?;
        }
        Some(self.bytes)
    }
}
