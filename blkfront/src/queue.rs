//! The ring and what is under way in it.
//!
//! What the back end writes is believed only as far as this module can check it against its own records: an
//! answer must name a request that is under way, and its operation. Everything else breaks the connection.

use alloc::vec::Vec;
use core::fmt;
use core::task::{Context, Poll, Waker};

use guest_sdk::abi::io::blkif::{self, op, rsp};
use guest_sdk::abi::{Errno, PAGE_SIZE};
use guest_sdk::grant::Grant;
use guest_sdk::ring::{FrontRing, RingError};
use zerocopy::IntoBytes;

use crate::pool::{Page, Pool};

/// What a back end did that none may do. The connection ends with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// It claims to have answered more than it was asked.
    BadIndex,
    /// It answered a request that is not under way.
    UnknownId(u64),
    /// It answered with another operation than it was asked for.
    WrongOperation(u8),
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadIndex => f.write_str("response index out of range"),
            Self::UnknownId(id) => write!(f, "answer to request {id:#x}, which is not under way"),
            Self::WrongOperation(op) => write!(f, "answer with operation {op}, which was not asked for"),
        }
    }
}

impl From<RingError> for Violation {
    fn from(_: RingError) -> Self {
        Self::BadIndex
    }
}

/// What the back end said of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done,
    Failed,
    Unsupported,
}

impl From<i16> for Outcome {
    fn from(status: i16) -> Self {
        match status {
            rsp::OKAY => Self::Done,
            rsp::EOPNOTSUPP => Self::Unsupported,
            _ => Self::Failed,
        }
    }
}

/// A request to be made. Lengths are whole sectors and fit in one request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Order<'a> {
    Read { sector: u64, len: usize },
    Write { sector: u64, data: &'a [u8] },
    Flush,
    Barrier,
    Discard { sector: u64, count: u64, secure: bool },
}

impl Order<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Read { len, .. } => *len,
            Self::Write { data, .. } => data.len(),
            _ => 0,
        }
    }

    fn operation(&self) -> u8 {
        match self {
            Self::Read { .. } => op::READ,
            Self::Write { .. } => op::WRITE,
            Self::Flush => op::FLUSH_DISKCACHE,
            Self::Barrier => op::WRITE_BARRIER,
            Self::Discard { .. } => op::DISCARD,
        }
    }

    fn sector(&self) -> u64 {
        match self {
            Self::Read { sector, .. } | Self::Write { sector, .. } => *sector,
            _ => 0,
        }
    }
}

/// Names a slot, from `submit` to `release`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SlotId(u16);

#[derive(Debug, Default)]
enum Stage {
    #[default]
    Free,
    /// Asked; somebody waits for the answer.
    Asked(Option<Waker>),
    /// Asked; nobody waits any more.
    Abandoned,
    /// Answered; the data is still in the pages.
    Answered(Outcome),
}

#[derive(Debug, Default)]
struct Slot {
    stage: Stage,
    operation: u8,
    /// Data pages in order, and after them the one that lists the others in an indirect request.
    pages: Vec<Page>,
}

/// The requests of one connection.
#[derive(Debug)]
pub(crate) struct Queue {
    ring: FrontRing<blkif::Request, blkif::Response, Grant>,
    pool: Pool,
    handle: u16,
    slots: Vec<Slot>,
    free: Vec<SlotId>,
}

impl Queue {
    /// An empty ring in `memory`, for the disk that the back end knows as `handle`.
    pub(crate) fn new(memory: Grant, pool: Pool, handle: u16) -> Self {
        let ring = FrontRing::new(memory);
        let slots = (0..ring.size()).map(|_| Slot::default()).collect();
        let free = (0..ring.size() as u16).rev().map(SlotId).collect();
        Self { ring, pool, handle, slots, free }
    }

    /// The pages of the ring.
    pub(crate) fn memory(&self) -> &Grant {
        self.ring.memory()
    }

    /// Makes a request if there is room for it now. Says where its answer will be, and whether the back end is
    /// to be notified.
    ///
    /// # Errors
    ///
    /// There will never be pages enough.
    pub(crate) fn submit(&mut self, order: &Order) -> Result<Option<(SlotId, bool)>, Errno> {
        let data_pages = order.len().div_ceil(PAGE_SIZE);
        let indirect = data_pages > blkif::MAX_SEGMENTS_PER_REQUEST;
        if self.free.is_empty() || !self.pool.reserve(data_pages + usize::from(indirect))? {
            return Ok(None);
        }
        let Some(id) = self.free.pop() else {
            return Ok(None);
        };
        let slot = &mut self.slots[usize::from(id.0)];
        slot.stage = Stage::Asked(None);
        slot.operation = order.operation();
        slot.pages.extend((0..data_pages + usize::from(indirect)).map_while(|_| self.pool.take()));
        if let Order::Write { data, .. } = order {
            for (page, bytes) in slot.pages.iter().zip(data.chunks(PAGE_SIZE)) {
                self.pool.write(page, bytes);
            }
        }
        let request = if indirect { self.indirect(id, order) } else { self.direct(id, order) };
        // There is a slot of ours for each of the ring.
        self.ring.push(&request).map_err(|_| Errno::ENOSPC)?;
        Ok(Some((id, self.ring.publish())))
    }

