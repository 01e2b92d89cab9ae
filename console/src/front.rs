//! A guest's end: a stream of bytes each way.
//!
//! The console that a guest is born with is the SDK's, [`guest_sdk::console`], so that `log` and panics have it
//! from the first instruction on. This is for those that it gets besides: `device/console/<n>` in xenstore, which xl's
//! `channel` makes. The guest lends a page to the daemon and tells it which.

use core::fmt;

use embedded_io::{ErrorKind, ErrorType, Read, ReadReady, Write, WriteReady};
use guest_sdk::abi::Errno;
use guest_sdk::byte_ring::{Consumer, Direction, Producer};
use guest_sdk::event::Port;
use guest_sdk::exec::block_on;
use guest_sdk::grant::{Access, Grant};
use guest_sdk::ring::RingError;
use guest_sdk::shared::Memory;
use guest_sdk::xenbus::{Device, XenbusState};
use guest_sdk::xenstore::{self, Xenstore};

use alloc::rc::Rc;

/// What can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The daemon's indices make no sense.
    BadRing,
    /// The event channel, or the page to lend.
    Hypervisor(Errno),
    /// xenstore failed.
    Store(xenstore::Error),
}

impl From<RingError> for Error {
    fn from(_: RingError) -> Self {
        Self::BadRing
    }
}

impl From<Errno> for Error {
    fn from(error: Errno) -> Self {
        Self::Hypervisor(error)
    }
}

impl From<xenstore::Error> for Error {
    fn from(error: xenstore::Error) -> Self {
        Self::Store(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadRing => f.write_str("console ring broken"),
            Self::Hypervisor(error) => write!(f, "console: {error}"),
            Self::Store(error) => write!(f, "{error}"),
        }
    }
}

impl core::error::Error for Error {}

impl embedded_io::Error for Error {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Other
    }
}

/// A console in `M`.
///
/// The methods of `embedded-io` block, and run other tasks meanwhile.
#[derive(Debug)]
pub struct Console<M> {
    input: Consumer<M>,
    output: Producer<M>,
    port: Port,
}

impl Console<Rc<Grant>> {
    /// Offers console `id` of this domain to the daemon.
    ///
    /// # Errors
    ///
    /// There is no such console, or no page or event channel for it.
    pub async fn open(store: &Xenstore, id: &str) -> Result<Self, Error> {
        let device = Device::frontend(store, "console", id).await?;
        let page = Rc::new(Grant::of_zeroes(device.other(), 1, Access::ReadWrite)?);
        let port = Port::alloc_unbound(device.other())?;
        let publish = async |store: &Xenstore| {
            let device = device.on(store);
            device.write("ring-ref", page.gref().0).await?;
            device.write("port", port.number().0).await
        };
        store.transaction(publish).await?;
        device.switch_state(XenbusState::INITIALISED).await?;
        Ok(Self::new(page, port))
    }
}

impl<M: Memory + Clone> Console<M> {
    /// The console in `memory`, whose other end is told of news by `port`.
    #[must_use]
    pub fn new(memory: M, port: Port) -> Self {
        let input = Consumer::new(memory.clone(), Direction::CONSOLE_IN);
        let output = Producer::new(memory, Direction::CONSOLE_OUT);
        Self { input, output, port }
    }
}

impl<M: Memory> Console<M> {
    fn try_read(&mut self, into: &mut [u8]) -> Result<usize, Error> {
        let len = self.input.read(into)?;
        if len > 0 {
            self.port.notify()?;
        }
        Ok(len)
    }

    fn try_write(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        let len = self.output.write(bytes)?;
        if len > 0 {
            self.port.notify()?;
        }
        Ok(len)
    }

    /// Takes what was typed, and waits for it if there is nothing; says how many bytes.
    ///
    /// # Errors
    ///
    /// The ring is broken.
    pub async fn read_some(&mut self, into: &mut [u8]) -> Result<usize, Error> {
        loop {
            let len = self.try_read(into)?;
            if len > 0 || into.is_empty() {
                return Ok(len);
            }
            self.port.wait().await;
        }
    }

    /// Writes what fits, and waits until something does; says how many bytes.
    ///
    /// # Errors
    ///
    /// The ring is broken.
    pub async fn write_some(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        loop {
            let len = self.try_write(bytes)?;
            if len > 0 || bytes.is_empty() {
                return Ok(len);
            }
            self.port.wait().await;
        }
    }

    /// Waits until the daemon has taken everything.
    ///
    /// # Errors
    ///
    /// The ring is broken.
    pub async fn drained(&mut self) -> Result<(), Error> {
        while !self.output.is_drained() {
            self.output.free()?;
            self.port.wait().await;
        }
        Ok(())
    }
}

impl<M> ErrorType for Console<M> {
    type Error = Error;
}

impl<M: Memory> Read for Console<M> {
    fn read(&mut self, into: &mut [u8]) -> Result<usize, Error> {
        block_on(self.read_some(into))
    }
}

impl<M: Memory> Write for Console<M> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        block_on(self.write_some(bytes))
    }

    fn flush(&mut self) -> Result<(), Error> {
        block_on(self.drained())
    }
}

impl<M: Memory> ReadReady for Console<M> {
    fn read_ready(&mut self) -> Result<bool, Error> {
        Ok(self.input.available()? > 0)
    }
}

impl<M: Memory> WriteReady for Console<M> {
    fn write_ready(&mut self) -> Result<bool, Error> {
        Ok(self.output.free()? > 0)
    }
}
