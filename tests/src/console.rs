//! A booted machine and its serial line: text is awaited with a deadline, never by sleeping.
use machine::{Machine, paths};
use std::{
    fmt::Display,
    fs::File,
    io::{Read, Write},
    process::{Child, ChildStdin, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::{Duration, Instant},
};

/// What the receivers between us and a shell surely hold.
const CHUNK: usize = 8;

/// A machine that runs until this value is dropped.
pub struct Console {
    qemu: Child,
    input: ChildStdin,
    output: Receiver<Vec<u8>>,
    /// All that was said, without carriage returns and escape sequences.
    text: String,
    /// Up to where the test has seen it.
    seen: usize,
    escape: Escape,
    log: File,
}

impl Console {
    /// Boots `machine`; its files and log lie in the target folder, under `name`.
    #[track_caller]
    pub fn boot(name: &str, machine: &Machine) -> Self {
        let work = paths::target_dir().join("system-tests").join(name);
        let mut command = machine.prepare(&work).unwrap_or_else(|e| panic!("{e}"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut qemu = command.spawn().unwrap_or_else(|e| panic!("{:?}: {e}", command.get_program()));
        let (input, mut from) = match (qemu.stdin.take(), qemu.stdout.take()) {
            (Some(i), Some(o)) => (i, o),
            _ => unreachable!("both were piped"),
        };
        let (to, output) = channel();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(n @ 1..) = from.read(&mut buffer) {
                if to.send(buffer[..n].to_vec()).is_err() {
                    break;
                }
            }
        });
        let log = File::create(work.join("serial.log")).unwrap_or_else(|e| panic!("{e}"));
        Self { qemu, input, output, text: String::new(), seen: 0, escape: Escape::default(), log }
    }

    /// Waits for `what` in what was not seen yet; gives the text before it.
    #[track_caller]
    pub fn expect(&mut self, what: &str, within: Duration) -> String {
        self.expect_one_of(&[what], within).1
    }

    /// Waits for the first of several texts; gives its number and the text before it.
    #[track_caller]
    pub fn expect_one_of(&mut self, what: &[&str], within: Duration) -> (usize, String) {
        let deadline = Instant::now() + within;
        let longest = what.iter().map(|w| w.len()).max().unwrap_or(0);
        let mut searched = self.seen;
        loop {
            let rest = &self.text[searched..];
            let hits = what.iter().enumerate().filter_map(|(i, w)| Some((rest.find(w)?, i)));
            if let Some((at, which)) = hits.min() {
                let before = self.text[self.seen..searched + at].to_owned();
                self.seen = searched + at + what[which].len();
                return (which, before);
            }
            // A long output comes byte by byte: only where a text may have begun is searched again.
            searched = self.text.floor_char_boundary(self.text.len().saturating_sub(longest)).max(searched);
            if let Err(e) = self.more(deadline) {
                self.fail(&format!("no {what:?} within {} s: {e}", within.as_secs()));
            }
        }
    }

    /// Types a line into something that echoes it, as fast as the echo comes back. Others may print between its
    /// letters.
    #[track_caller]
    pub fn send_line(&mut self, line: &str) {
        let deadline = Instant::now() + Duration::from_secs(30);
        let bytes = [line.as_bytes(), b"\r"].concat();
        for chunk in bytes.chunks(CHUNK) {
            let from = self.text.len();
            self.send(chunk);
            while !is_echoed(chunk, &self.text.as_bytes()[from..]) {
                if let Err(e) = self.more(deadline) {
                    self.fail(&format!("no echo of {line:?}: {e}"));
                }
            }
        }
    }

    /// Runs a command in a shell whose prompt is `prompt`; gives what it printed.
    #[track_caller]
    pub fn command(&mut self, line: &str, prompt: &str, within: Duration) -> String {
        self.send_line(line);
        self.expect("\n", within);
        self.expect(prompt, within)
    }

    /// Types bytes as they are.
    #[track_caller]
    pub fn send(&mut self, bytes: &[u8]) {
        if let Err(e) = self.input.write_all(bytes).and_then(|()| self.input.flush()) {
            self.fail(&format!("QEMU does not read: {e}"));
        }
    }

    /// Waits until the machine has powered off.
    #[track_caller]
    pub fn expect_exit(&mut self, within: Duration) {
        let deadline = Instant::now() + within;
        while self.more(deadline).is_ok() {}
        match self.qemu.try_wait() {
            Ok(Some(status)) if status.success() => {}
            Ok(Some(status)) => self.fail(&format!("QEMU ended with {status}")),
            // Its output closes an instant before it is gone.
            Ok(None) if Instant::now() < deadline => drop(self.qemu.wait()),
            _ => self.fail(&format!("still running after {} s", within.as_secs())),
        }
    }

    /// Fails the test, showing all that the machine said.
    #[track_caller]
    pub fn fail(&self, why: &dyn Display) -> ! {
        panic!("{why}\n---- serial log ----\n{}\n---- end of log ----", self.text);
    }

    fn more(&mut self, deadline: Instant) -> Result<(), RecvTimeoutError> {
        let left = deadline.saturating_duration_since(Instant::now());
        let bytes = self.output.recv_timeout(left)?;
        let plain: Vec<u8> = bytes.into_iter().filter(|b| self.escape.is_text(*b)).collect();
        let text = String::from_utf8_lossy(&plain);
        self.text += &text;
        // The log only helps; a full disk fails nothing.
        let _ = self.log.write_all(text.as_bytes());
        Ok(())
    }
}

/// Whether all that was typed is in what was said since, in this order. The end of a line may be shown as anything.
fn is_echoed(typed: &[u8], said: &[u8]) -> bool {
    let mut said = said.iter();
    typed.iter().all(|typed| said.any(|byte| byte == typed || *typed == b'\r'))
}

impl Drop for Console {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}

/// Filters what a terminal would obey rather than show: ESC, `[`, parameters, a letter.
#[derive(Default, PartialEq, Eq)]
enum Escape {
    #[default]
    Outside,
    Started,
    Parameters,
}

impl Escape {
    fn is_text(&mut self, byte: u8) -> bool {
        let (next, text) = match (&self, byte) {
            (_, 0x1b) => (Self::Started, false),
            (Self::Started, b'[') => (Self::Parameters, false),
            (Self::Parameters, b'0'..=b'9' | b';' | b'?') => (Self::Parameters, false),
            (Self::Outside, b) => (Self::Outside, b != b'\r' && b != 0),
            _ => (Self::Outside, false),
        };
        *self = next;
        text
    }
}

#[cfg(test)]
mod tests {
    use super::{Escape, is_echoed};

    #[test]
    fn escape_sequences_are_not_text() {
        let mut e = Escape::default();
        let plain: Vec<u8> =
            b"a\x1b[6nb\r\n\x1b[1;31mc\x1bMd".iter().copied().filter(|b| e.is_text(*b)).collect();
        assert_eq!(plain, b"ab\ncd");
    }

    #[test]
    fn an_echo_has_all_letters_and_may_have_others_between() {
        for echo in ["xl list\n", "x(d1) still here\nl list\n", "xl list$"] {
            assert!(is_echoed(b"xl list\r", echo.as_bytes()), "{echo}");
        }
        for other in ["", "xl list", "(d1) still here, still here\n"] {
            assert!(!is_echoed(b"xl list\r", other.as_bytes()), "{other}");
        }
    }
}
