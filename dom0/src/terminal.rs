//! The terminal that the user sits at: dom0's console, shared by the prompt and the consoles of guests.

use alloc::vec::Vec;
use core::fmt;

use embedded_io::Write as _;
use guest_sdk::{
    console::Console,
    exec::{Either, race},
};

/// Input and output of the user's terminal.
pub struct Terminal {
    console: Console,
    ahead: Vec<u8>,
}

/// What interrupts a command that waits: Ctrl-C.
const INTERRUPT: u8 = 0x03;

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
            self.more().await;
        }
    }

    /// Takes what is typed next.
    async fn more(&mut self) {
        let mut chunk = [0; CHUNK];
        match self.console.read_some(&mut chunk).await {
            Ok(n) => self.ahead.extend_from_slice(&chunk[..n]),
            // A console that cannot be read types nothing more.
            Err(_) => core::future::pending().await,
        }
    }

    /// Waits for `what` until Ctrl-C is typed, which gives nothing. What else is typed meanwhile is kept, but for what
    /// the Ctrl-C throws away.
    pub async fn unless_interrupted<F: Future>(&mut self, what: F) -> Option<F::Output> {
        match race(what, self.interrupt()).await {
            Either::First(output) => Some(output),
            Either::Second(()) => {
                self.raw(b"^C\r\n");
                None
            }
        }
    }

    async fn interrupt(&mut self) {
        loop {
            if let Some(at) = self.ahead.iter().position(|&byte| byte == INTERRUPT) {
                self.ahead.drain(..=at);
                return;
            }
            self.more().await;
        }
    }

    /// Has lines of the log appear above `drawn`, which is what stands in the terminal's last line.
    pub fn set_footer(&mut self, drawn: &[u8]) {
        self.console.set_footer(drawn);
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
