//! One connection to the back end, from the exchange of rings to its end.

use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::fmt;

use guest_sdk::event::Port;
use guest_sdk::exec::{Either, Waiters, race};
use guest_sdk::xenbus::frontend::{self, Closer, Session as _};

use crate::receive::Receive;
use crate::transmit::Transmit;
use crate::{Counters, Error, Violation};

/// A connection.
pub(crate) struct Session {
    transmit: RefCell<Transmit>,
    receive: RefCell<Receive>,
    port: Port,
    /// No frames pass any more.
    ended: Cell<bool>,
    /// What the back end did that none may do.
    broken: Cell<Option<Violation>>,
    counters: Cell<Counters>,
    waiting: Waiters,
}

impl Session {
    /// A connection by two rings and `port`.
    pub(crate) fn new(transmit: Transmit, receive: Receive, port: Port) -> Self {
        Self {
            transmit: transmit.into(),
            receive: receive.into(),
            port,
            ended: Cell::new(false),
            broken: Cell::new(None),
            counters: Cell::default(),
            waiting: Waiters::default(),
        }
    }

    /// What passed so far.
    pub(crate) fn counters(&self) -> Counters {
        Counters {
            not_sent: self.transmit.borrow().failed,
            dropped: self.receive.borrow().dropped,
            ..self.counters.get()
        }
    }

    /// Notes a violation: the driver ends the connection for it.
    fn check<T>(&self, result: Result<T, Violation>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(violation) => {
                self.broken.set(Some(violation));
                self.waiting.wake();
                None
            }
        }
    }

    /// Whether a frame of `len` bytes can be sent now.
    pub(crate) fn has_room(&self, len: usize) -> bool {
        !self.is_over() && self.check(self.transmit.borrow_mut().has_room(len)).unwrap_or(false)
    }

    /// Sends a frame if there is room for it now.
    pub(crate) fn send(&self, frame: &[u8]) -> bool {
        if !self.has_room(frame.len()) {
            return false;
        }
        let Some(notify) = self.check(self.transmit.borrow_mut().put(frame)) else {
            return false;
        };
        if notify {
            self.notify();
        }
        self.count(|counters| counters.sent += 1);
        true
    }

    /// Takes the next frame if one is there.
    pub(crate) fn receive(&self) -> Option<Vec<u8>> {
        if self.is_over() {
            return None;
        }
        let mut receive = self.receive.borrow_mut();
        let frame = self.check(receive.take())?;
        if receive.publish() {
            self.notify();
        }
        self.count(|counters| counters.received += u64::from(frame.is_some()));
        frame
    }

    fn count(&self, f: impl FnOnce(&mut Counters)) {
        let mut counters = self.counters.get();
        f(&mut counters);
        self.counters.set(counters);
    }

    pub(crate) fn notify(&self) {
        // A back end that is gone takes no events; that it is gone is seen in xenstore.
        if let Err(error) = self.port.notify() {
            log::debug!("netfront: {error}");
        }
    }

    /// Waits until `look` finds something; it looks again after each event and at the connection's end.
    pub(crate) async fn wait_for<T>(&self, look: impl FnMut() -> Option<T>) -> T {
        self.waiting.wait_for(look).await
    }

    fn is_draining(&self) -> bool {
        let mut transmit = self.transmit.borrow_mut();
        while transmit.collect().is_ok() && transmit.in_flight() > 0 {
            match transmit.arm() {
                Ok(false) => return true,
                Ok(true) => {}
                Err(_) => return false,
            }
        }
        false
    }
}

impl frontend::Session for Session {
    type Error = Error;

    async fn run(&self) -> Error {
        let events = async {
            loop {
                self.port.wait().await;
                self.waiting.wake();
            }
        };
        match race(self.waiting.wait_for(|| self.broken.get()), events).await {
            Either::First(violation) => violation.into(),
            Either::Second(never) => never,
        }
    }

    /// Waits until the back end has taken all frames sent. One that closes takes none.
    async fn drain(&self, by: Closer) {
        while by == Closer::FrontEnd && self.is_draining() {
            self.port.wait().await;
        }
    }

    /// Rings and pages are given back once the last user has noticed, and the back end let go of them.
    fn end(&self) {
        self.ended.set(true);
        self.waiting.wake();
    }

    /// Whether no frame can pass; all who wait are told when it comes to that.
    fn is_over(&self) -> bool {
        self.ended.get() || self.broken.get().is_some()
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Session({:?})", self.port)
    }
}
