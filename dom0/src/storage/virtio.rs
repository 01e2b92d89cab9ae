//! virtio-blk: dom0's own disk.
//!
//! Requests go through buffers that this driver owns, one a slot: a caller's future may be dropped while the
//! device still works, and what is handed in need not be contiguous in physical memory.
// UNSAFETY: the driver crate keeps pointers to a request's buffers between submission and completion. They
// lie in a `Slot`, which stays where it is and is touched by nobody else meanwhile.
#![allow(unsafe_code)]

use alloc::{boxed::Box, rc::Rc, vec::Vec};
use core::{
    cell::{Cell, RefCell},
    future::poll_fn,
    ptr::NonNull,
    task::{Poll, Waker},
};

use guest_sdk::{
    abi::PAGE_SIZE,
    memory::{self, Pages},
};
use virtio_drivers::{
    BufferDirection, Hal, PhysAddr,
    device::blk::{BlkReq, BlkResp, RespStatus, SECTOR_SIZE, VirtIOBlk},
    transport::mmio::MmioTransport,
};

use super::{Disk, DiskError};

/// Requests that the driver crate's queue holds with indirect descriptors.
const SLOTS: usize = 16;

/// Pages of a slot's buffer; a longer request goes in pieces.
const SLOT_PAGES: usize = 16;

/// Bytes of it.
const SLOT_BYTES: usize = SLOT_PAGES * PAGE_SIZE;

/// What the driver crate needs of its surroundings: dom0 is mapped one to one, both as a guest and to the
/// device, so that a guest-physical address is what the device wants.
struct GuestHal;

// SAFETY: `dma_alloc` gives pages of this domain that nobody else has until `dma_dealloc` takes them back;
// `share` gives the address under which the device sees the buffer.
unsafe impl Hal for GuestHal {
    fn dma_alloc(pages: usize, _: BufferDirection) -> (PhysAddr, NonNull<u8>) {
        match Pages::new(pages) {
            Ok(pages) => (pages.address(), pages.into_raw()),
            Err(_) => (0, NonNull::dangling()),
        }
    }

    unsafe fn dma_dealloc(_: PhysAddr, start: NonNull<u8>, pages: usize) -> i32 {
        // SAFETY: the caller gives back what `dma_alloc` made of `Pages`.
        drop(unsafe { Pages::from_raw(start, pages) });
        0
    }

    unsafe fn mmio_phys_to_virt(_: PhysAddr, _: usize) -> NonNull<u8> {
        // Only the PCI transport asks.
        NonNull::dangling()
    }

    unsafe fn share(buffer: NonNull<[u8]>, _: BufferDirection) -> PhysAddr {
        memory::address_of(buffer).unwrap_or(0)
    }

    unsafe fn unshare(_: PhysAddr, _: NonNull<[u8]>, _: BufferDirection) {}
}

/// Which way data goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    FromDisk,
    ToDisk,
}

/// A place for one request.
struct Slot {
    buffer: Pages,
    request: BlkReq,
    response: BlkResp,
    state: State,
    waker: Option<Waker>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Free,
    /// With the device; `abandoned` when nobody waits for it any more.
    Busy {
        token: u16,
        len: usize,
        direction: Direction,
        abandoned: bool,
    },
    Done(Result<(), DiskError>),
}

struct Inner {
    device: VirtIOBlk<GuestHal, MmioTransport<'static>>,
    /// On the heap, so that they stay where they are.
    slots: Box<[Slot]>,
    /// Who waits for a slot, or for all of them.
    queue: Vec<Waker>,
}

impl Inner {
    fn wake_queue(&mut self) {
        for waker in self.queue.drain(..) {
            waker.wake();
        }
    }

