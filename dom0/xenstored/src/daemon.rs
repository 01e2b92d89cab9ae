//! The store as a whole: its connections, and whose turn it is.
//!
//! The daemon runs in rounds. In each, every connection with something to do is served once, which means: what is
//! queued for it is sent as far as it fits, and at most one request is read and answered. However much one client
//! asks, the others wait for one request of its at a time.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::task::{Context, Poll};

use crate::connection::{Connection, Fault, Link, NEVER, Origin, Settled};
use crate::domains::{Domain, Host};
use crate::doorbell::Doorbell;
use crate::pipe::{self, LocalClient};
use crate::quota::{Accounts, Limits};
use crate::ratelimit::RateLimit;
use crate::store::Store;
use crate::watch::{Change, ConnectionId, Watches};
use crate::{CONTROL, Domid};

/// How long an event waits for a guest that does not take it. It keeps the request that caused it open for so long,
/// so the guest that sent that must not wait for ever.
const EVENT_TIMEOUT_MS: u64 = 20_000;

/// What is left to do after a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Another round has something to do at once.
    More,
    /// Nothing, until the [`Doorbell`] rings or this time has come, in milliseconds.
    Until(Option<u64>),
}

/// The store, its connections and the domains that it knows.
#[derive(Debug)]
pub struct Daemon<H: Host> {
    pub(crate) host: H,
    pub(crate) store: Store,
    pub(crate) accounts: Accounts,
    pub(crate) watches: Watches,
    pub(crate) connections: BTreeMap<ConnectionId, Connection<H::Page>>,
    pub(crate) domains: BTreeMap<Domid, Domain>,
    pub(crate) rate: RateLimit,
    pub(crate) open_transactions: usize,
    doorbell: Doorbell,
    next_connection: u64,
    ready: VecDeque<ConnectionId>,
    /// Connections that cannot go on by themselves: each round looks whether they can again.
    held: BTreeSet<ConnectionId>,
}

impl<H: Host> Daemon<H> {
    /// Makes a store with only the nodes that clients expect in a fresh one.
    pub fn new(host: H, limits: Limits) -> Self {
        let mut accounts = Accounts::new(limits);
        Self {
            host,
            store: Store::new(CONTROL, &mut accounts),
            accounts,
            watches: Watches::default(),
            connections: BTreeMap::new(),
            domains: BTreeMap::new(),
            rate: RateLimit::default(),
            open_transactions: 0,
            doorbell: Doorbell::default(),
            next_connection: 0,
            ready: VecDeque::new(),
            held: BTreeSet::new(),
        }
    }

    /// Gives what tells the daemon of events.
    pub fn doorbell(&self) -> Doorbell {
        self.doorbell.clone()
    }

    /// Connects a program in dom0.
    pub fn connect_local(&mut self) -> LocalClient {
        let id = self.new_id();
        let (server, client) = pipe::pair(id, self.doorbell());
        self.connections.insert(id, Connection::new(id, CONTROL, Link::Local(server)));
        client
    }

    pub(crate) fn new_id(&mut self) -> ConnectionId {
        self.next_connection += 1;
        ConnectionId(self.next_connection)
    }

    /// Waits until there is something to do, apart from what only time brings ([`Work::Until`]).
    pub fn poll_work(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.ready.is_empty() { self.doorbell.poll(cx) } else { Poll::Ready(()) }
    }

    /// Serves every connection that has something to do once.
    pub fn round(&mut self, now_ms: u64) -> Work {
        self.answer_doorbell(now_ms);
        self.expire_events(now_ms);
        self.release_held(now_ms);
        for _ in 0..self.ready.len() {
            let Some(id) = self.ready.pop_front() else { break };
            if let Some(conn) = self.connections.get_mut(&id) {
                conn.queued = false;
                self.process(id, now_ms);
            }
        }
        // Serving one connection may be what another waited for.
        self.release_held(now_ms);
        if self.ready.is_empty() { Work::Until(self.next_deadline(now_ms)) } else { Work::More }
    }

