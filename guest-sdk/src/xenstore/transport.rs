//! How bytes get to the store's daemon and back.

use alloc::{boxed::Box, collections::VecDeque, rc::Rc};
use core::{
    cell::RefCell,
    fmt,
    future::Future,
    pin::pin,
    sync::atomic::Ordering,
    task::{Context, Poll, Waker},
};

use xen_abi::{Domid, Errno, EvtchnPort, Gfn, hvm::param};

use crate::{
    arch,
    byte_ring::{Consumer, Direction, Producer},
    event::Port,
    hypercall::hvm,
    ring::RingError,
    shared::{Memory, SharedMemory},
    system::system,
};

/// One end of a stream of bytes in both directions.
pub trait Transport {
    /// Takes what has come, as far as `into` holds it; says how many bytes.
    ///
    /// # Errors
    ///
    /// `EIO` when the other end is broken or gone.
    fn read(&mut self, into: &mut [u8]) -> Result<usize, Errno>;

    /// Sends what fits now; says how many bytes.
    ///
    /// # Errors
    ///
    /// `EIO` when the other end is broken or gone.
    fn write(&mut self, from: &[u8]) -> Result<usize, Errno>;

    /// Ready when reading or writing may get further than the last time.
    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<()>;
}

impl From<RingError> for Errno {
    fn from(_: RingError) -> Self {
        Self::EIO
    }
}

/// The ring of one page and an event channel, as either end sees it.
pub struct RingTransport<M> {
    input: Consumer<Rc<M>>,
    output: Producer<Rc<M>>,
    port: Port,
}

/// The page that the toolstack put into this domain's memory map for the store. It carries one
/// stream each way, so there is only one of these.
#[derive(Debug)]
pub struct StorePage {
    page: SharedMemory,
    _token: Token,
}

impl Memory for StorePage {
    fn shared(&self) -> &SharedMemory {
        &self.page
    }
}

/// The right to use the domain's ring.
#[derive(Debug)]
struct Token(arch::Home);

impl Token {
    fn take() -> Result<Self, Errno> {
        if system().store_in_use.swap(true, Ordering::AcqRel) {
            return Err(Errno::EBUSY);
        }
        Ok(Self(arch::home()))
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        arch::within(self.0, || {
            system().store_in_use.store(false, Ordering::Release);
        });
    }
}

impl RingTransport<StorePage> {
    /// The ring that the toolstack made for this domain. While it says that there will be one, this
    /// waits for it.
    pub(super) async fn of_this_domain() -> Result<Self, Errno> {
        let token = Token::take()?;
        let port = hvm::get_param(Domid::SELF, param::STORE_EVTCHN)?;
        let port = EvtchnPort(u32::try_from(port).map_err(|_| Errno::EINVAL)?);
        if port == EvtchnPort::NONE {
            return Err(Errno::ENOENT);
        }
        let port = Port::adopt(port)?;
        let gfn = loop {
            match Gfn(hvm::get_param(Domid::SELF, param::STORE_PFN)?) {
                Gfn(0) => return Err(Errno::ENOENT),
                Gfn::INVALID => port.wait().await,
                gfn => break gfn,
            }
        };
        let page = arch::map_magic(gfn).ok_or(Errno::ENOMEM)?;
        let page = StorePage { page, _token: token };
        Ok(Self::guest(page, port))
    }
}

impl<M: Memory> RingTransport<M> {
    /// The guest's end of the ring in `page`.
    pub fn guest(page: M, port: Port) -> Self {
        let page = Rc::new(page);
        Self {
            input: Consumer::new(page.clone(), Direction::STORE_REPLIES),
            output: Producer::new(page, Direction::STORE_REQUESTS),
            port,
        }
    }

    /// The daemon's end of the ring in `page`.
    pub fn daemon(page: M, port: Port) -> Self {
        let page = Rc::new(page);
        Self {
            input: Consumer::new(page.clone(), Direction::STORE_REQUESTS),
            output: Producer::new(page, Direction::STORE_REPLIES),
            port,
        }
    }

    /// Its event channel.
    pub fn port(&self) -> &Port {
        &self.port
    }
}

impl<M: Memory> Transport for RingTransport<M> {
    fn read(&mut self, into: &mut [u8]) -> Result<usize, Errno> {
        let n = self.input.read(into)?;
        if n > 0 {
            self.port.notify()?;
        }
        Ok(n)
    }

    fn write(&mut self, from: &[u8]) -> Result<usize, Errno> {
        let n = self.output.write(from)?;
        if n > 0 {
            self.port.notify()?;
        }
        Ok(n)
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        pin!(self.port.wait()).poll(cx)
    }
}

impl<M> fmt::Debug for RingTransport<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RingTransport({:?})", self.port)
    }
}

/// Bytes that a [`Pipe`] holds in each direction before its writer has to wait.
const PIPE_SIZE: usize = 4096;

#[derive(Default)]
struct Stream {
    bytes: VecDeque<u8>,
    closed: bool,
    /// How often something moved.
    moves: u64,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Stream {
    fn close(&mut self) {
        self.closed = true;
        self.moved();
    }

    fn moved(&mut self) {
        self.moves += 1;
        for waker in [self.reader.take(), self.writer.take()].into_iter().flatten() {
            waker.wake();
        }
    }
}

/// One end of a [`pipe`]. When it is dropped the other end's transfers fail.
pub struct Pipe {
    input: Rc<RefCell<Stream>>,
    output: Rc<RefCell<Stream>>,
    /// What had moved in either direction at the last event.
    seen: Option<(u64, u64)>,
}

/// A connection within a program: two ends.
pub fn pipe() -> (Pipe, Pipe) {
    let (a, b) = (Rc::<RefCell<Stream>>::default(), Rc::default());
    let one = Pipe { input: Rc::clone(&a), output: Rc::clone(&b), seen: None };
    let other = Pipe { input: b, output: a, seen: None };
    (one, other)
}

impl Transport for Pipe {
    fn read(&mut self, into: &mut [u8]) -> Result<usize, Errno> {
        let mut stream = self.input.borrow_mut();
        if stream.bytes.is_empty() && stream.closed {
            return Err(Errno::EIO);
        }
        let n = into.len().min(stream.bytes.len());
        for (to, from) in into.iter_mut().zip(stream.bytes.drain(..n)) {
            *to = from;
        }
        if n > 0 {
            stream.moved();
        }
        Ok(n)
    }

    fn write(&mut self, from: &[u8]) -> Result<usize, Errno> {
        let mut stream = self.output.borrow_mut();
        if stream.closed {
            return Err(Errno::EIO);
        }
        let n = from.len().min(PIPE_SIZE - stream.bytes.len());
        stream.bytes.extend(&from[..n]);
        if n > 0 {
            stream.moved();
        }
        Ok(n)
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let (mut input, mut output) = (self.input.borrow_mut(), self.output.borrow_mut());
        let moves = Some((input.moves, output.moves));
        if self.seen != moves {
            self.seen = moves;
            return Poll::Ready(());
        }
        input.reader = Some(cx.waker().clone());
        output.writer = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        self.input.borrow_mut().close();
        self.output.borrow_mut().close();
    }
}

impl fmt::Debug for Pipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.input.borrow().bytes.len();
        write!(f, "Pipe({bytes} bytes to read)")
    }
}

/// Boxed transports are transports.
impl Transport for Box<dyn Transport> {
    fn read(&mut self, into: &mut [u8]) -> Result<usize, Errno> {
        (**self).read(into)
    }

    fn write(&mut self, from: &[u8]) -> Result<usize, Errno> {
        (**self).write(from)
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        (**self).poll_event(cx)
    }
}
