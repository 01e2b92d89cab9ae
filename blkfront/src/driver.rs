//! The task that connects a disk, and connects it again.

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

/// How long a back end may take to answer what is under way when the disk closes.
const PATIENCE: Duration = Duration::from_secs(5);

/// Times in a row that a back end may refuse to connect.
const REFUSALS: u32 = 3;

/// A disk's driver.
pub(crate) struct Driver {
    pub(crate) device: Device,
    pub(crate) id: String,
    pub(crate) options: Options,
    pub(crate) link: Rc<Link>,
}

/// How a connection ended.
enum End {
    /// The back end wants to close.
    Asked,
    /// The back end is closed, or gone.
    Lost,
    /// Something that no other connection mends.
    Failed(Error),
}

impl Driver {
    /// Keeps the disk connected until it is closed, removed or beyond help.
    pub(crate) async fn run(self) {
        let error = match race(self.stay_connected(), self.link.close_requested()).await {
            Either::First(error) => error,
            Either::Second(()) => Error::Closed,
        };
        self.link.ended(error);
        if !matches!(error, Error::Closed | Error::Removed) {
            log::warn!("blkfront: disk {}: {error}", self.id);
        }
        if let Err(error) = self.close().await {
            log::warn!("blkfront: closing disk {}: {error}", self.id);
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

    /// One connection, from its making to its end by the other side.
    async fn connection(&self) -> Result<(), Error> {
        let connected = connect(&self.device, &self.id, &self.options).await?;
        let session = connected.session.clone();
        log::info!("blkfront: disk {}: {} sectors", self.id, connected.info.sectors);
        self.link.connected(connected);
        let guard = EndOnDrop { session: &session, link: &self.link };
        let end = self.attend(&session).await;
        self.link.disconnected();
        if let End::Asked = end {
            race(session.drain(), sleep(PATIENCE)).await;
        }
        drop(guard);
        match end {
            End::Failed(error) => Err(error),
            End::Asked | End::Lost => Ok(()),
        }
    }

    /// Takes answers until the back end gives a reason to stop.
    async fn attend(&self, session: &Session) -> End {
        let other = self.device.wait_other(|state| state != XenbusState::CONNECTED);
        match race(session.run(), other).await {
            Either::First(violation) => End::Failed(violation.into()),
            Either::Second(Err(error)) => End::Failed(error.into()),
            Either::Second(Ok(XenbusState::CLOSING)) => End::Asked,
            Either::Second(Ok(_)) => End::Lost,
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
            // The toolstack has removed the disk already.
            Err(error) if error.is_missing() => Ok(()),
            done => done,
        }
    }
}

/// Ends a session with the connection it belongs to, also when the driver is interrupted.
struct EndOnDrop<'a> {
    session: &'a Session,
    link: &'a Link,
}

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.link.disconnected();
        self.session.end();
    }
}
