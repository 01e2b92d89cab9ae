//! The daemon's end: takes what a guest prints, keeps the end of it, and types to it.
//!
//! [`Console`] is one guest's console; [`Console::serve`] is to run as a task of its own, so that a guest that
//! stalls, floods or lies holds up nobody else. Readers attach and go as they like. While one is attached the
//! guest is held back to its pace and loses nothing; while none is, the oldest output makes room for the newest.
//!
//! The ring is looked at anew for each transfer, so that a guest may clear its page and start over. Indices that
//! make no sense are left alone until they do.

mod backlog;
mod page;

use alloc::rc::Rc;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::fmt;
use core::future::poll_fn;
use core::task::{Context, Poll, Waker};
use core::time::Duration;

use guest_sdk::allowance::Allowance;
use guest_sdk::byte_ring::{Consumer, Direction, Producer};
use guest_sdk::event::Port;
use guest_sdk::exec::{race, sleep_until};
use guest_sdk::ring::RingError;
use guest_sdk::shared::Memory;
use guest_sdk::time;

use backlog::Backlog;
pub use page::{OpenError, Page};

/// Bytes taken out of the ring at once: all that it holds.
const CHUNK: usize = Direction::CONSOLE_OUT.size as usize;

/// How much of a guest's output is kept, and how much of the daemon's time it gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of output kept; at least what fits in the ring.
    pub kept: usize,
    /// Times that the ring is looked at in each [`period`](Self::period).
    pub turns: u32,
    /// See [`turns`](Self::turns).
    pub period: Duration,
}

impl Default for Limits {
    /// 64 KiB, and 30 turns in 200 ms: the rate that xenconsoled allows.
    fn default() -> Self {
        Self { kept: 64 << 10, turns: 30, period: Duration::from_millis(200) }
    }
}

/// A guest's console, as the daemon has it. Clones are the same console.
pub struct Console<M> {
    inner: Rc<Inner<M>>,
}

struct Inner<M> {
    port: Port,
    state: RefCell<State<M>>,
}

struct State<M> {
    memory: M,
    backlog: Backlog,
    /// Readers that hold the guest back let it go on once there is room for this much.
    worthwhile: usize,
    allowance: Allowance,
    readers: Vec<Option<Slot>>,
    /// Waits for room in the ring that goes to the guest.
    typist: Option<Waker>,
    /// The serving task, when readers hold the guest back.
    server: Option<Waker>,
    closed: bool,
    /// The guest's indices made no sense before: said once.
    lied: bool,
}

/// What is known of an attached reader.
#[derive(Default)]
struct Slot {
    position: u64,
    waker: Option<Waker>,
}

/// The console was closed by the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("console closed")
    }
}

impl core::error::Error for Closed {}

impl<M> Clone for Console<M> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone() }
    }
}

impl<M> fmt::Debug for Console<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Console({:?})", self.inner.port)
    }
}

impl<M: Memory> Console<M> {
    /// Joins the console whose page is `memory` and whose event channel is `port`.
    #[must_use]
    pub fn new(memory: M, port: Port, limits: Limits) -> Self {
        let state = RefCell::new(State::new(memory, limits));
        Self { inner: Rc::new(Inner { port, state }) }
    }

    /// Moves the guest's output until the console is closed.
    pub async fn serve(&self) {
        let mut chunk = vec![0; CHUNK];
        while !self.inner.state.borrow().closed {
            let turn = self.inner.state.borrow_mut().allowance.take(time::now());
            if let Err(when) = turn {
                sleep_until(when).await;
                continue;
            }
            if self.inner.state.borrow_mut().turn(&mut chunk) {
                self.notify();
            }
            race(self.inner.port.wait(), poll_fn(|cx| self.poll_held_back(cx))).await;
        }
    }

