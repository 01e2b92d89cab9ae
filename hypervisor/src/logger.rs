//! The `log` facade, onto the serial line and into the log ring.

use core::fmt::{self, Write};

use heapless::String;
use log::{LevelFilter, Log, Metadata, Record};

use hv_core::Hypervisor;
use lock::{Mutex, Once};

use crate::{board::Board, uart};

/// The longest message; what is longer is cut.
const LINE: usize = 240;

struct Logger;

static LOGGER: Logger = Logger;

/// What was said before there was a log ring.
static EARLY: Mutex<String<EARLY_SIZE>> = Mutex::new(String::new());
const EARLY_SIZE: usize = 2048;
static RING: Once<&'static Hypervisor<Board>> = Once::new();

/// Routes messages from now on.
pub fn init() {
    // It fails only when there is a logger already, which is this one.
    let _ = log::set_logger(&LOGGER);
    log::set_max_level(LevelFilter::Info);
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            print(format_args!("(XEN) {}\n", record.args()));
        }
    }

    fn flush(&self) {}
}

/// From now on messages go into the log ring too, and those until now.
pub fn attach(hv: &'static Hypervisor<Board>) {
    hv.log.grow(hv.options.conring_size);
    hv.log.write(EARLY.lock().as_bytes());
    RING.call_once(|| hv);
}

/// Prints whole, so that lines of several CPUs do not mix.
pub fn print(text: fmt::Arguments<'_>) {
    let mut line = Line(String::new());
    let _ = line.write_fmt(text);
    match RING.get() {
        Some(hv) => {
            hv.log.write(line.0.as_bytes());
            hv.log_written();
        }
        // What does not fit has at least been printed.
        None => drop(EARLY.lock().push_str(&line.0)),
    }
    uart::write(line.0.as_bytes());
}

struct Line(String<LINE>);

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = LINE - self.0.len();
        let fits = text.floor_char_boundary(room.min(text.len()));
        // No range as index: this would be the only one of text that panics, with 3 KiB of code to say why.
        let (fits, _) = text.split_at_checked(fits).ok_or(fmt::Error)?;
        self.0.push_str(fits).map_err(|_| fmt::Error)
    }
}
