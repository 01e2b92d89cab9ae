//! The task that connects a device, and connects it again.

use alloc::{rc::Rc, string::String};
use core::time::Duration;

use super::{Closer, Error, Link, Protocol, Session, still_wanted};
use crate::{
    exec::{Either, race, sleep},
    xenbus::{Device, XenbusState},
    xenstore,
};

/// How long a back end may take with what is under way when the device closes, and with closing itself.
const PATIENCE: Duration = Duration::from_secs(5);

/// Times in a row that a back end may refuse to connect.
const REFUSALS: u32 = 3;

/// A device's driver.
pub(super) struct Driver<P: Protocol> {
    pub(super) device: Device,
    pub(super) id: String,
    pub(super) protocol: P,
    pub(super) link: Rc<Link<P>>,
}

/// How a connection ended.
enum End<E> {
    /// Somebody closes it.
    Closed(Closer),
    /// The back end is closed, or gone.
    Lost,
    /// Something that no other connection mends.
    Failed(E),
}

impl<P: Protocol> Driver<P> {
    /// Keeps the device connected until it is closed, removed or beyond help.
    pub(super) async fn run(self) {
        let error = self.stay_connected().await;
        self.link.ended(error);
        if ![Error::Closed, Error::Removed].map(P::Error::from).contains(&error) {
            log::warn!("{} {}: {error}", P::NAME, self.id);
        }
        if let Err(error) = self.close().await {
            log::warn!("{} {}: closing: {error}", P::NAME, self.id);
        }
        self.link.set_closed();
    }

    /// Connects, again and again, until that is of no use any more.
    async fn stay_connected(&self) -> P::Error {
        let mut refusals = 0;
        loop {
            match self.connection().await {
                Err(error) if error == Error::Refused.into() && refusals < REFUSALS => refusals += 1,
                Err(error) => return error,
                Ok(()) => refusals = 0,
            }
            if let Err(error) = self.reopen().await {
                return error.into();
            }
        }
    }

    /// One connection, from its making to its end by either side.
    async fn connection(&self) -> Result<(), P::Error> {
        let connecting = self.protocol.connect(&self.device, &self.id);
        let connected = match race(connecting, self.link.close_requested()).await {
            Either::First(connected) => connected?,
            Either::Second(()) => return Err(Error::Closed.into()),
        };
        let session = connected.session.clone();
        self.link.connected(connected);
        let end = self.attend(&session).await;
        self.link.disconnected();
        if let End::Closed(by) = end {
            race(session.drain(by), sleep(PATIENCE)).await;
        }
        session.end();
        match end {
            End::Failed(error) => Err(error),
            End::Closed(Closer::FrontEnd) => Err(Error::Closed.into()),
            End::Closed(Closer::BackEnd) | End::Lost => Ok(()),
        }
    }

    /// Passes events on until an end gives a reason to stop.
    async fn attend(&self, session: &P::Session) -> End<P::Error> {
        let other = self.device.wait_other(|state| state != XenbusState::CONNECTED);
        let work = race(session.run(), other);
        match race(work, self.link.close_requested()).await {
            Either::First(Either::First(error)) => End::Failed(error),
            Either::First(Either::Second(Err(error))) => End::Failed(Error::Store(error).into()),
            Either::First(Either::Second(Ok(XenbusState::CLOSING))) => End::Closed(Closer::BackEnd),
            Either::First(Either::Second(Ok(_))) => End::Lost,
            Either::Second(()) => End::Closed(Closer::FrontEnd),
        }
    }

    /// Gets ready for another connection.
    async fn reopen(&self) -> Result<(), Error> {
        self.device.switch_state(XenbusState::CLOSED).await?;
        still_wanted(&self.device).await?;
        Ok(self.device.switch_state(XenbusState::INITIALISING).await?)
    }

    /// Closes our end for good, after the back end had time to close its own.
    async fn close(&self) -> xenstore::Result<()> {
        if self.device.other_state().await? == XenbusState::CONNECTED {
            self.device.switch_state(XenbusState::CLOSING).await?;
            let closed = self.device.wait_other(|state| state != XenbusState::CONNECTED);
            race(closed, sleep(PATIENCE)).await;
        }
        match self.device.switch_state(XenbusState::CLOSED).await {
            // The toolstack has removed the device already.
            Err(error) if error.is_missing() => Ok(()),
            done => done,
        }
    }
}
