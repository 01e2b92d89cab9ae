//! A shell on the serial line of a machine: commands are typed, what they print is awaited.
use crate::Result;
use machine::Machine;
use std::{
    fs::{self, File},
    io::{Read, Write},
    ops::Add,
    path::Path,
    process::{Child, ChildStdin, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};

/// What the receivers between us and a shell surely hold.
const CHUNK: usize = 8;

/// How long something took.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Took {
    /// By the clock.
    pub wall: Duration,
    /// On the host's processors, of all QEMU's threads: what else the host does counts little here.
    pub busy: Duration,
}

impl Add for Took {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self { wall: self.wall + other.wall, busy: self.busy + other.busy }
    }
}

/// When something began.
struct Start {
    wall: Instant,
    busy: Duration,
}

/// A machine that runs until this value is dropped.
pub struct Session {
    qemu: Child,
    input: ChildStdin,
    output: Receiver<Vec<u8>>,
    /// All that was said.
    said: String,
    /// Up to where it was looked at.
    seen: usize,
    log: File,
}

impl Session {
    /// Boots a machine whose files and log lie in `work`.
    ///
    /// # Errors
    ///
    /// That QEMU does not start.
    pub fn boot(machine: &Machine, work: &Path) -> Result<Self> {
        let mut command = machine.prepare(work)?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut qemu = command.spawn().map_err(|e| format!("{}: {e}", machine.arch.emulator()))?;
        let (Some(input), Some(mut from)) = (qemu.stdin.take(), qemu.stdout.take()) else {
            return Err("QEMU has no serial line".into());
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
        let log = work.join("serial.log");
        let log = File::create(&log).map_err(|e| format!("{}: {e}", log.display()))?;
        Ok(Self { qemu, input, output, said: String::new(), seen: 0, log })
    }

    /// Waits for a text in what was not looked at yet; gives how long that took.
    ///
    /// # Errors
    ///
    /// That it does not come, with the last that was said.
    pub fn expect(&mut self, what: &str, within: Duration) -> Result<Took> {
        let start = self.start();
        loop {
            if let Some(at) = self.said[self.seen..].find(what) {
                self.seen += at + what.len();
                return Ok(self.since(&start));
            }
            self.more(start.wall + within).map_err(|()| self.failure(&format!("no '{what}' came")))?;
        }
    }

    /// Types a line as fast as its echo comes back, and waits for what ends it. Gives how long that took.
    ///
    /// # Errors
    ///
    /// That one of the two does not come.
    pub fn command(&mut self, line: &str, ends: &str, within: Duration) -> Result<Took> {
        self.type_line(line)?;
        let start = self.start();
        self.send(b"\r")?;
        self.expect("\n", within)?;
        self.expect(ends, within)?;
        Ok(self.since(&start))
    }

    fn start(&self) -> Start {
        Start { wall: Instant::now(), busy: self.busy() }
    }

    fn since(&self, start: &Start) -> Took {
        Took { wall: start.wall.elapsed(), busy: self.busy().saturating_sub(start.busy) }
    }

    /// The processor time that QEMU has had; nothing where the host does not tell.
    fn busy(&self) -> Duration {
        /// Of the fields behind the program's name, the one with user time; system time follows.
        const USER_TIME: usize = 11;
        /// Linux tells it in hundredths of a second, whatever its own clock.
        const TICK: Duration = Duration::from_millis(10);
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.qemu.id())).unwrap_or_default();
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields).split_whitespace();
        let ticks: u32 = fields.skip(USER_TIME).take(2).filter_map(|f| f.parse::<u32>().ok()).sum();
        TICK * ticks
    }

    fn type_line(&mut self, line: &str) -> Result<()> {
        const ECHO: Duration = Duration::from_secs(60);
        let deadline = Instant::now() + ECHO;
        for chunk in line.as_bytes().chunks(CHUNK) {
            let enough = self.said.len() + chunk.len();
            self.send(chunk)?;
            while self.said.len() < enough {
                self.more(deadline).map_err(|()| self.failure(&format!("no echo of '{line}'")))?;
            }
        }
        Ok(())
    }

    /// Types bytes as they are.
    ///
    /// # Errors
    ///
    /// That QEMU has ended.
    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        let sent = self.input.write_all(bytes).and_then(|()| self.input.flush());
        sent.map_err(|e| self.failure(&format!("QEMU does not read: {e}")))
    }

    fn more(&mut self, deadline: Instant) -> std::result::Result<(), ()> {
        let left = deadline.saturating_duration_since(Instant::now());
        let bytes = self.output.recv_timeout(left).map_err(|_| ())?;
        self.said += &String::from_utf8_lossy(&bytes);
        // The log only helps; a full disk fails nothing.
        let _ = self.log.write_all(&bytes);
        Ok(())
    }

    fn failure(&self, what: &str) -> String {
        let mut tail: Vec<&str> = self.said.lines().rev().take(8).collect();
        tail.reverse();
        format!("{what}; the last that was said is\n{}", tail.join("\n"))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}
