//! A guest's granted pages, as its disk reaches them.
//!
//! Pages of a guest with persistent grants are mapped once and copied to and from directly. For others the
//! hypervisor copies: cheaper than to map and unmap a page for one use, and it leaves nothing mapped behind. It
//! also does where a mapping is refused, as one for writing is of a page that is lent for reading only.

use guest_sdk::abi::{Domid, Gref};
use guest_sdk::grant::{self, Access, CopyError, Mapping, Place};
use guest_sdk::shared::Memory;

use crate::persistent::Cache;

/// The pages that one guest grants.
#[derive(Debug)]
pub(crate) struct Pages {
    peer: Domid,
    persistent: Option<Cache<Mapping>>,
}

impl Pages {
    /// The pages of `peer`, of which `persistent` are kept mapped if it reuses them.
    pub(crate) fn new(peer: Domid, persistent: Option<usize>) -> Self {
        Self { peer, persistent: persistent.map(Cache::new) }
    }

    /// Whose they are.
    pub(crate) const fn peer(&self) -> Domid {
        self.peer
    }

    /// Copies from a page; the range lies within it.
    pub(crate) fn read(&mut self, gref: Gref, offset: usize, into: &mut [u8]) -> Result<(), CopyError> {
        match self.mapped(gref) {
            Some(page) => page.shared().read_bytes(offset, into),
            None => grant::from_grant(self.place(gref, offset), into)?,
        }
        Ok(())
    }

    /// Copies to a page; the range lies within it.
    pub(crate) fn write(&mut self, gref: Gref, offset: usize, from: &[u8]) -> Result<(), CopyError> {
        match self.mapped(gref) {
            Some(page) => page.shared().write_bytes(offset, from),
            None => grant::to_grant(self.place(gref, offset), from)?,
        }
        Ok(())
    }

    /// The page, if its guest has persistent grants. Those are writable whatever they are used for at first.
    fn mapped(&mut self, gref: Gref) -> Option<&Mapping> {
        let map = || Mapping::new(self.peer, &[gref], Access::ReadWrite);
        self.persistent.as_mut()?.get_or_map(gref, map).ok()
    }

    fn place(&self, gref: Gref, offset: usize) -> Place {
        Place { domid: self.peer, gref, offset: offset as u16 }
    }
}
