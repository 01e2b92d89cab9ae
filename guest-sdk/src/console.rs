//! The domain's console: where `log` and panics print, and what `embedded-io` reads and writes.
//!
//! A domain that the toolstack built has a ring to the console daemon. Dom0, and a domain that the
//! hypervisor built at boot, use the hypervisor's own console. A domain with neither prints
//! nowhere.
//!
//! The ring is looked at anew for each transfer, so that a panic can print whatever was going on.

use alloc::vec::Vec;
use core::{fmt, time::Duration};

use embedded_io::{ErrorKind, ErrorType, Read, ReadReady, Write};
use spin::Once;
use xen_abi::{Domid, Errno, EvtchnPort, Gfn, VcpuId, hvm::param, xen::virq};

use crate::{
    arch,
    byte_ring::{Consumer, Direction, Producer},
    event::Port,
    exec,
    hypercall::{console_io, event_channel, hvm, sched},
    lock::IrqLock,
    shared::SharedMemory,
    system::system,
    time::{Instant, now},
};

/// How long a full ring is waited for. After that the reader is taken for gone, and output is lost
/// until there is room again.
const PATIENCE: Duration = Duration::from_secs(1);

/// To the start of the line, and all of it away.
const CLEAR_LINE: &[u8] = b"\r\x1b[K";

/// What the console is.
enum Place {
    /// The ring to the console daemon.
    Ring(SharedMemory, EvtchnPort),
    /// The hypervisor's console.
    Hypervisor,
    Nowhere,
}

/// The console of a domain.
pub(crate) struct State {
    place: Once<Place>,
    /// Keeps the output of several vCPUs apart. Holds whether the last output was lost.
    writing: IrqLock<bool>,
    /// Tells of input; bound at the first read.
    input: Once<Option<Port>>,
    /// What is drawn anew under each line of the log.
    footer: IrqLock<Vec<u8>>,
}

impl State {
    pub(crate) const fn new() -> Self {
        Self {
            place: Once::new(),
            writing: IrqLock::new(false),
            input: Once::new(),
            footer: IrqLock::new(Vec::new()),
        }
    }

    fn place(&self) -> &Place {
        self.place.call_once(find)
    }
}

/// Finds out what this domain has.
fn find() -> Place {
    ring().or_else(|| console_io::write(b"").is_ok().then_some(Place::Hypervisor)).unwrap_or(Place::Nowhere)
}

fn ring() -> Option<Place> {
    let gfn = hvm::get_param(Domid::SELF, param::CONSOLE_PFN).ok()?;
    let port = hvm::get_param(Domid::SELF, param::CONSOLE_EVTCHN).ok()?;
    let port = EvtchnPort(u32::try_from(port).ok()?);
    if gfn == 0 || port == EvtchnPort::NONE {
        return None;
    }
    Some(Place::Ring(arch::map_magic(Gfn(gfn))?, port))
}

impl Place {
    /// Writes what fits now; says how many bytes.
    fn try_write(&self, bytes: &[u8]) -> Result<usize, Errno> {
        match self {
            Self::Ring(page, port) => {
                let n = Producer::new(page, Direction::CONSOLE_OUT).write(bytes)?;
                event_channel::send(*port)?;
                Ok(n)
            }
            Self::Hypervisor => console_io::write(bytes).map(|()| bytes.len()),
            Self::Nowhere => Ok(bytes.len()),
        }
    }

    fn try_read(&self, into: &mut [u8]) -> Result<usize, Errno> {
        match self {
            Self::Ring(page, port) => {
                let n = Consumer::new(page, Direction::CONSOLE_IN).read(into)?;
                if n > 0 {
                    event_channel::send(*port)?;
                }
                Ok(n)
            }
            Self::Hypervisor => console_io::read(into),
            Self::Nowhere => Ok(0),
        }
    }

    /// Whether all output has been taken.
    #[cfg(target_os = "none")]
    fn is_drained(&self) -> bool {
        match self {
            Self::Ring(page, _) => Producer::new(page, Direction::CONSOLE_OUT).is_drained(),
            _ => true,
        }
    }
}

/// Writes everything by `write`, which says how much it took, waiting for room until `deadline`.
fn write_until(
    mut bytes: &[u8],
    deadline: Instant,
    mut write: impl FnMut(&[u8]) -> Result<usize, Errno>,
) -> Result<(), ConsoleError> {
    while !bytes.is_empty() {
        let n = write(bytes)?;
        bytes = &bytes[n..];
        if n == 0 {
            if now() >= deadline {
                return Err(ConsoleError::Stalled);
            }
            sched::yield_cpu()?;
        }
    }
    Ok(())
}

/// Why the console failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsoleError {
    /// Nobody reads it: the rest of the output is lost.
    Stalled,
    /// The ring is broken, or the hypervisor refused.
    Failed(Errno),
}

impl From<Errno> for ConsoleError {
    fn from(error: Errno) -> Self {
        Self::Failed(error)
    }
}

impl fmt::Display for ConsoleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stalled => f.write_str("console: nobody reads it"),
            Self::Failed(error) => write!(f, "console: {error}"),
        }
    }
}

impl core::error::Error for ConsoleError {}

impl embedded_io::Error for ConsoleError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Stalled => ErrorKind::TimedOut,
            Self::Failed(_) => ErrorKind::Other,
        }
    }
}

