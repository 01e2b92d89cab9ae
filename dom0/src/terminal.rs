//! The terminal that the user sits at: dom0's console, shared by the prompt and the consoles of guests.

use alloc::vec::Vec;
use core::fmt;

use embedded_io::Write as _;
use guest_sdk::{
    abi::{VcpuId, xen::virq},
    console::Console,
    event::Port,
    exec::{Either, race},
};

/// Input and output of the user's terminal.
pub struct Terminal {
    console: Console,
    ahead: Vec<u8>,
    /// What stands in the terminal's last line.
    footer: Vec<u8>,
    /// Tells that the hypervisor has written to its log, and so to the terminal, of which it knows nothing else.
    log: Option<Port>,
}

/// What interrupts a command that waits: Ctrl-C.
const INTERRUPT: u8 = 0x03;

/// Bytes taken from the console at a time.
const CHUNK: usize = 64;

impl Terminal {
    /// On this domain's console.
    pub fn new(console: Console) -> Self {
        let log = Port::bind_virq(virq::CON_RING, VcpuId(0)).ok();
        Self { console, ahead: Vec::new(), footer: Vec::new(), log }
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

    /// Takes what is typed next, or draws the last line anew below what the hypervisor wrote into it.
    async fn more(&mut self) {
        let mut chunk = [0; CHUNK];
        let log = async {
            match &self.log {
                Some(log) => log.wait().await,
                None => core::future::pending().await,
            }
        };
        match race(self.console.read_some(&mut chunk), log).await {
            Either::First(Ok(n)) => self.ahead.extend_from_slice(&chunk[..n]),
            // A console that cannot be read types nothing more.
            Either::First(Err(_)) => core::future::pending().await,
            // Output that nobody takes is lost, as below.
            Either::Second(()) => drop(self.console.write_all(&self.footer)),
        }
    }

    /// Waits for `what` until Ctrl-C is typed, which gives nothing. What else is typed meanwhile is kept, but for what
    /// the Ctrl-C throws away.
    pub async fn unless_interrupted<F: Future>(&mut self, what: F) -> Option<F::Output> {
        match race(what, self.interrupted()).await {
            Either::First(output) => Some(output),
            Either::Second(()) => None,
        }
    }

    /// Waits for Ctrl-C.
    pub async fn interrupted(&mut self) {
        loop {
            if let Some(at) = self.ahead.iter().position(|&byte| byte == INTERRUPT) {
                self.ahead.drain(..=at);
                return self.raw(b"^C\r\n");
            }
            self.more().await;
        }
    }

    /// Has lines of the log appear above `drawn`, which is what stands in the terminal's last line.
    pub fn set_footer(&mut self, drawn: &[u8]) {
        self.console.set_footer(drawn);
        self.footer = drawn.to_vec();
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
