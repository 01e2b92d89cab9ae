//! What users of a disk and its driver share: the connection of the moment.

use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::fmt;
use core::future::poll_fn;
use core::task::{Context, Poll, Waker};

use crate::{Error, Info, session::Session};

/// A connection and what the disk is as long as it lasts.
#[derive(Clone, Debug)]
pub(crate) struct Connected {
    pub(crate) session: Rc<Session>,
    pub(crate) info: Info,
}

#[derive(Default)]
enum State {
    #[default]
    Waiting,
    Connected(Connected),
    /// For good.
    Ended(Error),
}

/// The connection of the moment, if any.
#[derive(Default)]
pub(crate) struct Link {
    state: RefCell<State>,
    /// Whoever waits for the state to change.
    waiting: RefCell<Vec<Waker>>,
    /// The user wants the disk closed.
    closing: Cell<bool>,
    /// Both ends are closed, or the other one is not going to.
    closed: Cell<bool>,
}

impl Link {
    fn set(&self, state: State) {
        self.state.replace(state);
        self.wake();
    }

    fn wake(&self) {
        self.waiting.take().into_iter().for_each(Waker::wake);
    }

    /// A new connection is there.
    pub(crate) fn connected(&self, connected: Connected) {
        self.set(State::Connected(connected));
    }

    /// The connection is at an end, and there will be another.
    pub(crate) fn disconnected(&self) {
        self.set(State::Waiting);
    }

    /// There will be no other.
    pub(crate) fn ended(&self, error: Error) {
        self.set(State::Ended(error));
    }

    /// The connection, once there is one.
    ///
    /// # Errors
    ///
    /// Why there will be none.
    pub(crate) async fn get(&self) -> Result<Connected, Error> {
        poll_fn(|cx| {
            let result = match &*self.state.borrow() {
                State::Connected(connected) => Ok(connected.clone()),
                State::Ended(error) => Err(*error),
                State::Waiting => {
                    self.register(cx);
                    return Poll::Pending;
                }
            };
            Poll::Ready(result)
        })
        .await
    }

    /// Waits until the driver is done.
    pub(crate) async fn closed(&self) {
        poll_fn(|cx| {
            if self.closed.get() {
                return Poll::Ready(());
            }
            self.register(cx);
            Poll::Pending
        })
        .await;
    }

    /// The driver is done.
    pub(crate) fn set_closed(&self) {
        self.closed.set(true);
        self.wake();
    }

    /// Asks the driver to close the disk.
    pub(crate) fn close(&self) {
        self.closing.set(true);
        self.wake();
    }

    /// Waits until somebody asks to.
    pub(crate) async fn close_requested(&self) {
        poll_fn(|cx| {
            if self.closing.get() {
                return Poll::Ready(());
            }
            self.register(cx);
            Poll::Pending
        })
        .await;
    }

    fn register(&self, cx: &Context<'_>) {
        let mut waiting = self.waiting.borrow_mut();
        if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            waiting.push(cx.waker().clone());
        }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.state.borrow() {
            State::Waiting => f.write_str("waiting"),
            State::Connected(connected) => write!(f, "{:?}", connected.info),
            State::Ended(error) => write!(f, "{error}"),
        }
    }
}
