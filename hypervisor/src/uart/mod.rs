//! The serial line, once the device tree has said where it is.

mod pl011;

use lock::{Mutex, Once};

pub use pl011::Block;
use pl011::Pl011;

/// `compatible` strings of ports that can be driven, and whether it is the SBSA subset.
pub const COMPATIBLE: [(&str, bool); 2] = [("arm,pl011", false), ("arm,sbsa-uart", true)];

static UART: Once<Pl011> = Once::new();
static WRITER: Mutex<()> = Mutex::new(());

/// Starts to use the port behind these registers.
pub fn start(registers: Block, sbsa: bool) {
    UART.call_once(|| Pl011::new(registers, sbsa));
}

/// Whether there is a port.
pub fn is_in_use() -> bool {
    UART.is_completed()
}

/// Sends bytes, with a carriage return before each newline.
pub fn write(bytes: &[u8]) {
    let _whole = WRITER.lock();
    write_unlocked(bytes);
}

/// The same while other CPUs may have stopped in the middle of a message.
pub fn write_unlocked(bytes: &[u8]) {
    let Some(uart) = UART.get() else { return };
    for &byte in bytes {
        if byte == b'\n' {
            uart.send(b'\r');
        }
        uart.send(byte);
    }
}

/// Asks for an interrupt when bytes come in.
pub fn listen() {
    if let Some(uart) = UART.get() {
        uart.listen();
    }
}

/// What has come in since, to be called on its interrupt.
pub fn received() -> impl Iterator<Item = u8> {
    let uart = UART.get();
    if let Some(uart) = uart {
        uart.acknowledge();
    }
    core::iter::from_fn(move || uart?.receive())
}
