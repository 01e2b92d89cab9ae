//! The shared ring of a split driver (Xen's `io/ring.h`), typed.
//!
//! One page, or several side by side, holds four free-running indices and a power of two of
//! slots. The front end puts requests in, the back end takes them out and puts responses into the
//! same slots. [`FrontRing`] and [`BackRing`] keep their own indices privately: what the peer
//! writes is only ever its producer index, which is checked, and slots, which are copied once.
//!
//! Both ends work alike: `push` any number of entries, `publish` them and notify the peer if told
//! so; `pop` entries until there is none, then `arm` and, if that says more came, start over.

use core::{
    marker::PhantomData,
    mem::{align_of, offset_of, size_of},
    sync::atomic::{Ordering, fence},
};

use xen_abi::io::ring::{self, SringHeader};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::shared::Memory;

/// What is wrong with a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RingError {
    /// All slots are in use.
    Full,
    /// The peer's producer index is ahead of what the ring can hold: the peer is broken or
    /// hostile, and the connection is to be closed.
    BadIndex,
}

impl core::fmt::Display for RingError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Full => "ring full",
            Self::BadIndex => "peer's ring index out of range",
        })
    }
}

impl core::error::Error for RingError {}

const REQ_PROD: usize = offset_of!(SringHeader, req_prod);
const REQ_EVENT: usize = offset_of!(SringHeader, req_event);
const RSP_PROD: usize = offset_of!(SringHeader, rsp_prod);
const RSP_EVENT: usize = offset_of!(SringHeader, rsp_event);

/// Where the slots of a ring lie: the same for both ends.
#[derive(Debug)]
struct Layout<Req, Rsp> {
    size: u32,
    types: PhantomData<fn(Req) -> Rsp>,
}

impl<Req, Rsp> Layout<Req, Rsp> {
    /// Bytes of a slot: that of a C union of the two.
    const SLOT: usize = {
        let (a, b) = (size_of::<Req>(), size_of::<Rsp>());
        let (c, d) = (align_of::<Req>(), align_of::<Rsp>());
        let size = if a > b { a } else { b };
        let align = if c > d { c } else { d };
        size.next_multiple_of(align)
    };

    fn of(bytes: usize) -> Self {
        let size = ring::entries(bytes, Self::SLOT);
        assert!(size > 0, "no room for a ring in {bytes} bytes");
        Self { size, types: PhantomData }
    }

    fn slot(&self, index: u32) -> usize {
        ring::entry_offset(index, self.size, Self::SLOT)
    }
}

/// The end that makes requests.
#[derive(Debug)]
pub struct FrontRing<Req, Rsp, M> {
    memory: M,
    layout: Layout<Req, Rsp>,
    /// Requests written, published or not.
    req_prod: u32,
    /// Requests published.
    req_published: u32,
    /// Responses taken.
    rsp_cons: u32,
}

impl<Req, Rsp, M> FrontRing<Req, Rsp, M>
where
    Req: IntoBytes + Immutable,
    Rsp: FromBytes + IntoBytes,
    M: Memory,
{
    /// Makes an empty ring in `memory`, whose contents are lost.
    pub fn new(memory: M) -> Self {
        let m = memory.shared();
        let layout = Layout::of(m.len());
        m.zero(0, m.len());
        m.write(0, &SringHeader::INIT);
        Self { memory, layout, req_prod: 0, req_published: 0, rsp_cons: 0 }
    }

    /// Its slots.
    pub fn size(&self) -> u32 {
        self.layout.size
    }

    /// Requests that fit now.
    pub fn free(&self) -> u32 {
        self.size() - self.in_flight()
    }

    /// Requests that are not answered yet.
    pub fn in_flight(&self) -> u32 {
        self.req_prod.wrapping_sub(self.rsp_cons)
    }

    /// Writes a request. The peer may see it from the next [`publish`](Self::publish) on.
    ///
    /// # Errors
    ///
    /// [`RingError::Full`].
    pub fn push(&mut self, request: &Req) -> Result<(), RingError> {
        if self.free() == 0 {
            return Err(RingError::Full);
        }
        let slot = self.layout.slot(self.req_prod);
        self.memory.shared().write(slot, request);
        self.req_prod = self.req_prod.wrapping_add(1);
        Ok(())
    }

    /// Hands over what was pushed; true when the peer is to be notified.
    #[must_use = "the peer waits for a notification when this is true"]
    pub fn publish(&mut self) -> bool {
        let m = self.memory.shared();
        let (old, new) = (self.req_published, self.req_prod);
        self.req_published = new;
        m.store_u32(REQ_PROD, new, Ordering::Release);
        fence(Ordering::SeqCst);
        ring::notify_needed(old, new, m.load_u32(REQ_EVENT, Ordering::Relaxed))
    }

    /// Takes the next response, if there is one.
    ///
    /// # Errors
    ///
    /// [`RingError::BadIndex`] when the peer claims to have answered more than it was asked.
    pub fn pop(&mut self) -> Result<Option<Rsp>, RingError> {
        if self.available()? == 0 {
            return Ok(None);
        }
        let slot = self.layout.slot(self.rsp_cons);
        let response = self.memory.shared().read(slot);
        self.rsp_cons = self.rsp_cons.wrapping_add(1);
        Ok(Some(response))
    }

    fn available(&self) -> Result<u32, RingError> {
        let prod = self.memory.shared().load_u32(RSP_PROD, Ordering::Acquire);
        let n = ring::unconsumed(prod, self.rsp_cons);
        if n > self.req_published.wrapping_sub(self.rsp_cons) {
            return Err(RingError::BadIndex);
        }
        Ok(n)
    }

    /// Asks to be notified of the next response; true when one is there already.
    ///
    /// # Errors
    ///
    /// [`RingError::BadIndex`], as [`pop`](Self::pop).
    pub fn arm(&mut self) -> Result<bool, RingError> {
        let m = self.memory.shared();
        m.store_u32(RSP_EVENT, self.rsp_cons.wrapping_add(1), Ordering::Relaxed);
        fence(Ordering::SeqCst);
        Ok(self.available()? > 0)
    }

    /// What the ring lies in.
    pub fn memory(&self) -> &M {
        &self.memory
    }

    /// Gives up the ring.
    pub fn into_memory(self) -> M {
        self.memory
    }
}