    fn answer_doorbell(&mut self, now_ms: u64) {
        let (connections, domains, states_changed) = self.doorbell.take();
        if states_changed {
            self.check_domains(now_ms);
        }
        for id in connections {
            self.make_ready(id);
        }
        for domid in domains {
            if let Some(domain) = self.domains.get(&domid) {
                self.make_ready(domain.conn);
            }
        }
    }

    /// Puts a connection on the list of those to be served.
    pub(crate) fn make_ready(&mut self, id: ConnectionId) {
        if let Some(conn) = self.connections.get_mut(&id)
            && !conn.queued
        {
            conn.queued = true;
            self.ready.push_back(id);
        }
    }

    /// Serves one connection once, and tells whether it has more to do at once.
    pub fn process(&mut self, id: ConnectionId, now_ms: u64) -> bool {
        let Some(conn) = self.connections.get_mut(&id) else { return false };
        if conn.closed() {
            self.drop_connection(id);
            return false;
        }
        if conn.wants_reset() {
            self.reset_connection(id);
        }
        self.send(id);
        if self.may_read(id, now_ms) {
            self.receive(id, now_ms);
            self.send(id);
        }
        self.settle_turn(id, now_ms)
    }

    /// Decides where a connection goes after its turn.
    fn settle_turn(&mut self, id: ConnectionId, now_ms: u64) -> bool {
        let Some(conn) = self.connections.get_mut(&id) else { return false };
        conn.notify();
        let (input, waiting, can_send) = (conn.has_input(), conn.has_output(), conn.can_send());
        let again = can_send || (input && self.may_read(id, now_ms));
        if again {
            self.make_ready(id);
        }
        if input || waiting {
            self.held.insert(id);
        } else {
            self.held.remove(&id);
        }
        again
    }

    /// Tells whether the quotas let a request of the connection be read now.
    fn may_read(&mut self, id: ConnectionId, now_ms: u64) -> bool {
        let Some(conn) = self.connections.get(&id) else { return false };
        if conn.failed {
            return false;
        }
        if conn.domid == CONTROL {
            return true;
        }
        conn.outstanding() < self.accounts.limits.outstanding
            && !self.accounts.memory_used_up(conn.domid)
            && self.rate_wait(conn.domid, now_ms).is_none()
    }

    fn rate_wait(&mut self, domid: Domid, now_ms: u64) -> Option<u64> {
        let domain = self.domains.get_mut(&domid)?;
        self.rate.wait_ms(&mut domain.writes, now_ms)
    }

    /// Looks which of the held connections can go on.
    fn release_held(&mut self, now_ms: u64) {
        for id in self.held.clone() {
            let Some(conn) = self.connections.get(&id) else { continue };
            let (can_send, input) = (conn.can_send(), conn.has_input());
            if can_send || (input && self.may_read(id, now_ms)) {
                self.make_ready(id);
            }
        }
    }

    /// Drops the events that guests did not take in time.
    fn expire_events(&mut self, now_ms: u64) {
        for id in self.held.clone() {
            let Some(conn) = self.connections.get_mut(&id) else { continue };
            if conn.domid != CONTROL && conn.next_expiry().is_some_and(|expiry| expiry <= now_ms) {
                let settled = conn.expire_events(now_ms);
                let domid = conn.domid;
                self.settle(domid, settled);
            }
        }
    }

    fn next_deadline(&mut self, now_ms: u64) -> Option<u64> {
        let mut deadline = None;
        for id in self.held.clone() {
            let Some(conn) = self.connections.get(&id) else { continue };
            if conn.domid == CONTROL {
                continue;
            }
            let (domid, expiry, input) = (conn.domid, conn.next_expiry(), conn.has_input());
            let credit = self.rate_wait(domid, now_ms).filter(|_| input).map(|wait| now_ms + wait);
            deadline = [deadline, expiry, credit].into_iter().flatten().min();
        }
        deadline
    }

