//! An interface, as its users have it.

use alloc::string::String;
use alloc::vec::Vec;

use guest_sdk::xenbus::frontend::{Frontend, Session as _};
use guest_sdk::xenstore::Xenstore;

use crate::connect::Vif;
use crate::{Error, Info, Options};

/// What passed through an interface since it connected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Frames handed to the back end.
    pub sent: u64,
    /// Pages of frames that it could not send.
    pub not_sent: u64,
    /// Frames received.
    pub received: u64,
    /// Frames given up: the back end failed, or left a checksum blank that cannot be filled in.
    pub dropped: u64,
}

/// A network interface. Clones are the same interface; when the last one is dropped it is closed.
///
/// Frames begin with their Ethernet header and end before the check sequence. Those under way when the connection to
/// the back end ends are lost.
#[derive(Clone, Debug)]
pub struct Interface {
    frontend: Frontend<Vif>,
}

impl Interface {
    /// The numbers of this domain's interfaces, as [`open`](Self::open) takes them.
    ///
    /// # Errors
    ///
    /// xenstore's.
    pub async fn list(store: &Xenstore) -> Result<Vec<String>, Error> {
        Ok(Frontend::<Vif>::list(store).await?)
    }

    /// Opens interface `id` and waits until it is connected.
    ///
    /// # Errors
    ///
    /// There is no such interface, its back end does not connect, or something that both need is not to be had.
    pub async fn open(store: &Xenstore, id: &str, options: Options) -> Result<Self, Error> {
        let frontend = Frontend::open(store, id, Vif { options: options.bounded() }).await?;
        Ok(Self { frontend })
    }

    /// What the interface is now. Waits while it is not connected.
    ///
    /// # Errors
    ///
    /// The interface is gone.
    pub async fn info(&self) -> Result<Info, Error> {
        Ok(self.frontend.connected().await?.info)
    }

    /// What passed so far. Waits while the interface is not connected.
    ///
    /// # Errors
    ///
    /// The interface is gone.
    pub async fn counters(&self) -> Result<Counters, Error> {
        Ok(self.frontend.connected().await?.session.counters())
    }

    /// Sends a frame, its checksums filled in. Waits while there is no room for it.
    ///
    /// # Errors
    ///
    /// [`Error::FrameSize`]; the interface is gone.
    pub async fn send(&self, frame: &[u8]) -> Result<(), Error> {
        loop {
            let connected = self.frontend.connected().await?;
            if frame.is_empty() || frame.len() > connected.info.max_frame() {
                return Err(Error::FrameSize);
            }
            let session = &connected.session;
            if session.wait_for(|| sent_or_over(session.send(frame), session.is_over())).await {
                return Ok(());
            }
        }
    }

    /// Waits for the next frame.
    ///
    /// # Errors
    ///
    /// The interface is gone.
    pub async fn receive(&self) -> Result<Vec<u8>, Error> {
        loop {
            let session = self.frontend.connected().await?.session;
            let next = || match session.receive() {
                Some(frame) => Some(Some(frame)),
                None => session.is_over().then_some(None),
            };
            if let Some(frame) = session.wait_for(next).await {
                return Ok(frame);
            }
        }
    }

    /// Sends a frame if that is possible at once; says whether it was.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn try_send(&self, frame: &[u8]) -> Result<bool, Error> {
        let Some(connected) = self.frontend.connected_now()? else {
            return Ok(false);
        };
        if frame.is_empty() || frame.len() > connected.info.max_frame() {
            return Err(Error::FrameSize);
        }
        Ok(connected.session.send(frame))
    }

    /// Takes the next frame if it is there.
    ///
    /// # Errors
    ///
    /// The interface is gone.
    pub fn try_receive(&self) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.frontend.connected_now()?.and_then(|connected| connected.session.receive()))
    }

    /// Whether the largest frame could be sent at once.
    ///
    /// # Errors
    ///
    /// The interface is gone.
    pub fn can_send(&self) -> Result<bool, Error> {
        let connected = self.frontend.connected_now()?;
        Ok(connected.is_some_and(|connected| connected.session.has_room(connected.info.max_frame())))
    }

    /// Waits until the back end gives an event, or the connection ends: then frames may be there, or room for them,
    /// that were not when [`try_receive`](Self::try_receive) and [`try_send`](Self::try_send) last said so.
    ///
    /// # Errors
    ///
    /// The interface is gone.
    pub async fn changed(&self) -> Result<(), Error> {
        let session = self.frontend.connected().await?.session;
        let mut looked = false;
        let change = || (core::mem::replace(&mut looked, true) || session.is_over()).then_some(());
        session.wait_for(change).await;
        Ok(())
    }

    /// Closes the interface and waits until its back end knows.
    pub async fn close(self) {
        self.frontend.close().await;
    }
}

/// Whether a frame was sent, or never will be; nothing while it has to wait.
fn sent_or_over(sent: bool, over: bool) -> Option<bool> {
    (sent || over).then_some(sent)
}
