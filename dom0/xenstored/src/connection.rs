//! One client: its messages in and out, piece by piece.
//!
//! A connection knows nothing of the tree. It assembles requests from what its link gives, holds what is to go out
//! until the link takes it, and counts which of its requests still have consequences under way: a request is done
//! once its reply, and every event that it caused for others, has been delivered. That count is what keeps a guest
//! from flooding the store or another guest.

use alloc::collections::btree_map::{BTreeMap, Entry};
use alloc::collections::{BTreeSet, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;

use xen_abi::io::xs_wire::{self as abi, Header};
use zerocopy::IntoBytes;

use crate::Domid;
use crate::perms::Caller;
use crate::pipe::LocalServer;
use crate::ring::{BadIndices, Ring, RingPage};
use crate::transaction::Transaction;
use crate::watch::ConnectionId;
use crate::wire::{self, HEADER_SIZE, Message};

/// What carries the bytes.
#[derive(Debug)]
pub(crate) enum Link<P> {
    Ring(Ring<P>),
    Local(LocalServer),
}

impl<P: RingPage> Link<P> {
    fn read(&mut self, to: &mut [u8]) -> Result<usize, BadIndices> {
        match self {
            Self::Ring(ring) => ring.read(to),
            Self::Local(pipe) => Ok(pipe.read(to)),
        }
    }

    fn write(&mut self, from: &[u8]) -> Result<usize, BadIndices> {
        match self {
            Self::Ring(ring) => ring.write(from),
            Self::Local(pipe) => Ok(pipe.write(from)),
        }
    }

    fn has_requests(&self) -> bool {
        match self {
            Self::Ring(ring) => ring.has_requests(),
            Self::Local(pipe) => pipe.has_requests(),
        }
    }

    fn has_room(&self) -> bool {
        match self {
            Self::Ring(ring) => ring.has_room(),
            Self::Local(pipe) => pipe.has_room(),
        }
    }
}

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The ring's indices are inconsistent.
    Indices,
    /// A message announces more than the protocol allows.
    TooLong,
}

impl Fault {
    fn code(self) -> u32 {
        match self {
            Self::Indices => abi::ERROR_RINGIDX,
            Self::TooLong => abi::ERROR_PROTO,
        }
    }
}

impl From<BadIndices> for Fault {
    fn from(_: BadIndices) -> Self {
        Self::Indices
    }
}

/// The request that something undelivered goes back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    conn: ConnectionId,
    request: u64,
}

/// The time at which a message expires that is kept until it is taken.
pub(crate) const NEVER: u64 = u64::MAX;

/// Something on its way out.
#[derive(Debug)]
struct Outgoing {
    header: Header,
    payload: Arc<[u8]>,
    is_event: bool,
    origin: Option<Origin>,
    /// When an event for a guest that does not take it is dropped.
    expires_ms: u64,
}

impl Outgoing {
    fn size(&self) -> usize {
        HEADER_SIZE + self.payload.len()
    }
}

/// What delivered or dropped messages leave to settle.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    /// Bytes that the receiver is no longer charged for.
    pub bytes: usize,
    /// Requests that have one consequence less.
    pub origins: Vec<Origin>,
}

impl Settled {
    fn add(&mut self, message: &Outgoing) {
        self.bytes += message.size();
        self.origins.extend(message.origin);
    }
}

/// One client.
#[derive(Debug)]
pub(crate) struct Connection<P> {
    pub id: ConnectionId,
    pub domid: Domid,
    /// The domain that this one is the device model of.
    pub target: Option<Domid>,
    pub link: Link<P>,
    pub transactions: BTreeMap<u32, Transaction>,
    /// Set once the client broke the protocol: nothing is read from or sent to it.
    pub failed: bool,
    /// Whether the connection waits in the daemon's list of those to be served.
    pub queued: bool,
    head: [u8; HEADER_SIZE],
    payload: Vec<u8>,
    received: usize,
    output: VecDeque<Outgoing>,
    sent: usize,
    /// Payloads of the events in `output`, among which none is sent twice.
    events: BTreeSet<Arc<[u8]>>,
    next_transaction: u32,
    next_request: u64,
    /// Requests with the number of their undelivered consequences.
    outstanding: BTreeMap<u64, u32>,
}

impl<P: RingPage> Connection<P> {
    pub fn new(id: ConnectionId, domid: Domid, link: Link<P>) -> Self {
        Self {
            id,
            domid,
            target: None,
            link,
            transactions: BTreeMap::new(),
            failed: false,
            queued: false,
            head: [0; HEADER_SIZE],
            payload: Vec::new(),
            received: 0,
            output: VecDeque::new(),
            sent: 0,
            events: BTreeSet::new(),
            next_transaction: 1,
            next_request: 0,
            outstanding: BTreeMap::new(),
        }
    }

    pub fn caller(&self) -> Caller {
        Caller { domid: self.domid, target: self.target, privileged: self.domid == crate::CONTROL }
    }

    /// Tells whether the domain asks for a new start of its ring.
    pub fn wants_reset(&self) -> bool {
        matches!(&self.link, Link::Ring(ring) if ring.wants_reset())
    }

    /// Tells whether the client is gone for good.
    pub fn closed(&self) -> bool {
        matches!(&self.link, Link::Local(pipe) if pipe.closed())
    }

    pub fn has_input(&self) -> bool {
        !self.failed && self.link.has_requests()
    }

    pub fn has_output(&self) -> bool {
        !self.output.is_empty()
    }

    pub fn can_send(&self) -> bool {
        !self.failed && self.has_output() && self.link.has_room()
    }

    pub fn outstanding(&self) -> usize {
        self.outstanding.len()
    }