    fn send(&mut self, id: ConnectionId) {
        let Some(conn) = self.connections.get_mut(&id).filter(|conn| !conn.failed) else { return };
        let domid = conn.domid;
        match conn.send() {
            Ok(settled) => self.settle(domid, settled),
            Err(fault) => self.fail_connection(id, fault),
        }
    }

    fn receive(&mut self, id: ConnectionId, now_ms: u64) {
        let Some(conn) = self.connections.get_mut(&id) else { return };
        match conn.receive() {
            Ok(None) => {}
            Ok(Some(message)) => {
                let origin = conn.begin_request();
                self.serve(id, message, origin, now_ms);
            }
            Err(fault) => self.fail_connection(id, fault),
        }
    }

    /// Books what delivered or dropped messages leave.
    fn settle(&mut self, domid: Domid, settled: Settled) {
        if settled.bytes > 0 {
            self.accounts.release_memory(domid, settled.bytes);
        }
        for origin in settled.origins {
            if let Some(conn) = self.connections.get_mut(&origin.conn()) {
                conn.end_consequence(origin);
            }
        }
    }

    /// Queues the events of changes that a request, or the daemon itself, made.
    pub(crate) fn fire(&mut self, changes: &[Change], origin: Option<Origin>, now_ms: u64) {
        for change in changes {
            let connections = &self.connections;
            let caller_of = |id| connections.get(&id).map(Connection::caller);
            for (id, payload) in self.watches.events(change, caller_of) {
                self.queue_event(id, payload, origin, now_ms);
            }
        }
    }

    /// Queues an event, unless the same waits already or the receiver has no memory left for it.
    pub(crate) fn queue_event(
        &mut self,
        to: ConnectionId,
        payload: Arc<[u8]>,
        origin: Option<Origin>,
        now_ms: u64,
    ) {
        let Some(conn) = self.connections.get_mut(&to) else { return };
        let (domid, guest) = (conn.domid, conn.domid != CONTROL);
        if conn.failed || conn.has_event(&payload) || (guest && self.accounts.memory_used_up(domid)) {
            return;
        }
        let expires_ms = if guest { now_ms + EVENT_TIMEOUT_MS } else { NEVER };
        let cost = conn.event(payload, origin, expires_ms);
        self.accounts.charge_memory(domid, cost);
        self.held.insert(to);
        self.make_ready(to);
        if let Some(origin) = origin
            && let Some(conn) = self.connections.get_mut(&origin.conn())
        {
            conn.add_consequence(origin);
        }
    }

    /// Gives up the watches, transactions and undelivered messages of a connection.
    pub(crate) fn forget_state(&mut self, id: ConnectionId) {
        self.forget_watches(id);
        self.forget_transactions(id);
        let Some(conn) = self.connections.get_mut(&id) else { return };
        let domid = conn.domid;
        let settled = conn.clear();
        self.settle(domid, settled);
    }

    pub(crate) fn forget_watches(&mut self, id: ConnectionId) {
        let Some(conn) = self.connections.get(&id) else { return };
        let (count, cost) = self.watches.remove_all(id);
        self.accounts.reduce(conn.domid, |account| {
            account.watches -= count;
            account.memory -= cost;
        });
    }

    pub(crate) fn forget_transactions(&mut self, id: ConnectionId) {
        let Some(conn) = self.connections.get_mut(&id) else { return };
        let ids: Vec<u32> = conn.transactions.keys().copied().collect();
        for transaction in ids {
            self.close_transaction(id, transaction);
        }
    }

    fn fail_connection(&mut self, id: ConnectionId, fault: Fault) {
        self.forget_state(id);
        if let Some(conn) = self.connections.get_mut(&id) {
            conn.fail(fault);
        }
    }

    /// Starts a connection afresh, as after its introduction.
    pub(crate) fn reset_connection(&mut self, id: ConnectionId) {
        self.forget_state(id);
        if let Some(conn) = self.connections.get_mut(&id) {
            conn.restart();
        }
    }

    /// Ends a connection.
    pub(crate) fn drop_connection(&mut self, id: ConnectionId) {
        self.forget_state(id);
        self.connections.remove(&id);
        self.held.remove(&id);
    }
}