    /// Takes a finished request off the device's ring; false when there is none.
    fn complete_one(&mut self) -> bool {
        let Some(used) = self.device.peek_used() else { return false };
        let found =
            self.slots.iter_mut().find(|s| matches!(s.state, State::Busy { token, .. } if token == used));
        let Some(slot) = found else {
            log::error!("vda: the device completed a request that was never made");
            return false;
        };
        let State::Busy { token, len, direction, abandoned } = slot.state else { return false };
        let Some(buffer) = slot.buffer.bytes_mut().get_mut(..len) else { return false };
        // SAFETY: `token` came from submitting exactly this request, buffer and response.
        let result = unsafe {
            match direction {
                Direction::FromDisk => {
                    self.device.complete_read_blocks(token, &slot.request, buffer, &mut slot.response)
                }
                Direction::ToDisk => {
                    self.device.complete_write_blocks(token, &slot.request, buffer, &mut slot.response)
                }
            }
        };
        let ok = result.is_ok() && slot.response.status() == RespStatus::OK;
        slot.state = match (abandoned, ok) {
            (true, _) => State::Free,
            (false, true) => State::Done(Ok(())),
            (false, false) => State::Done(Err(DiskError::Io)),
        };
        if let Some(waker) = slot.waker.take() {
            waker.wake();
        }
        true
    }

    fn submit(
        &mut self,
        index: usize,
        sector: usize,
        len: usize,
        direction: Direction,
    ) -> Result<(), DiskError> {
        let slot = &mut self.slots[index];
        let buffer = slot.buffer.bytes_mut().get_mut(..len).ok_or(DiskError::OutOfRange)?;
        // SAFETY: all three lie in a slot that stays where it is and whose state says Busy until the device has completed it.
        let token = unsafe {
            match direction {
                Direction::FromDisk => {
                    self.device.read_blocks_nb(sector, &mut slot.request, buffer, &mut slot.response)
                }
                Direction::ToDisk => {
                    self.device.write_blocks_nb(sector, &mut slot.request, buffer, &mut slot.response)
                }
            }
        }
        .map_err(|_| DiskError::Io)?;
        slot.state = State::Busy { token, len, direction, abandoned: false };
        Ok(())
    }
}

/// A virtio-blk device; clones are the same device.
#[derive(Clone)]
pub struct VirtioDisk {
    inner: Rc<RefCell<Inner>>,
    len: u64,
    read_only: bool,
    /// A flush wants the ring to itself.
    draining: Rc<Cell<bool>>,
}

impl VirtioDisk {
    /// Starts the device behind `transport`.
    pub fn new(transport: MmioTransport<'static>) -> Result<Self, DiskError> {
        let device = VirtIOBlk::<GuestHal, _>::new(transport).map_err(|_| DiskError::Io)?;
        let (len, read_only) = (device.capacity().saturating_mul(SECTOR_SIZE as u64), device.readonly());
        let slots = (0..SLOTS).map(|_| {
            Ok(Slot {
                buffer: Pages::new(SLOT_PAGES).map_err(|_| DiskError::Io)?,
                request: BlkReq::default(),
                response: BlkResp::default(),
                state: State::Free,
                waker: None,
            })
        });
        let inner = Inner { device, slots: slots.collect::<Result<_, DiskError>>()?, queue: Vec::new() };
        Ok(Self { inner: Rc::new(RefCell::new(inner)), len, read_only, draining: Rc::default() })
    }

    /// Whether the device refuses writes.
    pub fn read_only(&self) -> bool {
        self.read_only
    }

    /// Serves the device's interrupt: finished requests wake who waits for them.
    pub fn handle_interrupt(&self) {
        let mut inner = self.inner.borrow_mut();
        inner.device.ack_interrupt();
        while inner.complete_one() {}
        inner.wake_queue();
    }

