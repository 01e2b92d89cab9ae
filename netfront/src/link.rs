//! What users of an interface and its driver share: the connection of the moment.

use alloc::rc::Rc;
use core::cell::{Cell, RefCell};
use core::fmt;

use crate::session::Session;
use crate::waiters::Waiters;
use crate::{Error, Info};

/// A connection and what the interface is as long as it lasts.
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
    waiting: Waiters,
    /// The user wants the interface closed.
    closing: Cell<bool>,
    /// Both ends are closed, or the other one is not going to.
    closed: Cell<bool>,
}

impl Link {
    fn set(&self, state: State) {
        self.state.replace(state);
        self.waiting.wake();
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

    /// The connection, if there is one now.
    ///
    /// # Errors
    ///
    /// Why there will be none.
    pub(crate) fn now(&self) -> Result<Option<Connected>, Error> {
        match &*self.state.borrow() {
            State::Connected(connected) if !connected.session.is_over() => Ok(Some(connected.clone())),
            State::Connected(_) | State::Waiting => Ok(None),
            State::Ended(error) => Err(*error),
        }
    }

    /// The connection, once there is one.
    ///
    /// # Errors
    ///
    /// Why there will be none.
    pub(crate) async fn get(&self) -> Result<Connected, Error> {
        self.waiting.wait_for(|| self.now().transpose()).await
    }

    /// Waits until the driver is done.
    pub(crate) async fn closed(&self) {
        self.waiting.wait_for(|| self.closed.get().then_some(())).await;
    }

    /// The driver is done.
    pub(crate) fn set_closed(&self) {
        self.closed.set(true);
        self.waiting.wake();
    }

    /// Asks the driver to close the interface.
    pub(crate) fn close(&self) {
        self.closing.set(true);
        self.waiting.wake();
    }

    /// Waits until somebody asks to.
    pub(crate) async fn close_requested(&self) {
        self.waiting.wait_for(|| self.closing.get().then_some(())).await;
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
