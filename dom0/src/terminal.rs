//! The terminal that the user sits at: dom0's console, shared by the prompt and the consoles of guests.

use alloc::vec::Vec;
use core::fmt;

use embedded_io::Write as _;
use guest_sdk::console::Console;

/// Input and output of the user's terminal.
pub struct Terminal {
    console: Console,
    ahead: Vec<u8>,
}

/// Bytes taken from the console at a time.
const CHUNK: usize = 64;

impl Terminal {
    /// On this domain's console.
    pub fn new(console: Console) -> Self {
        Self { console, ahead: Vec::new() }
    }

    /// The next byte that is typed.
    pub async fn byte(&mut self) -> u8 {
        loop {
            if !self.ahead.is_empty() {
                return self.ahead.remove(0);
            }
            let mut chunk = [0; CHUNK];
            match self.console.read_some(&mut chunk).await {
                Ok(n) => self.ahead.extend_from_slice(&chunk[..n]),
                // A console that cannot be read types nothing more.
                Err(_) => core::future::pending().await,
            }
        }
    }

    /// Writes bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) {
        // Output that nobody takes is lost, as on a serial line.
        let _ = self.console.write_all(bytes);
    }
}

/// Text, each line ended as terminals want it.
impl fmt::Write for Terminal {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for (index, line) in text.split('\n').enumerate() {
            if index > 0 {
                self.raw(b"\r\n");
            }
            if !line.is_empty() {
                self.raw(line.as_bytes());
            }
        }
        Ok(())
    }
}
