//! One connection to the back end, from the exchange of rings to its end.

use alloc::collections::VecDeque;
use core::cell::{Cell, RefCell};
use core::fmt;
use core::future::poll_fn;
use core::task::{Context, Poll, Waker};

use guest_sdk::abi::Errno;
use guest_sdk::event::Port;
use guest_sdk::xenbus::frontend::{self, Closer};

use crate::Error;
use crate::queue::{Order, Outcome, Queue, SlotId};

/// Why a request got no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    /// The connection ended first. Whether the request had its effect is not known.
    Disconnected,
    /// There are not enough pages for it.
    NoMemory(Errno),
}

/// A connection.
pub(crate) struct Session {
    queue: RefCell<Queue>,
    port: Port,
    /// No requests are taken any more.
    closing: Cell<bool>,
    /// No answers are, either.
    ended: Cell<bool>,
    line: RefCell<Line>,
}

/// Requests that wait for room, first come, first served.
#[derive(Debug, Default)]
struct Line {
    waiting: VecDeque<(u64, Waker)>,
    next_ticket: u64,
}

impl Line {
    fn may_pass(&self, ticket: Option<u64>) -> bool {
        self.waiting.front().is_none_or(|(first, _)| Some(*first) == ticket)
    }

    /// Notes who waits, at the end of the line or in the place held already.
    fn wait(&mut self, ticket: &mut Option<u64>, waker: &Waker) {
        let held = ticket.and_then(|held| self.waiting.iter_mut().find(|(t, _)| *t == held));
        match held {
            Some((_, old)) => old.clone_from(waker),
            None => {
                *ticket = Some(self.next_ticket);
                self.waiting.push_back((self.next_ticket, waker.clone()));
                self.next_ticket += 1;
            }
        }
    }

    fn leave(&mut self, ticket: u64) {
        self.waiting.retain(|(t, _)| *t != ticket);
        self.wake_first();
    }

    fn wake_first(&self) {
        if let Some((_, waker)) = self.waiting.front() {
            waker.wake_by_ref();
        }
    }

    fn wake_all(&self) {
        self.waiting.iter().for_each(|(_, waker)| waker.wake_by_ref());
    }
}

/// A place in the line, left when dropped.
struct Place<'a> {
    session: &'a Session,
    ticket: Option<u64>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            self.session.line.borrow_mut().leave(ticket);
        }
    }
}

/// A request under way. Its slot is released when this is dropped, whenever that is.
struct Ticket<'a> {
    session: &'a Session,
    id: SlotId,
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        self.session.queue.borrow_mut().release(self.id);
        self.session.line.borrow().wake_first();
    }
}

impl Session {
    /// A connection by `queue` and `port`.
    pub(crate) fn new(queue: Queue, port: Port) -> Self {
        Self {
            queue: RefCell::new(queue),
            port,
            closing: Cell::new(false),
            ended: Cell::new(false),
            line: RefCell::default(),
        }
    }

    /// Makes one request and waits for its answer; data read is then in `into`, which is as long as the order
    /// says.
    pub(crate) async fn request(&self, order: Order<'_>, into: &mut [u8]) -> Result<Outcome, Lost> {
        let ticket = self.submit(&order).await?;
        let outcome = poll_fn(|cx| self.poll_answer(ticket.id, cx)).await?;
        if outcome == Outcome::Done && !into.is_empty() {
            self.queue.borrow().copy_out(ticket.id, into);
        }
        Ok(outcome)
    }

    async fn submit(&self, order: &Order<'_>) -> Result<Ticket<'_>, Lost> {
        let mut place = Place { session: self, ticket: None };
        poll_fn(|cx| self.poll_submit(order, &mut place.ticket, cx)).await
    }

    fn poll_submit(
        &self,
        order: &Order<'_>,
        ticket: &mut Option<u64>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Ticket<'_>, Lost>> {
        if self.closing.get() {
            return Poll::Ready(Err(Lost::Disconnected));
        }
        let mut line = self.line.borrow_mut();
        let submitted = match line.may_pass(*ticket) {
            true => self.queue.borrow_mut().submit(order).map_err(Lost::NoMemory)?,
            false => None,
        };
        let Some((id, notify)) = submitted else {
            line.wait(ticket, cx.waker());
            return Poll::Pending;
        };
        if notify {
            self.notify();
        }
        Poll::Ready(Ok(Ticket { session: self, id }))
    }

    fn poll_answer(&self, id: SlotId, cx: &mut Context<'_>) -> Poll<Result<Outcome, Lost>> {
        if self.ended.get() {
            return Poll::Ready(Err(Lost::Disconnected));
        }
        self.queue.borrow_mut().poll(id, cx).map(Ok)
    }

    fn notify(&self) {
        // A back end that is gone takes no events; that it is gone is seen in xenstore.
        if let Err(error) = self.port.notify() {
            log::debug!("blkfront: {error}");
        }
    }
}

impl frontend::Session for Session {
    type Error = Error;

    /// Takes answers as they come.
    async fn run(&self) -> Error {
        loop {
            if let Err(violation) = self.queue.borrow_mut().collect() {
                return violation.into();
            }
            // Answers that nobody waited for have made room, too.
            self.line.borrow().wake_first();
            self.port.wait().await;
        }
    }

    /// Takes no more requests, and waits for the answers to those under way. When the user closes the disk they fail.
    async fn drain(&self, by: Closer) {
        self.closing.set(true);
        self.line.borrow().wake_all();
        while by == Closer::BackEnd
            && self.queue.borrow_mut().collect().is_ok()
            && self.queue.borrow().in_flight() > 0
        {
            self.port.wait().await;
        }
    }

    /// Rings and pages are given back once the last request has noticed, and the back end let go of them.
    fn end(&self) {
        self.closing.set(true);
        self.ended.set(true);
        self.queue.borrow_mut().wake_all();
        self.line.borrow().wake_all();
    }

    fn is_over(&self) -> bool {
        self.closing.get()
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Session({:?})", self.port)
    }
}