/// Writes everything, or what can be written in reasonable time.
fn write(bytes: &[u8]) -> Result<(), ConsoleError> {
    let state = &system().console;
    let place = state.place();
    let stalled = *state.writing.lock();
    let patience = if stalled { Duration::ZERO } else { PATIENCE };
    let done = write_until(bytes, now() + patience, |bytes| {
        // Not longer: interrupts are off meanwhile.
        let _writing = state.writing.lock();
        place.try_write(bytes)
    });
    *state.writing.lock() = done == Err(ConsoleError::Stalled);
    done
}

/// Waits, but not for ever, until what was printed has been taken: the domain's end may take the
/// rest with it.
#[cfg(target_os = "none")]
pub(crate) fn drain() {
    const LONGEST: Duration = Duration::from_millis(100);
    let deadline = now() + LONGEST;
    if let Some(place) = system().console.place.get() {
        while !place.is_drained() && now() < deadline && sched::yield_cpu().is_ok() {}
    }
}

/// The console, as a stream of bytes both ways. What is written goes out as it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Console(());

impl Console {
    /// The console of this domain.
    pub fn new() -> Self {
        Self(())
    }

    /// Sets what stands in the last line of the terminal, as a prompt and what is typed there: lines of the log appear
    /// above it from now on. With nothing in it they are only written.
    pub fn set_footer(&mut self, drawn: &[u8]) {
        let mut footer = drawn.to_vec();
        core::mem::swap(&mut *system().console.footer.lock(), &mut footer);
    }

    /// Takes what was typed, and waits for it if there is nothing; says how many bytes. On a
    /// domain without a console it waits for ever.
    ///
    /// # Errors
    ///
    /// [`ConsoleError::Failed`] when the ring is broken.
    pub async fn read_some(&mut self, into: &mut [u8]) -> Result<usize, ConsoleError> {
        // Bound before the first look: what is typed between the two would otherwise wait for the next key.
        let port = input();
        loop {
            let n = system().console.place().try_read(into)?;
            if n > 0 || into.is_empty() {
                return Ok(n);
            }
            match port {
                Some(port) => port.wait().await,
                None => core::future::pending().await,
            }
        }
    }
}

/// The port that tells of input.
fn input() -> Option<&'static Port> {
    let state = &system().console;
    let bind = || match state.place() {
        Place::Ring(_, port) => Port::adopt(*port).ok(),
        Place::Hypervisor => Port::bind_virq(virq::CONSOLE, VcpuId(0)).ok(),
        Place::Nowhere => None,
    };
    state.input.call_once(bind).as_ref()
}

impl ErrorType for Console {
    type Error = ConsoleError;
}

impl Write for Console {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, ConsoleError> {
        write(bytes).map(|()| bytes.len())
    }

    fn flush(&mut self) -> Result<(), ConsoleError> {
        Ok(())
    }
}

impl Read for Console {
    /// Runs other tasks while it waits.
    fn read(&mut self, into: &mut [u8]) -> Result<usize, ConsoleError> {
        exec::block_on(self.read_some(into))
    }
}

impl ReadReady for Console {
    fn read_ready(&mut self) -> Result<bool, ConsoleError> {
        match system().console.place() {
            Place::Ring(page, _) => {
                let available = Consumer::new(page, Direction::CONSOLE_IN).available();
                Ok(available.map_err(Errno::from)? > 0)
            }
            // The hypervisor cannot be asked without taking.
            _ => Ok(false),
        }
    }
}

/// Prints text, each line ended as terminals want it.
pub(crate) struct Printer<W>(pub(crate) W);

impl<W: FnMut(&[u8])> fmt::Write for Printer<W> {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        for (i, line) in s.split('\n').enumerate() {
            if i > 0 {
                (self.0)(b"\r\n");
            }
            if !line.is_empty() {
                (self.0)(line.as_bytes());
            }
        }
        Ok(())
    }
}

/// Finds the console, so that whatever goes wrong from now on can be told.
#[cfg(target_os = "none")]
pub(crate) fn init() {
    system().console.place();
}

/// What prints when nothing can be relied on: without a lock, in tiny pieces. Before there is a
/// console, on the hypervisor's, if it lets us.
#[cfg(target_os = "none")]
pub(crate) fn emergency() -> impl fmt::Write {
    let deadline = now() + PATIENCE;
    Printer(move |bytes: &[u8]| {
        let place = system().console.place.get().unwrap_or(&Place::Hypervisor);
        // There is nobody to tell that this failed, too.
        let _ = write_until(bytes, deadline, |bytes| place.try_write(bytes));
    })
}

/// The `log` backend: a line per record, with the time in front.
pub(crate) struct Logger;

impl log::Log for Logger {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &log::Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let footer = system().console.footer.lock().clone();
        let mut line = Vec::new();
        if !footer.is_empty() {
            line.extend_from_slice(CLEAR_LINE);
        }
        let mut printer = Printer(|bytes: &[u8]| line.extend_from_slice(bytes));
        let time = now().as_ns() / 1_000;
        let (s, us) = (time / 1_000_000, time % 1_000_000);
        let level = match record.level() {
            log::Level::Info => "",
            log::Level::Error => "error: ",
            log::Level::Warn => "warning: ",
            log::Level::Debug => "debug: ",
            log::Level::Trace => "trace: ",
        };
        // Printing to a vector does not fail.
        let _ =
            fmt::Write::write_fmt(&mut printer, format_args!("[{s:5}.{us:06}] {level}{}\n", record.args()));
        line.extend_from_slice(&footer);
        // There is nowhere else to say that it could not be said.
        let _ = write(&line);
    }

    fn flush(&self) {}
}
