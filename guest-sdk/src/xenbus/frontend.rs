//! The life of a front end, the same for every kind of device: it waits for its back end, connects, connects again
//! when the back end comes back, and closes.
//!
//! A driver says in [`Protocol`] what is exchanged to connect and what a connection is; [`Frontend`] is what its users
//! hold. A task of its own does the rest.

mod driver;
mod link;

use alloc::{
    rc::Rc,
    string::{String, ToString},
    vec::Vec,
};
use core::fmt;

use xen_abi::Errno;

use super::{Device, XenbusState};
use crate::{
    exec,
    xenstore::{self, Xenstore},
};
use driver::Driver;
use link::Link;

/// A kind of device, as its front end speaks with its back end.
#[allow(async_fn_in_trait, reason = "tasks stay on their vCPU, so no future has to be `Send`")]
pub trait Protocol: 'static {
    /// Its name in xenstore, such as "vbd".
    const KIND: &'static str;
    /// What stands before a device's number in the log, such as "blkfront: disk".
    const NAME: &'static str;
    /// What passes while it is connected.
    type Session: Session<Error = Self::Error>;
    /// What the device is while it is connected.
    type Info: Clone + fmt::Debug;
    /// Why it is of no use any more.
    type Error: From<Error> + Copy + PartialEq + fmt::Display;

    /// Goes through all states from the one found to [`XenbusState::CONNECTED`]; [`await_offer`] and
    /// [`await_connected`] are the parts that are everybody's.
    ///
    /// # Errors
    ///
    /// After [`Error::Refused`] it is tried again, a few times.
    async fn connect(&self, device: &Device, id: &str) -> Result<Connected<Self>, Self::Error>;
}

/// A connection to a back end.
#[allow(async_fn_in_trait, reason = "tasks stay on their vCPU, so no future has to be `Send`")]
pub trait Session {
    /// What the back end may do that no other connection mends.
    type Error;

    /// Passes events on until the back end breaks the protocol.
    async fn run(&self) -> Self::Error;

    /// Waits for what is under way, if that is to be done when `by` closes. It may be given up.
    async fn drain(&self, by: Closer);

    /// Ends the connection: everybody who waits is told.
    fn end(&self);

    /// Whether nothing passes any more.
    fn is_over(&self) -> bool;
}

/// Who closes a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closer {
    /// This end's user.
    FrontEnd,
    /// The other end.
    BackEnd,
}

/// A connection and what the device is as long as it lasts.
#[derive(Debug)]
pub struct Connected<P: Protocol + ?Sized> {
    /// The connection.
    pub session: Rc<P::Session>,
    /// The device.
    pub info: P::Info,
}

impl<P: Protocol> Clone for Connected<P> {
    fn clone(&self) -> Self {
        Self { session: self.session.clone(), info: self.info.clone() }
    }
}

/// What keeps a device of any kind from being used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// No pages or grants are left for what the back end is to see.
    NoMemory(Errno),
    /// No event channel.
    Port(Errno),
    /// It was closed by this end.
    Closed,
    /// The toolstack took it away.
    Removed,
    /// The back end would not connect.
    Refused,
    /// xenstore failed.
    Store(xenstore::Error),
}

impl From<xenstore::Error> for Error {
    fn from(error: xenstore::Error) -> Self {
        Self::Store(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoMemory(error) => write!(f, "no memory to lend: {error}"),
            Self::Port(error) => write!(f, "event channel: {error}"),
            Self::Closed => f.write_str("device closed"),
            Self::Removed => f.write_str("device removed"),
            Self::Refused => f.write_str("back end refused to connect"),
            Self::Store(error) => write!(f, "{error}"),
        }
    }
}

impl core::error::Error for Error {}

/// A front end. Clones are the same; when the last one is dropped it is closed.
pub struct Frontend<P: Protocol> {
    handle: Rc<Handle<P>>,
}

impl<P: Protocol> Clone for Frontend<P> {
    fn clone(&self) -> Self {
        Self { handle: self.handle.clone() }
    }
}

/// Closes the front end with its last user.
struct Handle<P: Protocol> {
    link: Rc<Link<P>>,
}

impl<P: Protocol> Drop for Handle<P> {
    fn drop(&mut self) {
        self.link.close();
    }
}

impl<P: Protocol> Frontend<P> {
    /// The numbers of this domain's devices, as [`open`](Self::open) takes them.
    ///
    /// # Errors
    ///
    /// xenstore's.
    pub async fn list(store: &Xenstore) -> xenstore::Result<Vec<String>> {
        super::frontends(store, P::KIND).await
    }

    /// Opens device `id` and waits until it is connected.
    ///
    /// # Errors
    ///
    /// There is no such device, its back end does not connect, or something that both need is not to be had.
    pub async fn open(store: &Xenstore, id: &str, protocol: P) -> Result<Self, P::Error> {
        let device = Device::frontend(store, P::KIND, id).await.map_err(Error::Store)?;
        let link = Rc::new(Link::default());
        drop(exec::spawn(Driver { device, id: id.to_string(), protocol, link: link.clone() }.run()));
        let frontend = Self { handle: Rc::new(Handle { link }) };
        frontend.connected().await?;
        Ok(frontend)
    }

    /// The connection, once there is one.
    ///
    /// # Errors
    ///
    /// Why there will be none.
    pub async fn connected(&self) -> Result<Connected<P>, P::Error> {
        self.handle.link.get().await
    }

    /// The connection, if there is one now.
    ///
    /// # Errors
    ///
    /// Why there will be none.
    pub fn connected_now(&self) -> Result<Option<Connected<P>>, P::Error> {
        self.handle.link.now()
    }

    /// Closes the front end and waits until its back end knows.
    pub async fn close(self) {
        self.handle.link.close();
        self.handle.link.closed().await;
    }
}

impl<P: Protocol> fmt::Debug for Frontend<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.handle.link.fmt(f)
    }
}

/// Waits for a back end that waits for us. One that is still connected, to whoever ran in this domain before, is
/// asked to close first.
///
/// # Errors
///
/// [`Error::Removed`]; the store's.
pub async fn await_offer(device: &Device) -> Result<(), Error> {
    let mut states = device.watch_other().await?;
    loop {
        match states.next().await? {
            XenbusState::INIT_WAIT => return Ok(()),
            XenbusState::INITIALISED | XenbusState::CONNECTED => {
                device.switch_state(XenbusState::CLOSING).await?;
            }
            XenbusState::CLOSING => {
                still_wanted(device).await?;
                device.switch_state(XenbusState::CLOSED).await?;
            }
            XenbusState::CLOSED => {
                still_wanted(device).await?;
                device.switch_state(XenbusState::INITIALISING).await?;
            }
            XenbusState::UNKNOWN => still_wanted(device).await?,
            _ => {}
        }
    }
}

/// Waits for the back end to have taken what we offer.
///
/// # Errors
///
/// [`Error::Refused`]; the store's.
pub async fn await_connected(device: &Device) -> Result<(), Error> {
    let wanted = |state| {
        !matches!(state, XenbusState::INITIALISING | XenbusState::INIT_WAIT | XenbusState::INITIALISED)
    };
    match device.wait_other(wanted).await? {
        XenbusState::CONNECTED => Ok(()),
        _ => Err(Error::Refused),
    }
}

/// Whether the toolstack wants the device to stay when an end of it closes.
async fn still_wanted(device: &Device) -> Result<(), Error> {
    match device.read_other_if_there("online").await? {
        Some(1) => Ok(()),
        _ => Err(Error::Removed),
    }
}
