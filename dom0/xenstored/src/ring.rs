//! The two byte rings that a domain shares with the store.
//!
//! The page belongs to the domain, which may write anything into it at any time. What the store has produced and
//! consumed is therefore kept here, and the page's copy of it is only ever written.

use core::mem::offset_of;

use xen_abi::io::xs_wire as abi;
use xen_abi::io::xs_wire::DomainInterface as Page;

/// A mapped ring page with its event channel. Nothing in it is stable between two calls.
pub trait RingPage {
    /// Reads an aligned 32-bit field once; later reads of the page are not moved before it.
    fn load(&self, offset: usize) -> u32;
    /// Writes an aligned 32-bit field once; earlier accesses of the page are not moved behind it.
    fn store(&self, offset: usize, value: u32);
    /// Copies bytes out of the page, each read once.
    fn copy_from(&self, offset: usize, to: &mut [u8]);
    /// Copies bytes into the page.
    fn copy_to(&self, offset: usize, from: &[u8]);
    /// Signals the domain.
    fn notify(&self);
}

/// The domain's indices make no sense: the connection cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadIndices;

/// The store's end of a ring page.
#[derive(Debug)]
pub struct Ring<P> {
    page: P,
    req_cons: u32,
    rsp_prod: u32,
    moved: bool,
}

impl<P: RingPage> Ring<P> {
    /// Takes over a page, with the requests that the domain may have put there already.
    pub fn new(page: P) -> Self {
        let req_cons = page.load(offset_of!(Page, req_cons));
        let rsp_prod = page.load(offset_of!(Page, rsp_prod));
        Self { page, req_cons, rsp_prod, moved: false }
    }

    /// Gives the page for a change of its event channel.
    pub fn page_mut(&mut self) -> &mut P {
        &mut self.page
    }

    fn requests(&self) -> Result<usize, BadIndices> {
        let used = self.page.load(offset_of!(Page, req_prod)).wrapping_sub(self.req_cons) as usize;
        if used <= abi::RING_SIZE { Ok(used) } else { Err(BadIndices) }
    }

    fn room(&self) -> Result<usize, BadIndices> {
        let used = self.rsp_prod.wrapping_sub(self.page.load(offset_of!(Page, rsp_cons))) as usize;
        abi::RING_SIZE.checked_sub(used).ok_or(BadIndices)
    }

    /// Tells whether the domain has sent something. Nonsense counts: reading will find it out.
    pub fn has_requests(&self) -> bool {
        self.requests() != Ok(0)
    }

    /// Tells whether the domain can take something.
    pub fn has_room(&self) -> bool {
        self.room() != Ok(0)
    }

    /// Reads what fits and is there.
    pub fn read(&mut self, to: &mut [u8]) -> Result<usize, BadIndices> {
        let count = self.requests()?.min(to.len());
        let start = self.req_cons as usize % abi::RING_SIZE;
        let (head, tail) = to[..count].split_at_mut(count.min(abi::RING_SIZE - start));
        self.page.copy_from(offset_of!(Page, req) + start, head);
        self.page.copy_from(offset_of!(Page, req), tail);
        if count > 0 {
            self.req_cons = self.req_cons.wrapping_add(count as u32);
            self.page.store(offset_of!(Page, req_cons), self.req_cons);
            self.moved = true;
        }
        Ok(count)
    }

    /// Writes what there is room for.
    pub fn write(&mut self, from: &[u8]) -> Result<usize, BadIndices> {
        let count = self.room()?.min(from.len());
        let start = self.rsp_prod as usize % abi::RING_SIZE;
        let (head, tail) = from[..count].split_at(count.min(abi::RING_SIZE - start));
        self.page.copy_to(offset_of!(Page, rsp) + start, head);
        self.page.copy_to(offset_of!(Page, rsp), tail);
        if count > 0 {
            self.rsp_prod = self.rsp_prod.wrapping_add(count as u32);
            self.page.store(offset_of!(Page, rsp_prod), self.rsp_prod);
            self.moved = true;
        }
        Ok(count)
    }

    /// Signals the domain if anything was read or written since the last time.
    pub fn notify_if_moved(&mut self) {
        if core::mem::take(&mut self.moved) {
            self.page.notify();
        }
    }

    /// Empties the ring and tells the domain that it is connected, and to whom.
    pub fn reset(&mut self) {
        for offset in [
            offset_of!(Page, req_cons),
            offset_of!(Page, req_prod),
            offset_of!(Page, rsp_cons),
            offset_of!(Page, rsp_prod),
        ] {
            self.page.store(offset, 0);
        }
        self.req_cons = 0;
        self.rsp_prod = 0;
        self.page.store(
            offset_of!(Page, server_features),
            abi::SERVER_FEATURE_RECONNECTION | abi::SERVER_FEATURE_ERROR,
        );
        self.page.store(offset_of!(Page, error), abi::ERROR_NONE);
        self.page.store(offset_of!(Page, connection), abi::CONNECTED);
        self.page.notify();
    }

    /// Tells whether the domain asks for a new start.
    pub fn wants_reset(&self) -> bool {
        self.page.load(offset_of!(Page, connection)) == abi::RECONNECT
    }

    /// Tells the domain why its connection ended.
    pub fn set_error(&mut self, error: u32) {
        self.page.store(offset_of!(Page, error), error);
        self.page.notify();
    }
}