/// The end that answers requests.
#[derive(Debug)]
pub struct BackRing<Req, Rsp, M> {
    memory: M,
    layout: Layout<Req, Rsp>,
    /// Requests taken.
    req_cons: u32,
    /// Responses written, published or not.
    rsp_prod: u32,
    /// Responses published.
    rsp_published: u32,
}

impl<Req, Rsp, M> BackRing<Req, Rsp, M>
where
    Req: FromBytes + IntoBytes,
    Rsp: IntoBytes + Immutable,
    M: Memory,
{
    /// Joins a ring that a front end made, with all it has published so far unanswered from the
    /// last response on.
    ///
    /// # Errors
    ///
    /// [`RingError::BadIndex`] when the indices found there are impossible.
    pub fn attach(memory: M) -> Result<Self, RingError> {
        let m = memory.shared();
        let done = m.load_u32(RSP_PROD, Ordering::Acquire);
        let layout = Layout::of(m.len());
        let ring = Self { memory, layout, req_cons: done, rsp_prod: done, rsp_published: done };
        ring.available()?;
        Ok(ring)
    }

    /// Its slots.
    pub fn size(&self) -> u32 {
        self.layout.size
    }

    /// Requests taken and not answered yet.
    pub fn in_flight(&self) -> u32 {
        self.req_cons.wrapping_sub(self.rsp_prod)
    }

    fn available(&self) -> Result<u32, RingError> {
        let prod = self.memory.shared().load_u32(REQ_PROD, Ordering::Acquire);
        // The second test also finds a producer that moved back behind what was taken.
        if ring::prod_overflow(self.size(), prod, self.rsp_prod)
            || ring::prod_overflow(self.size(), prod, self.req_cons)
        {
            return Err(RingError::BadIndex);
        }
        Ok(ring::unconsumed(prod, self.req_cons))
    }

    /// Takes a copy of the next request, if there is one.
    ///
    /// # Errors
    ///
    /// [`RingError::BadIndex`] when the peer claims more requests than the ring holds.
    pub fn pop(&mut self) -> Result<Option<Req>, RingError> {
        if self.available()? == 0 {
            return Ok(None);
        }
        let slot = self.layout.slot(self.req_cons);
        let request = self.memory.shared().read(slot);
        self.req_cons = self.req_cons.wrapping_add(1);
        Ok(Some(request))
    }

    /// Asks to be notified of the next request; true when one is there already.
    ///
    /// # Errors
    ///
    /// [`RingError::BadIndex`], as [`pop`](Self::pop).
    pub fn arm(&mut self) -> Result<bool, RingError> {
        let m = self.memory.shared();
        m.store_u32(REQ_EVENT, self.req_cons.wrapping_add(1), Ordering::Relaxed);
        fence(Ordering::SeqCst);
        Ok(self.available()? > 0)
    }

    /// Writes a response. The peer may see it from the next [`publish`](Self::publish) on.
    ///
    /// # Errors
    ///
    /// [`RingError::Full`] when there is no request left to answer.
    pub fn push(&mut self, response: &Rsp) -> Result<(), RingError> {
        if self.in_flight() == 0 {
            return Err(RingError::Full);
        }
        let slot = self.layout.slot(self.rsp_prod);
        self.memory.shared().write(slot, response);
        self.rsp_prod = self.rsp_prod.wrapping_add(1);
        Ok(())
    }

    /// Hands over what was pushed; true when the peer is to be notified.
    #[must_use = "the peer waits for a notification when this is true"]
    pub fn publish(&mut self) -> bool {
        let m = self.memory.shared();
        let (old, new) = (self.rsp_published, self.rsp_prod);
        self.rsp_published = new;
        m.store_u32(RSP_PROD, new, Ordering::Release);
        fence(Ordering::SeqCst);
        ring::notify_needed(old, new, m.load_u32(RSP_EVENT, Ordering::Relaxed))
    }

    /// What the ring lies in.
    pub fn memory(&self) -> &M {
        &self.memory
    }

    /// Gives up the ring.
    pub fn into_memory(self) -> M {
        self.memory
    }
}

#[cfg(test)]
mod tests;
