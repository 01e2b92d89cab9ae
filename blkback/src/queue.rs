//! The data path of one disk: requests out of the ring, data between guest and store, answers into the ring.
//!
//! Data is copied: out of the guest's pages before the store sees it, into them once the store is done. So no
//! grant stays mapped for a request, and what a guest changes meanwhile is its own loss. Requests are answered as
//! the store completes them, in any order but around barriers.

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::fmt;
use core::future::Future;
use core::pin::Pin;

use futures_util::future::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};
use guest_sdk::abi::Domid;
use guest_sdk::abi::io::blkif::{self, rsp};
use guest_sdk::event::Port;
use guest_sdk::exec::{race, yield_now};
use guest_sdk::grant::Mapping;
use guest_sdk::ring::{BackRing, RingError};
use log::Level;
use zerocopy::{FromZeros, IntoBytes};

use crate::connect::Connection;
use crate::pages::Pages;
use crate::reports::Reports;
use crate::request::{self, Action, Indirect, Kind, Refusal, Rules, Segment, Tag, Transfer};
use crate::store::{Store, StoreError};

/// Pages that one disk moves before others get their turn.
const PAGES_PER_TURN: usize = 128;

/// Of requests that name a page which their guest does not lend.
const BAD_PAGE: &str = "a granted page can be neither mapped nor copied";

/// What a disk may keep busy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of data under way between ring and store. One request is always let through.
    pub bytes_in_flight: usize,
    /// Persistent grants kept mapped.
    pub persistent_grants: usize,
    /// Most segments of an indirect request; 0 for none at all. At most 4096.
    pub indirect_segments: u16,
    /// Most pages of a ring, as a power of two.
    pub ring_page_order: u32,
}

impl Default for Limits {
    /// 2 MiB under way, as many persistent grants as Linux keeps, indirect requests of 256 KiB, rings of 8 pages.
    fn default() -> Self {
        Self { bytes_in_flight: 2 << 20, persistent_grants: 1056, indirect_segments: 64, ring_page_order: 3 }
    }
}

/// What a disk has done since it was connected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Requests taken from the ring.
    pub requests: u64,
    /// Of those, the ones refused or failed.
    pub failed: u64,
    /// Bytes read for the guest.
    pub bytes_read: u64,
    /// Bytes written for it.
    pub bytes_written: u64,
    /// Events sent to it.
    pub notifications: u64,
}

impl fmt::Display for Statistics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { requests, failed, bytes_read, bytes_written, notifications } = self;
        write!(
            f,
            "{requests} requests, {failed} failed, {bytes_read} bytes read, {bytes_written} written, \
             {notifications} events"
        )
    }
}

/// One request under way in the store.
struct Job {
    tag: Tag,
    /// What to do in the guest's memory when the store is done.
    segments: Vec<Segment>,
    kind: Option<Kind>,
    data: Vec<u8>,
    result: Result<(), StoreError>,
}

type Work = Pin<Box<dyn Future<Output = Job>>>;

/// A connected ring and the requests under way.
pub(crate) struct Queue<S> {
    ring: BackRing<blkif::Request, blkif::Response, Mapping>,
    port: Rc<Port>,
    pages: Pages,
    reports: Reports,
    store: Rc<S>,
    rules: Rules,
    limits: Limits,
    work: FuturesUnordered<Work>,
    bytes_in_flight: usize,
    /// Taken from the ring, and waiting for what is under way.
    held: Option<(Tag, Transfer)>,
    /// What is under way is a barrier: nothing may overtake it.
    fenced: bool,
    /// Buffers to be used again.
    spare: Vec<Vec<u8>>,
    statistics: Statistics,
}