    fn direct(&self, id: SlotId, order: &Order) -> blkif::Request {
        if let Order::Discard { sector, count, secure } = *order {
            return widen(&blkif::RequestDiscard {
                operation: op::DISCARD,
                flag: if secure { blkif::DISCARD_SECURE } else { 0 },
                handle: self.handle,
                id: id.0.into(),
                sector_number: sector,
                nr_sectors: count,
                ..Default::default()
            });
        }
        let mut request = blkif::Request {
            operation: order.operation(),
            handle: self.handle,
            id: id.0.into(),
            sector_number: order.sector(),
            ..Default::default()
        };
        for (to, segment) in request.seg.iter_mut().zip(self.segments(id, order.len())) {
            *to = segment;
            request.nr_segments += 1;
        }
        request
    }

    fn indirect(&self, id: SlotId, order: &Order) -> blkif::Request {
        let segments: Vec<blkif::Segment> = self.segments(id, order.len()).collect();
        let mut request = blkif::RequestIndirect {
            operation: op::INDIRECT,
            indirect_op: order.operation(),
            nr_segments: segments.len() as u16,
            handle: self.handle,
            id: id.0.into(),
            sector_number: order.sector(),
            ..Default::default()
        };
        if let Some(list) = self.slots[usize::from(id.0)].pages.get(segments.len()) {
            self.pool.write(list, segments.as_bytes());
            request.indirect_grefs[0] = list.gref();
        }
        widen(&request)
    }

    /// The parts of a request's pages that hold `len` bytes of data.
    fn segments(&self, id: SlotId, len: usize) -> impl Iterator<Item = blkif::Segment> + '_ {
        let pages = self.slots[usize::from(id.0)].pages.iter();
        pages.zip((0..len).step_by(PAGE_SIZE)).map(move |(page, offset)| {
            let sectors = (len - offset).min(PAGE_SIZE) / blkif::SECTOR_SIZE;
            blkif::Segment { gref: page.gref(), first_sect: 0, last_sect: (sectors - 1) as u8, pad: 0 }
        })
    }

    /// Takes all answers that are there, and asks to be told of the next.
    ///
    /// # Errors
    ///
    /// The back end broke the protocol.
    pub(crate) fn collect(&mut self) -> Result<(), Violation> {
        loop {
            while let Some(response) = self.ring.pop()? {
                self.accept(&response)?;
            }
            if !self.ring.arm()? {
                return Ok(());
            }
        }
    }

    fn accept(&mut self, response: &blkif::Response) -> Result<(), Violation> {
        let unknown = Violation::UnknownId(response.id);
        let id = SlotId(u16::try_from(response.id).map_err(|_| unknown)?);
        let slot = self.slots.get_mut(usize::from(id.0)).ok_or(unknown)?;
        if !matches!(slot.stage, Stage::Asked(_) | Stage::Abandoned) {
            return Err(unknown);
        }
        if response.operation != slot.operation {
            return Err(Violation::WrongOperation(response.operation));
        }
        match core::mem::replace(&mut slot.stage, Stage::Answered(response.status.into())) {
            Stage::Asked(Some(waker)) => waker.wake(),
            Stage::Abandoned => self.recycle(id),
            _ => {}
        }
        Ok(())
    }

    /// Requests without an answer.
    pub(crate) fn in_flight(&self) -> u32 {
        self.ring.in_flight()
    }

    /// What the answer was, once it is there.
    pub(crate) fn poll(&mut self, id: SlotId, cx: &mut Context<'_>) -> Poll<Outcome> {
        match &mut self.slots[usize::from(id.0)].stage {
            Stage::Answered(outcome) => Poll::Ready(*outcome),
            stage => {
                *stage = Stage::Asked(Some(cx.waker().clone()));
                Poll::Pending
            }
        }
    }

    /// Copies the data of an answered read.
    pub(crate) fn copy_out(&self, id: SlotId, into: &mut [u8]) {
        let pages = &self.slots[usize::from(id.0)].pages;
        for (page, bytes) in pages.iter().zip(into.chunks_mut(PAGE_SIZE)) {
            self.pool.read(page, bytes);
        }
    }

    /// Ends the use of a slot, answered or not. One that is not yet is free only when the answer is there: until
    /// then its pages are the back end's.
    pub(crate) fn release(&mut self, id: SlotId) {
        let slot = &mut self.slots[usize::from(id.0)];
        match slot.stage {
            Stage::Asked(_) => slot.stage = Stage::Abandoned,
            Stage::Answered(_) => self.recycle(id),
            Stage::Free | Stage::Abandoned => {}
        }
    }

    fn recycle(&mut self, id: SlotId) {
        let slot = &mut self.slots[usize::from(id.0)];
        slot.stage = Stage::Free;
        slot.pages.drain(..).rev().for_each(|page| self.pool.put(page));
        self.free.push(id);
    }

    /// Wakes everybody who waits for an answer: none will come.
    pub(crate) fn wake_all(&mut self) {
        for slot in &mut self.slots {
            if let Stage::Asked(waker) = &mut slot.stage
                && let Some(waker) = waker.take()
            {
                waker.wake();
            }
        }
    }
}

/// A whole ring entry that begins with `request`; the rest is zero.
fn widen<T: IntoBytes + zerocopy::Immutable>(request: &T) -> blkif::Request {
    let mut entry = blkif::Request::default();
    let bytes = request.as_bytes();
    entry.as_mut_bytes()[..bytes.len()].copy_from_slice(bytes);
    entry
}
