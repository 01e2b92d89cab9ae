//! A connection: requests that wait for their answer, watches, and the task that moves the bytes.

use alloc::{
    boxed::Box,
    collections::{BTreeMap, VecDeque},
    rc::{Rc, Weak},
    string::ToString,
    vec::Vec,
};
use core::{
    cell::{Cell, RefCell},
    future::poll_fn,
    task::{Poll, Waker},
};

use xen_abi::{Errno, io::xs_wire::msg};

use super::{
    Error, Result, Transport,
    watch::Inbox,
    wire::{self, Assembler, Message},
};
use crate::exec::{self, AbortOnDrop};

/// A request whose answer has not come yet, or has not been taken.
struct Request {
    kind: u32,
    answer: Option<Result<Vec<u8>>>,
    waiter: Option<Waker>,
    /// Nobody waits for it.
    forgotten: bool,
}

#[derive(Default)]
struct State {
    /// Bytes that did not fit yet.
    outgoing: VecDeque<u8>,
    incoming: Assembler,
    requests: BTreeMap<u32, Request>,
    watches: BTreeMap<u32, Rc<RefCell<Inbox>>>,
    last_id: u32,
    last_token: u32,
    closed: bool,
}

/// A connection to the daemon.
pub(super) struct Connection {
    transport: RefCell<Box<dyn Transport>>,
    state: RefCell<State>,
    task: Cell<Option<AbortOnDrop<()>>>,
}

impl Connection {
    pub(super) fn new(transport: Box<dyn Transport>) -> Rc<Self> {
        let this = Rc::new(Self {
            transport: RefCell::new(transport),
            state: RefCell::default(),
            task: Cell::new(None),
        });
        let task = exec::spawn(serve(Rc::downgrade(&this)));
        this.task.set(Some(task.abort_on_drop()));
        this
    }

    /// Sends a request; the answer is kept under the number returned.
    fn send(&self, kind: u32, tx_id: u32, parts: &[&[u8]], forgotten: bool) -> Result<u32> {
        let mut state = self.state.borrow_mut();
        if state.closed {
            return Err(Error::Closed);
        }
        let req_id = state.next_id();
        let message = Message::new(kind, req_id, tx_id, parts)?;
        state.outgoing.extend(message.bytes());
        state.requests.insert(req_id, Request { kind, answer: None, waiter: None, forgotten });
        drop(state);
        self.pump();
        Ok(req_id)
    }