impl<S: Store + 'static> Queue<S> {
    /// Serves `peer`, connected by `connection`, from `store`.
    pub(crate) fn new(
        connection: Connection,
        peer: Domid,
        reports: Reports,
        store: Rc<S>,
        rules: Rules,
        limits: Limits,
    ) -> Self {
        let persistent = connection.persistent.then_some(limits.persistent_grants);
        Self {
            ring: connection.ring,
            port: Rc::new(connection.port),
            pages: Pages::new(peer, persistent),
            reports,
            store,
            rules,
            limits,
            work: FuturesUnordered::new(),
            bytes_in_flight: 0,
            held: None,
            fenced: false,
            spare: Vec::new(),
            statistics: Statistics::default(),
        }
    }

    /// Serves requests until the guest breaks its ring. Dropping the future loses nothing: it can be started
    /// again.
    pub(crate) async fn serve(&mut self) -> RingError {
        loop {
            match self.turn() {
                Err(error) => return error,
                Ok(Next::Again) => yield_now().await,
                Ok(Next::Completion) => self.completion().await,
                Ok(Next::Either) => {
                    let port = self.port.clone();
                    race(port.wait(), self.completion()).await;
                }
            }
        }
    }

    /// Lets what is under way come to its end, without answers.
    pub(crate) async fn drain(&mut self) {
        while self.work.next().await.is_some() {}
    }

    /// What was done so far.
    pub(crate) const fn statistics(&self) -> Statistics {
        self.statistics
    }

    /// Waits for a completion and handles it.
    async fn completion(&mut self) {
        match self.work.next().await {
            Some(job) => self.finish(job),
            None => core::future::pending().await,
        }
    }

    /// Does what can be done now, within the turn's bounds, and hands over all answers at once.
    fn turn(&mut self) -> Result<Next, RingError> {
        self.finish_completed();
        let more = self.take_requests()?;
        self.finish_completed();
        if self.ring.publish() {
            self.statistics.notifications += 1;
            // A guest that is gone takes no events; that it is gone is seen in xenstore.
            if let Err(error) = self.port.notify() {
                log::debug!("blkback: notifying {}: {error}", self.pages.peer());
            }
        }
        Ok(match more {
            _ if self.held.is_some() && self.may_start_held() => Next::Again,
            _ if self.is_held() => Next::Completion,
            true => Next::Again,
            false if self.ring.arm()? => Next::Again,
            false => Next::Either,
        })
    }

    fn is_held(&self) -> bool {
        self.fenced || self.held.is_some()
    }

    fn finish_completed(&mut self) {
        while let Some(Some(job)) = self.work.next().now_or_never() {
            self.finish(job);
        }
    }

    /// Starts requests until there is none, one has to wait, or the turn is over. Says whether it is the latter.
    fn take_requests(&mut self) -> Result<bool, RingError> {
        let mut left = PAGES_PER_TURN;
        if let Some((tag, transfer)) = self.held.take() {
            self.start(tag, transfer);
        }
        while left > 0 && !self.is_held() {
            let Some(raw) = self.ring.pop()? else {
                return Ok(false);
            };
            self.statistics.requests += 1;
            left = left.saturating_sub(1 + self.take(&raw));
        }
        Ok(left == 0)
    }

    /// Starts one request or refuses it. Says how many pages it moves.
    fn take(&mut self, raw: &blkif::Request) -> usize {
        let decoded = request::decode(raw, &self.rules);
        let resolved = decoded.and_then(|(tag, action)| match action {
            Action::Indirect(indirect) => {
                self.resolve(tag, &indirect).map(|transfer| (tag, Action::Transfer(transfer)))
            }
            action => Ok((tag, action)),
        });
        match resolved {
            Err(refusal) => {
                self.refuse(&refusal);
                0
            }
            Ok((tag, Action::Transfer(transfer))) => {
                let pages = transfer.segments.len();
                self.start(tag, transfer);
                pages
            }
            Ok((tag, action)) => {
                self.start_control(tag, action);
                0
            }
        }
    }

    /// Reads the segments of an indirect request, each page once.
    fn resolve(&mut self, tag: Tag, indirect: &Indirect) -> Result<Transfer, Refusal> {
        let mut segments = Vec::new();
        segments.resize_with(indirect.count(), blkif::Segment::new_zeroed);
        let chunks = segments.chunks_mut(blkif::SEGMENTS_PER_INDIRECT_PAGE);
        for (&gref, chunk) in indirect.pages().iter().zip(chunks) {
            self.pages.read(gref, 0, chunk.as_mut_bytes()).map_err(|_| Refusal {
                tag,
                status: rsp::ERROR,
                why: BAD_PAGE,
            })?;
        }
        indirect.resolve(tag, &segments, &self.rules)
    }

    /// Starts a transfer, or holds it until there is room for it.
    fn start(&mut self, tag: Tag, transfer: Transfer) {
        if !self.may_start(&transfer) {
            self.held = Some((tag, transfer));
            return;
        }
        match self.prepare(&transfer) {
            Err(why) => self.refuse(&Refusal { tag, status: rsp::ERROR, why }),
            Ok(data) => {
                self.bytes_in_flight += data.len();
                self.fenced = transfer.kind == Kind::Barrier;
                self.work.push(Box::pin(perform(self.store.clone(), tag, transfer, data)));
            }
        }
    }

    fn may_start(&self, transfer: &Transfer) -> bool {
        let room = self.limits.bytes_in_flight.saturating_sub(self.bytes_in_flight);
        self.work.is_empty() || (!self.fenced && transfer.kind != Kind::Barrier && transfer.len <= room)
    }

    fn may_start_held(&self) -> bool {
        self.held.as_ref().is_some_and(|(_, transfer)| self.may_start(transfer))
    }

    /// A buffer for a transfer's data, filled with what is to be written.
    fn prepare(&mut self, transfer: &Transfer) -> Result<Vec<u8>, &'static str> {
        let mut data = self.buffer(transfer.len).ok_or("no memory for a request")?;
        if transfer.kind.writes() {
            let mut rest = data.as_mut_slice();
            for segment in &transfer.segments {
                let (part, after) = rest.split_at_mut(segment.len);
                self.pages.read(segment.gref, segment.offset, part).map_err(|_| BAD_PAGE)?;
                rest = after;
            }
        }
        Ok(data)
    }

    /// A buffer of `len` bytes, with anything in it that this guest has seen before.
    fn buffer(&mut self, len: usize) -> Option<Vec<u8>> {
        let mut buffer = self.spare.pop().unwrap_or_default();
        buffer.truncate(len);
        let missing = len - buffer.len();
        buffer.try_reserve_exact(missing).ok()?;
        buffer.resize(len, 0);
        Some(buffer)
    }

    fn start_control(&mut self, tag: Tag, action: Action) {
        let store = self.store.clone();
        self.work.push(Box::pin(async move {
            let result = match action {
                Action::Discard { sector, count, secure } => store.discard(sector, count, secure).await,
                _ => store.flush().await,
            };
            Job { tag, segments: Vec::new(), kind: None, data: Vec::new(), result }
        }));
    }

    /// Puts the data where the guest wants it, and answers.
    fn finish(&mut self, job: Job) {
        self.bytes_in_flight -= job.data.len();
        if job.kind == Some(Kind::Barrier) {
            self.fenced = false;
        }
        let status = match job.result {
            Ok(()) => self.deliver(&job),
            Err(StoreError::Unsupported) => rsp::EOPNOTSUPP,
            Err(error) => {
                self.report(&error);
                rsp::ERROR
            }
        };
        self.respond(job.tag, status);
        if self.spare.len() < self.ring.size() as usize && job.data.capacity() > 0 {
            self.spare.push(job.data);
        }
    }

    fn deliver(&mut self, job: &Job) -> i16 {
        match job.kind {
            Some(Kind::Read) => self.statistics.bytes_read += job.data.len() as u64,
            Some(_) => self.statistics.bytes_written += job.data.len() as u64,
            None => {}
        }
        if job.kind != Some(Kind::Read) {
            return rsp::OKAY;
        }
        let mut rest = job.data.as_slice();
        for segment in &job.segments {
            let (part, after) = rest.split_at(segment.len);
            if self.pages.write(segment.gref, segment.offset, part).is_err() {
                self.report(&BAD_PAGE);
                return rsp::ERROR;
            }
            rest = after;
        }
        rsp::OKAY
    }

    fn refuse(&mut self, refusal: &Refusal) {
        self.report(&refusal.why);
        self.respond(refusal.tag, refusal.status);
    }

    /// Logs the first of a connection's requests that failed; a guest can make any number of them.
    fn report(&mut self, why: &dyn fmt::Display) {
        if self.statistics.failed == 0 {
            self.reports.say(Level::Warn, format_args!("{why}"));
        }
    }

    fn respond(&mut self, tag: Tag, status: i16) {
        if status != rsp::OKAY {
            self.statistics.failed += 1;
        }
        if self.ring.push(&tag.answer(status)).is_err() {
            log::error!("blkback: {}: an answer without a request", self.pages.peer());
        }
    }
}

/// What the serving task does after a turn.
enum Next {
    /// Lets others run, then has another turn.
    Again,
    /// Waits for the store.
    Completion,
    /// Waits for the store or the guest.
    Either,
}

/// Has the store carry out a transfer.
async fn perform<S: Store>(store: Rc<S>, tag: Tag, transfer: Transfer, mut data: Vec<u8>) -> Job {
    let result = match transfer.kind {
        Kind::Read => store.read_at(transfer.sector, &mut data).await,
        Kind::Write => store.write_at(transfer.sector, &data).await,
        Kind::Barrier => barrier(&*store, transfer.sector, &data).await,
    };
    Job { tag, segments: transfer.segments, kind: Some(transfer.kind), data, result }
}

/// Writes after everything before, which has completed, is durable; and makes the write durable, too.
async fn barrier<S: Store>(store: &S, sector: u64, data: &[u8]) -> Result<(), StoreError> {
    store.flush().await?;
    if !data.is_empty() {
        store.write_at(sector, data).await?;
        store.flush().await?;
    }
    Ok(())
}

impl<S> fmt::Debug for Queue<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Queue({}, {} in flight)", self.pages.peer(), self.ring.in_flight())
    }
}