    /// Ready when the console was closed, or when readers made room for output that waits in the ring.
    fn poll_held_back(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.inner.state.borrow_mut();
        let waiting = state.output().available().is_ok_and(|len| len > 0);
        if state.closed || (waiting && state.room() >= state.worthwhile) {
            return Poll::Ready(());
        }
        state.server = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Attaches a reader. It begins with the oldest output that is kept.
    #[must_use]
    pub fn attach(&self) -> Reader<M> {
        let mut state = self.inner.state.borrow_mut();
        let slot = Slot { position: state.backlog.start(), waker: None };
        let index = match state.readers.iter().position(Option::is_none) {
            Some(free) => free,
            None => {
                state.readers.push(None);
                state.readers.len() - 1
            }
        };
        state.readers[index] = Some(slot);
        drop(state);
        Reader { console: self.clone(), index }
    }

    /// Types to the guest as much as there is room for now.
    ///
    /// # Errors
    ///
    /// The console was closed.
    pub fn try_write(&self, bytes: &[u8]) -> Result<usize, Closed> {
        let mut state = self.inner.state.borrow_mut();
        if state.closed {
            return Err(Closed);
        }
        let written = state.type_in(bytes);
        drop(state);
        if written > 0 {
            self.notify();
        }
        Ok(written)
    }

    /// Types to the guest; waits as long as it does not read. One writer at a time waits.
    ///
    /// # Errors
    ///
    /// The console was closed; part of `bytes` may have been typed.
    pub async fn write_all(&self, mut bytes: &[u8]) -> Result<(), Closed> {
        while !bytes.is_empty() {
            let written = poll_fn(|cx| match self.try_write(bytes) {
                Ok(0) => {
                    self.inner.state.borrow_mut().typist = Some(cx.waker().clone());
                    Poll::Pending
                }
                other => Poll::Ready(other),
            })
            .await?;
            bytes = &bytes[written..];
        }
        Ok(())
    }

    /// Ends the console: [`serve`](Self::serve) returns, readers get what is kept and then the end.
    pub fn close(&self) {
        let mut state = self.inner.state.borrow_mut();
        state.closed = true;
        state.wake_readers();
        state.typist.take().into_iter().chain(state.server.take()).for_each(Waker::wake);
    }

    /// The last output, at most as much as is kept.
    #[must_use]
    pub fn history(&self) -> Vec<u8> {
        let state = self.inner.state.borrow();
        let len = (state.backlog.end() - state.backlog.start()) as usize;
        let mut bytes = vec![0; len];
        state.backlog.read(0, &mut bytes);
        bytes
    }

    fn notify(&self) {
        // A peer that is gone takes no events; that it is gone is seen elsewhere.
        if let Err(error) = self.inner.port.notify() {
            log::debug!("console {:?}: {error}", self.inner.port);
        }
    }
}

impl<M: Memory> State<M> {
    fn new(memory: M, limits: Limits) -> Self {
        Self {
            memory,
            backlog: Backlog::new(limits.kept.max(CHUNK)),
            worthwhile: CHUNK / 4,
            allowance: Allowance::new(limits.turns, limits.period),
            readers: Vec::new(),
            typist: None,
            server: None,
            closed: false,
            lied: false,
        }
    }

    fn output(&self) -> Consumer<&M> {
        Consumer::new(&self.memory, Direction::CONSOLE_OUT)
    }

    fn input(&self) -> Producer<&M> {
        Producer::new(&self.memory, Direction::CONSOLE_IN)
    }

    /// Takes out what readers leave room for and tells everybody concerned, but for the guest: it is to be
    /// notified if this says so.
    fn turn(&mut self, chunk: &mut [u8]) -> bool {
        if self.input().free().is_ok_and(|room| room > 0)
            && let Some(typist) = self.typist.take()
        {
            typist.wake();
        }
        let room = self.room().min(chunk.len());
        let read = self.output().read(&mut chunk[..room]);
        let len = self.checked(read);
        if len > 0 {
            self.backlog.push(&chunk[..len]);
            self.wake_readers();
        }
        len > 0
    }

    /// Types as much as there is room for.
    fn type_in(&mut self, bytes: &[u8]) -> usize {
        let written = self.input().write(bytes);
        self.checked(written)
    }

    /// What was transferred: nothing, if the guest's indices make no sense. That is said once.
    fn checked(&mut self, transfer: Result<usize, RingError>) -> usize {
        transfer.unwrap_or_else(|error| {
            if !core::mem::replace(&mut self.lied, true) {
                log::warn!("console: {error}");
            }
            0
        })
    }

    /// Bytes that may be taken from the guest now.
    fn room(&self) -> usize {
        let slowest = self.readers.iter().flatten().map(|slot| slot.position).min();
        slowest.map_or(CHUNK, |position| self.backlog.room_after(position))
    }

    fn wake_readers(&mut self) {
        let readers = self.readers.iter_mut().flatten();
        readers.filter_map(|slot| slot.waker.take()).for_each(Waker::wake);
    }
}

/// Somebody who looks at a console. Detaches when dropped.
pub struct Reader<M: Memory> {
    console: Console<M>,
    index: usize,
}

impl<M: Memory> Reader<M> {
    /// Waits for output and copies it; at the console's end gives nothing more, as 0 bytes.
    pub async fn read(&mut self, into: &mut [u8]) -> usize {
        poll_fn(|cx| {
            let len = self.try_read(into);
            let mut state = self.console.inner.state.borrow_mut();
            if len > 0 || into.is_empty() || state.closed {
                return Poll::Ready(len);
            }
            if let Some(Some(slot)) = state.readers.get_mut(self.index) {
                slot.waker = Some(cx.waker().clone());
            }
            Poll::Pending
        })
        .await
    }

    /// Copies output that is there.
    pub fn try_read(&mut self, into: &mut [u8]) -> usize {
        let mut state = self.console.inner.state.borrow_mut();
        let state = &mut *state;
        let Some(Some(slot)) = state.readers.get_mut(self.index) else {
            return 0;
        };
        let (from, len) = state.backlog.read(slot.position, into);
        slot.position = from + len as u64;
        if len > 0
            && let Some(server) = state.server.take()
        {
            server.wake();
        }
        len
    }

    /// The console that is read.
    #[must_use]
    pub fn console(&self) -> &Console<M> {
        &self.console
    }
}

impl<M: Memory> Drop for Reader<M> {
    fn drop(&mut self) {
        let mut state = self.console.inner.state.borrow_mut();
        state.readers[self.index] = None;
        if let Some(server) = state.server.take() {
            server.wake();
        }
    }
}

impl<M: Memory> fmt::Debug for Reader<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reader({} of {:?})", self.index, self.console)
    }
}