    /// Makes a request and waits for its answer.
    pub(super) async fn request(&self, kind: u32, tx_id: u32, parts: &[&[u8]]) -> Result<Vec<u8>> {
        let pending = Pending { connection: self, req_id: self.send(kind, tx_id, parts, false)? };
        poll_fn(|cx| {
            let mut state = self.state.borrow_mut();
            let Some(request) = state.requests.get_mut(&pending.req_id) else {
                return Poll::Ready(Err(Error::Closed));
            };
            if let Some(answer) = request.answer.take() {
                return Poll::Ready(answer);
            }
            request.waiter = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// Makes a request whose answer does not matter.
    pub(super) fn tell(&self, kind: u32, tx_id: u32, parts: &[&[u8]]) {
        // A closed connection has forgotten all there was to tell it.
        let _ = self.send(kind, tx_id, parts, true);
    }

    /// Adds a watch; gives the token to set it with.
    pub(super) fn add_watch(&self, inbox: Rc<RefCell<Inbox>>) -> u32 {
        let mut state = self.state.borrow_mut();
        state.last_token = state.last_token.wrapping_add(1);
        let token = state.last_token;
        state.watches.insert(token, inbox);
        token
    }

    pub(super) fn remove_watch(&self, token: u32) {
        self.state.borrow_mut().watches.remove(&token);
    }

    /// Moves bytes both ways until none move.
    fn pump(&self) {
        let moved = self.push_out().and_then(|()| self.pull_in());
        if let Err(error) = moved {
            log::error!("xenstore connection: {error}");
            self.close();
        }
    }

    fn push_out(&self) -> Result<()> {
        let mut transport = self.transport.borrow_mut();
        loop {
            let mut state = self.state.borrow_mut();
            let (first, _) = state.outgoing.as_slices();
            if first.is_empty() {
                return Ok(());
            }
            let n = transport.write(first).map_err(|_| Error::Closed)?;
            if n == 0 {
                return Ok(());
            }
            state.outgoing.drain(..n);
        }
    }

    fn pull_in(&self) -> Result<()> {
        let mut buffer = [0; 512];
        loop {
            let room = buffer.len().min(self.state.borrow().incoming.wants()?);
            let n = self.transport.borrow_mut().read(&mut buffer[..room]);
            let n = n.map_err(|_| Error::Closed)?;
            if n == 0 {
                return Ok(());
            }
            let message = self.state.borrow_mut().incoming.push(&buffer[..n])?;
            if let Some(message) = message {
                self.dispatch(message)?;
            }
        }
    }

    fn dispatch(&self, message: Message) -> Result<()> {
        if message.header.kind == msg::WATCH_EVENT {
            return self.watch_event(&message.payload);
        }
        let mut state = self.state.borrow_mut();
        let id = message.header.req_id;
        // An answer to nothing is the daemon's mistake, and harmless.
        let Some(request) = state.requests.get_mut(&id) else {
            return Ok(());
        };
        let answer = answer(request.kind, &message)?;
        if request.forgotten {
            state.requests.remove(&id);
            return Ok(());
        }
        request.answer = Some(answer);
        if let Some(waiter) = request.waiter.take() {
            drop(state);
            waiter.wake();
        }
        Ok(())
    }

    fn watch_event(&self, payload: &[u8]) -> Result<()> {
        let (path, rest) = wire::split_string(payload)?;
        let (token, _) = wire::split_string(rest)?;
        let token: u32 = token.parse().map_err(|_| Error::Malformed)?;
        // It may have been removed while the event was on its way.
        let inbox = self.state.borrow().watches.get(&token).cloned();
        if let Some(inbox) = inbox {
            inbox.borrow_mut().deliver(path.to_string());
        }
        Ok(())
    }

    /// Ends the connection: whoever waits is told.
    fn close(&self) {
        let mut state = self.state.borrow_mut();
        state.closed = true;
        state.outgoing.clear();
        let watches: Vec<_> = state.watches.values().cloned().collect();
        let mut waiters = Vec::new();
        state.requests.retain(|_, request| !request.forgotten);
        for request in state.requests.values_mut() {
            request.answer.get_or_insert(Err(Error::Closed));
            waiters.extend(request.waiter.take());
        }
        drop(state);
        waiters.into_iter().for_each(Waker::wake);
        for inbox in watches {
            inbox.borrow_mut().close();
        }
    }

    fn is_closed(&self) -> bool {
        self.state.borrow().closed
    }
}

impl State {
    /// A number that no outstanding request has; 0 is that of watch events.
    fn next_id(&mut self) -> u32 {
        loop {
            self.last_id = self.last_id.wrapping_add(1);
            if self.last_id != 0 && !self.requests.contains_key(&self.last_id) {
                return self.last_id;
            }
        }
    }
}

/// What an answer says: the payload, or the daemon's error. An answer of another kind than the
/// request means that the two have lost step.
fn answer(kind: u32, message: &Message) -> Result<Result<Vec<u8>>> {
    match message.header.kind {
        msg::ERROR => {
            let name = wire::string(&message.payload)?;
            let errno = Errno::from_name(&name).unwrap_or(Errno::EIO);
            Ok(Err(Error::Refused(errno)))
        }
        k if k == kind => Ok(Ok(message.payload.clone())),
        _ => Err(Error::Malformed),
    }
}

/// An outstanding request. When nobody waits any more, its answer is dropped when it comes.
struct Pending<'a> {
    connection: &'a Connection,
    req_id: u32,
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        let mut state = self.connection.state.borrow_mut();
        match state.requests.get_mut(&self.req_id) {
            Some(request) if request.answer.is_none() && request.waiter.is_some() => {
                request.forgotten = true;
                request.waiter = None;
            }
            _ => {
                state.requests.remove(&self.req_id);
            }
        }
    }
}

/// Moves bytes whenever the transport says so, as long as the connection is used and open.
async fn serve(connection: Weak<Connection>) {
    loop {
        match connection.upgrade() {
            Some(connection) if !connection.is_closed() => connection.pump(),
            _ => return,
        }
        poll_fn(|cx| match connection.upgrade() {
            Some(connection) => connection.transport.borrow_mut().poll_event(cx),
            None => Poll::Ready(()),
        })
        .await;
    }
}