    /// Waits for a free slot.
    async fn slot(&self) -> SlotGuard<'_> {
        let index = poll_fn(|cx| {
            let mut inner = self.inner.borrow_mut();
            let free = inner.slots.iter().position(|s| s.state == State::Free);
            match free {
                Some(index) if !self.draining.get() => {
                    inner.slots[index].state = State::Done(Ok(()));
                    Poll::Ready(index)
                }
                _ => {
                    inner.queue.push(cx.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await;
        SlotGuard { disk: self, index }
    }

    fn check(&self, offset: u64, len: usize) -> Result<(), DiskError> {
        let end = offset.checked_add(len as u64).ok_or(DiskError::OutOfRange)?;
        if end > self.len { Err(DiskError::OutOfRange) } else { Ok(()) }
    }
}

/// The sector that `offset` lies in.
fn sector_of(offset: u64) -> Result<usize, DiskError> {
    usize::try_from(offset / SECTOR_SIZE as u64).map_err(|_| DiskError::OutOfRange)
}

/// A slot that is ours until dropped, or until the device is done with it.
struct SlotGuard<'a> {
    disk: &'a VirtioDisk,
    index: usize,
}

impl SlotGuard<'_> {
    fn with<T>(&self, f: impl FnOnce(&mut Slot) -> T) -> T {
        f(&mut self.disk.inner.borrow_mut().slots[self.index])
    }

    async fn run(&self, sector: usize, len: usize, direction: Direction) -> Result<(), DiskError> {
        self.disk.inner.borrow_mut().submit(self.index, sector, len, direction)?;
        poll_fn(|cx| {
            self.with(|slot| match slot.state {
                State::Done(result) => Poll::Ready(result),
                _ => {
                    slot.waker = Some(cx.waker().clone());
                    Poll::Pending
                }
            })
        })
        .await
    }
}

impl Drop for SlotGuard<'_> {
    fn drop(&mut self) {
        let mut inner = self.disk.inner.borrow_mut();
        let slot = &mut inner.slots[self.index];
        slot.waker = None;
        match &mut slot.state {
            State::Busy { abandoned, .. } => *abandoned = true,
            state => *state = State::Free,
        }
        inner.wake_queue();
    }
}

impl Disk for VirtioDisk {
    fn len(&self) -> u64 {
        self.len
    }

    /// Any range: the sectors round it pass through the slot's buffer anyway.
    async fn read_at(&self, mut offset: u64, mut buf: &mut [u8]) -> Result<(), DiskError> {
        self.check(offset, buf.len())?;
        while !buf.is_empty() {
            let skip = usize::try_from(offset % SECTOR_SIZE as u64).unwrap_or(0);
            let take = buf.len().min(SLOT_BYTES - skip);
            let whole = (skip + take).next_multiple_of(SECTOR_SIZE);
            let slot = self.slot().await;
            slot.run(sector_of(offset)?, whole, Direction::FromDisk).await?;
            let (now, rest) = buf.split_at_mut(take);
            slot.with(|s| now.copy_from_slice(&s.buffer.bytes()[skip..skip + take]));
            buf = rest;
            offset += take as u64;
        }
        Ok(())
    }

    /// Whole sectors only.
    async fn write_at(&self, mut offset: u64, buf: &[u8]) -> Result<(), DiskError> {
        self.check(offset, buf.len())?;
        if !offset.is_multiple_of(SECTOR_SIZE as u64) || !buf.len().is_multiple_of(SECTOR_SIZE) {
            return Err(DiskError::OutOfRange);
        }
        for piece in buf.chunks(SLOT_BYTES) {
            let slot = self.slot().await;
            slot.with(|s| s.buffer.bytes_mut()[..piece.len()].copy_from_slice(piece));
            slot.run(sector_of(offset)?, piece.len(), Direction::ToDisk).await?;
            offset += piece.len() as u64;
        }
        Ok(())
    }

    /// The driver crate flushes with the ring to itself and waits on the spot: new requests are held back
    /// until those under way are done.
    async fn flush(&self) -> Result<(), DiskError> {
        let _turn = poll_fn(|cx| {
            if self.draining.replace(true) {
                self.inner.borrow_mut().queue.push(cx.waker().clone());
                return Poll::Pending;
            }
            Poll::Ready(Draining(self))
        })
        .await;
        poll_fn(|cx| {
            let mut inner = self.inner.borrow_mut();
            if inner.slots.iter().any(|s| s.state != State::Free) {
                inner.queue.push(cx.waker().clone());
                return Poll::Pending;
            }
            Poll::Ready(inner.device.flush().map_err(|_| DiskError::Io))
        })
        .await
    }
}

/// Holds new requests back as long as it lives.
struct Draining<'a>(&'a VirtioDisk);

impl Drop for Draining<'_> {
    fn drop(&mut self) {
        self.0.draining.set(false);
        self.0.inner.borrow_mut().wake_queue();
    }
}
