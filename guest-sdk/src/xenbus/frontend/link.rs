//! What users of a device and its driver share: the connection of the moment.

use core::cell::{Cell, RefCell};
use core::fmt;

use super::{Connected, Protocol, Session};
use crate::exec::Waiters;

enum State<P: Protocol> {
    Waiting,
    Connected(Connected<P>),
    /// For good.
    Ended(P::Error),
}

/// The connection of the moment, if any.
pub(super) struct Link<P: Protocol> {
    state: RefCell<State<P>>,
    waiting: Waiters,
    /// The user wants the device closed.
    closing: Cell<bool>,
    /// Both ends are closed, or the other one is not going to.
    closed: Cell<bool>,
}

impl<P: Protocol> Default for Link<P> {
    fn default() -> Self {
        Self {
            state: State::Waiting.into(),
            waiting: Waiters::default(),
            closing: Cell::default(),
            closed: Cell::default(),
        }
    }
}

impl<P: Protocol> Link<P> {
    fn set(&self, state: State<P>) {
        self.state.replace(state);
        self.waiting.wake();
    }

    /// A new connection is there.
    pub(super) fn connected(&self, connected: Connected<P>) {
        self.set(State::Connected(connected));
    }

    /// The connection is at an end, and there will be another.
    pub(super) fn disconnected(&self) {
        self.set(State::Waiting);
    }

    /// There will be no other.
    pub(super) fn ended(&self, error: P::Error) {
        self.set(State::Ended(error));
    }

    /// The connection, if there is one now.
    pub(super) fn now(&self) -> Result<Option<Connected<P>>, P::Error> {
        match &*self.state.borrow() {
            State::Connected(connected) if !connected.session.is_over() => Ok(Some(connected.clone())),
            State::Connected(_) | State::Waiting => Ok(None),
            State::Ended(error) => Err(*error),
        }
    }

    /// The connection, once there is one.
    pub(super) async fn get(&self) -> Result<Connected<P>, P::Error> {
        self.waiting.wait_for(|| self.now().transpose()).await
    }

    /// Waits until the driver is done.
    pub(super) async fn closed(&self) {
        self.waiting.wait_for(|| self.closed.get().then_some(())).await;
    }

    /// The driver is done.
    pub(super) fn set_closed(&self) {
        self.closed.set(true);
        self.waiting.wake();
    }

    /// Asks the driver to close the device.
    pub(super) fn close(&self) {
        self.closing.set(true);
        self.waiting.wake();
    }

    /// Waits until somebody asks to.
    pub(super) async fn close_requested(&self) {
        self.waiting.wait_for(|| self.closing.get().then_some(())).await;
    }
}

impl<P: Protocol> fmt::Debug for Link<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.state.borrow() {
            State::Waiting => f.write_str("waiting"),
            State::Connected(connected) => write!(f, "{:?}", connected.info),
            State::Ended(error) => write!(f, "{error}"),
        }
    }
}
