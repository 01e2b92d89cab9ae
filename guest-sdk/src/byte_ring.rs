//! Byte streams through a shared page, as the console and the xenstore connection use them.
//!
//! Each direction is a power of two of bytes with a free-running producer and consumer index.
//! [`Producer`] and [`Consumer`] are the two ends of one direction; a page carries two directions,
//! so that its two users hold one of each. Indices of our own are kept privately, the peer's are
//! checked at each use.
//!
//! Neither end notifies: after anything was moved the caller does, by its event channel.

use core::{
    mem::offset_of,
    sync::atomic::{Ordering, fence},
};

use xen_abi::io::{
    console::{self, XenconsInterface},
    xs_wire::{self, DomainInterface},
};

use crate::{ring::RingError, shared::Memory};

/// Where one direction lies in its page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Direction {
    /// Offset of the bytes.
    pub data: usize,
    /// How many there are: a power of two.
    pub size: u32,
    /// Offset of the consumer index.
    pub cons: usize,
    /// Offset of the producer index.
    pub prod: usize,
}

macro_rules! direction {
    ($page:ident, $data:ident[$size:expr], $cons:ident, $prod:ident) => {
        Direction {
            data: offset_of!($page, $data),
            size: $size as u32,
            cons: offset_of!($page, $cons),
            prod: offset_of!($page, $prod),
        }
    };
}

impl Direction {
    /// From guest to store.
    pub const STORE_REQUESTS: Self = direction!(DomainInterface, req[xs_wire::RING_SIZE], req_cons, req_prod);
    /// From store to guest.
    pub const STORE_REPLIES: Self = direction!(DomainInterface, rsp[xs_wire::RING_SIZE], rsp_cons, rsp_prod);
    /// To the guest: what was typed.
    pub const CONSOLE_IN: Self = direction!(XenconsInterface, input[console::IN_SIZE], in_cons, in_prod);
    /// From the guest: what it prints.
    pub const CONSOLE_OUT: Self = direction!(XenconsInterface, output[console::OUT_SIZE], out_cons, out_prod);

    /// Splits `len` bytes from `index` on at the end of the buffer: offset and length of the
    /// first part; the second begins at `data`.
    fn split(&self, index: u32, len: usize) -> (usize, usize) {
        let at = index & (self.size - 1);
        (self.data + at as usize, len.min((self.size - at) as usize))
    }
}

/// The end of a direction that puts bytes in.
#[derive(Debug)]
pub struct Producer<M> {
    memory: M,
    ring: Direction,
    prod: u32,
}

impl<M: Memory> Producer<M> {
    /// Takes up the stream where the page says it stands.
    pub fn new(memory: M, ring: Direction) -> Self {
        let prod = memory.shared().load_u32(ring.prod, Ordering::Relaxed);
        Self { memory, ring, prod }
    }

    /// Bytes that fit now.
    ///
    /// # Errors
    ///
    /// [`RingError::BadIndex`] when the consumer's index is impossible.
    pub fn free(&self) -> Result<usize, RingError> {
        let cons = self.memory.shared().load_u32(self.ring.cons, Ordering::Acquire);
        let used = self.prod.wrapping_sub(cons);
        match self.ring.size.checked_sub(used) {
            Some(free) => Ok(free as usize),
            None => Err(RingError::BadIndex),
        }
    }

    /// Puts in as many of `bytes` as fit; says how many. The peer is to be notified if any.
    ///
    /// # Errors
    ///
    /// As [`free`](Self::free).
    pub fn write(&mut self, bytes: &[u8]) -> Result<usize, RingError> {
        let bytes = &bytes[..bytes.len().min(self.free()?)];
        if bytes.is_empty() {
            return Ok(0);
        }
        // The consumer has read what was here: it moved its index after that.
        fence(Ordering::SeqCst);
        let m = self.memory.shared();
        let (at, first) = self.ring.split(self.prod, bytes.len());
        m.write_bytes(at, &bytes[..first]);
        m.write_bytes(self.ring.data, &bytes[first..]);
        self.prod = self.prod.wrapping_add(bytes.len() as u32);
        m.store_u32(self.ring.prod, self.prod, Ordering::Release);
        Ok(bytes.len())
    }

    /// Whether the consumer has taken everything.
    pub fn is_drained(&self) -> bool {
        let m = self.memory.shared();
        m.load_u32(self.ring.cons, Ordering::Acquire) == self.prod
    }
}

/// The end of a direction that takes bytes out.
#[derive(Debug)]
pub struct Consumer<M> {
    memory: M,
    ring: Direction,
    cons: u32,
}

impl<M: Memory> Consumer<M> {
    /// Takes up the stream where the page says it stands.
    pub fn new(memory: M, ring: Direction) -> Self {
        let cons = memory.shared().load_u32(ring.cons, Ordering::Relaxed);
        Self { memory, ring, cons }
    }

    /// Bytes that are there now.
    ///
    /// # Errors
    ///
    /// [`RingError::BadIndex`] when the producer's index is impossible.
    pub fn available(&self) -> Result<usize, RingError> {
        let prod = self.memory.shared().load_u32(self.ring.prod, Ordering::Acquire);
        let n = prod.wrapping_sub(self.cons);
        if n > self.ring.size {
            return Err(RingError::BadIndex);
        }
        Ok(n as usize)
    }

    /// Takes out what is there, as far as `into` holds it; says how much. The peer is to be
    /// notified if any.
    ///
    /// # Errors
    ///
    /// As [`available`](Self::available).
    pub fn read(&mut self, into: &mut [u8]) -> Result<usize, RingError> {
        let len = into.len().min(self.available()?);
        if len == 0 {
            return Ok(0);
        }
        let m = self.memory.shared();
        let (at, first) = self.ring.split(self.cons, len);
        m.read_bytes(at, &mut into[..first]);
        m.read_bytes(self.ring.data, &mut into[first..len]);
        self.cons = self.cons.wrapping_add(len as u32);
        m.store_u32(self.ring.cons, self.cons, Ordering::Release);
        Ok(len)
    }
}

#[cfg(test)]
mod tests;