    /// Takes in what has arrived, up to the end of one message.
    pub fn receive(&mut self) -> Result<Option<Message>, Fault> {
        while self.received < HEADER_SIZE {
            match self.link.read(&mut self.head[self.received..])? {
                0 => return Ok(None),
                count => self.received += count,
            }
        }
        let header = wire::header(&self.head);
        let length = header.len as usize;
        if length > wire::PAYLOAD_MAX {
            return Err(Fault::TooLong);
        }
        self.payload.resize(length, 0);
        while self.received < HEADER_SIZE + length {
            match self.link.read(&mut self.payload[self.received - HEADER_SIZE..])? {
                0 => return Ok(None),
                count => self.received += count,
            }
        }
        self.received = 0;
        Ok(Some(Message { header, payload: core::mem::take(&mut self.payload) }))
    }

    /// Begins to count a request's consequences.
    pub fn begin_request(&mut self) -> Origin {
        self.next_request += 1;
        Origin { conn: self.id, request: self.next_request }
    }

    /// Counts one consequence of a request of this connection.
    pub fn add_consequence(&mut self, origin: Origin) {
        *self.outstanding.entry(origin.request).or_default() += 1;
    }

    /// Ends one consequence of a request.
    pub fn end_consequence(&mut self, origin: Origin) {
        if let Some(count) = self.outstanding.get_mut(&origin.request) {
            *count -= 1;
            if *count == 0 {
                self.outstanding.remove(&origin.request);
            }
        }
    }

    /// Queues a reply, and gives what the receiver is charged for it.
    pub fn reply(&mut self, header: Header, payload: Vec<u8>, origin: Option<Origin>) -> usize {
        let header = Header { len: payload.len() as u32, ..header };
        self.push(Outgoing { header, payload: payload.into(), is_event: false, origin, expires_ms: NEVER })
    }

    /// Tells whether an event with this payload is under way already, so that the client will look anyway. Special
    /// events count each for itself.
    pub fn has_event(&self, payload: &[u8]) -> bool {
        payload.first() != Some(&b'@') && self.events.contains(payload)
    }

    /// Queues an event, and gives what the receiver is charged for it.
    pub fn event(&mut self, payload: Arc<[u8]>, origin: Option<Origin>, expires_ms: u64) -> usize {
        let header = Header { kind: abi::msg::WATCH_EVENT, req_id: 0, tx_id: 0, len: payload.len() as u32 };
        self.events.insert(payload.clone());
        self.push(Outgoing { header, payload, is_event: true, origin, expires_ms })
    }

    fn push(&mut self, message: Outgoing) -> usize {
        let size = message.size();
        self.output.push_back(message);
        size
    }

    /// Sends what the link takes.
    pub fn send(&mut self) -> Result<Settled, Fault> {
        let mut settled = Settled::default();
        while let Some(message) = self.output.front() {
            let head = message.header.as_bytes();
            let rest = match self.sent.checked_sub(HEADER_SIZE) {
                None => &head[self.sent..],
                Some(sent) => &message.payload[sent..],
            };
            let count = self.link.write(rest)?;
            self.sent += count;
            if self.sent == message.size() {
                self.sent = 0;
                settled.add(message);
                if message.is_event {
                    self.events.remove(&message.payload);
                }
                self.output.pop_front();
            } else if count == 0 {
                break;
            }
        }
        Ok(settled)
    }

    /// Drops the events whose time is over, except one that is partly sent.
    pub fn expire_events(&mut self, now_ms: u64) -> Settled {
        let mut settled = Settled::default();
        let mut partly_sent = self.sent > 0;
        let events = &mut self.events;
        self.output.retain(|message| {
            if core::mem::take(&mut partly_sent) || message.expires_ms > now_ms {
                return true;
            }
            settled.add(message);
            events.remove(&message.payload);
            false
        });
        settled
    }

    /// Tells when the next event's time is over. Events that expire do so in the order they came.
    pub fn next_expiry(&self) -> Option<u64> {
        let waiting = self.output.iter().skip(usize::from(self.sent > 0));
        waiting.map(|message| message.expires_ms).find(|&expires| expires < NEVER)
    }

    /// Forgets everything half received and not yet sent.
    pub fn clear(&mut self) -> Settled {
        let mut settled = Settled::default();
        self.output.iter().for_each(|message| settled.add(message));
        self.output.clear();
        self.events.clear();
        self.sent = 0;
        self.received = 0;
        self.payload = Vec::new();
        settled
    }

    /// Ends the connection for a breach of the protocol, and tells the domain which.
    pub fn fail(&mut self, fault: Fault) {
        log::warn!("xenstore: connection of d{} ended: {fault:?}", self.domid.0);
        self.failed = true;
        if let Link::Ring(ring) = &mut self.link {
            ring.set_error(fault.code());
        }
    }

    /// Starts the ring afresh.
    pub fn restart(&mut self) {
        self.failed = false;
        if let Link::Ring(ring) = &mut self.link {
            ring.reset();
        }
    }

    /// Signals the client if bytes moved. A client in this program is woken as they move.
    pub fn notify(&mut self) {
        if let Link::Ring(ring) = &mut self.link {
            ring.notify_if_moved();
        }
    }

    /// Opens a transaction and gives its number, which is not 0.
    pub fn open_transaction(&mut self) -> u32 {
        loop {
            let id = self.next_transaction;
            self.next_transaction = id.wrapping_add(1).max(1);
            if let Entry::Vacant(place) = self.transactions.entry(id) {
                place.insert(Transaction::default());
                return id;
            }
        }
    }
}

impl Origin {
    pub(crate) fn conn(self) -> ConnectionId {
        self.conn
    }
}
