//! The task that connects an interface, and connects it again.

use alloc::rc::Rc;
use alloc::string::String;
use core::time::Duration;

use guest_sdk::exec::{Either, race, sleep};
use guest_sdk::xenbus::{Device, XenbusState};
use guest_sdk::xenstore;

use crate::connect::{connect, still_wanted};
use crate::link::Link;
use crate::session::Session;
use crate::{Error, Options};

/// How long a back end may take to send what is under way when the interface closes.
const PATIENCE: Duration = Duration::from_secs(5);

/// Times in a row that a back end may refuse to connect.
const REFUSALS: u32 = 3;

/// An interface's driver.
pub(crate) struct Driver {
    pub(crate) device: Device,
    pub(crate) id: String,
    pub(crate) options: Options,
    pub(crate) link: Rc<Link>,
}

/// How a connection ended.
enum End {
    /// The user closes the interface.
    Closed,
    /// The back end closes, or is gone.
    Lost,
    /// Something that no other connection mends.
    Failed(Error),
}

impl Driver {
    /// Keeps the interface connected until it is closed, removed or beyond help.
    pub(crate) async fn run(self) {
        let error = self.stay_connected().await;
        self.link.ended(error);
        if !matches!(error, Error::Closed | Error::Removed) {
            log::warn!("netfront: interface {}: {error}", self.id);
        }
        if let Err(error) = self.close().await {
            log::warn!("netfront: closing interface {}: {error}", self.id);
        }
        self.link.set_closed();
    }

    /// Connects, again and again, until that is of no use any more.
    async fn stay_connected(&self) -> Error {
        let mut refusals = 0;
        loop {
            match self.connection().await {
                Err(Error::Refused) if refusals < REFUSALS => refusals += 1,
                Err(error) => return error,
                Ok(()) => refusals = 0,
            }
            if let Err(error) = self.reopen().await {
                return error;
            }
        }
    }

    /// One connection, from its making to its end by either side.
    async fn connection(&self) -> Result<(), Error> {
        let connecting = connect(&self.device, &self.options);
        let connected = match race(connecting, self.link.close_requested()).await {
            Either::First(connected) => connected?,
            Either::Second(()) => return Err(Error::Closed),
        };
        let session = connected.session.clone();
        log::info!("netfront: interface {}: {}", self.id, connected.info.mac);
        self.link.connected(connected);
        let end = self.attend(&session).await;
        self.link.disconnected();
        if let End::Closed = end {
            race(session.drain(), sleep(PATIENCE)).await;
        }
        session.end();
        match end {
            End::Failed(error) => Err(error),
            End::Closed => Err(Error::Closed),
            End::Lost => Ok(()),
        }
    }

    /// Passes events on until an end gives a reason to stop.
    async fn attend(&self, session: &Session) -> End {
        let other = self.device.wait_other(|state| state != XenbusState::CONNECTED);
        let work = race(session.run(), other);
        match race(work, self.link.close_requested()).await {
            Either::First(Either::First(violation)) => End::Failed(violation.into()),
            Either::First(Either::Second(Err(error))) => End::Failed(error.into()),
            Either::First(Either::Second(Ok(_))) => End::Lost,
            Either::Second(()) => End::Closed,
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
            // The toolstack has removed the interface already.
            Err(error) if error.is_missing() => Ok(()),
            done => done,
        }
    }
}
