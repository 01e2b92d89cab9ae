//! The lines, and how they come to be printed.

use alloc::{string::String, vec::Vec};
use core::fmt::Write;

use guest_sdk::{
    abi::{Domid, Errno, PAGE_SIZE, errno},
    hypercall::console_io,
};

use crate::{
    calls::{self, Call},
    conduit::{self, Conduit, Outcome},
    operation::Operation,
    scratch::Scratch,
};

/// Bytes of the argument that are looked at for what was written.
pub const ARGUMENT: usize = 1024;
/// Words that are shown of what was written: longer lines are cut, by each hypervisor elsewhere.
const MOST_SHOWN: usize = 8;
/// Text that is printed at a time.
const CHUNK: usize = 2048;
/// What memory is filled with before a call, so that zeroes that are written are seen.
pub const FILLING: u8 = 0xa5;

/// Prints a transcript.
pub struct Transcript {
    /// Where calls point to.
    pub scratch: Scratch,
    /// This domain.
    pub me: Domid,
    /// Whether the hypervisor is for 64-bit ARM.
    pub on_arm64: bool,
    /// What the data page begins with before each call.
    pub data: Vec<u8>,
    text: String,
    lines: usize,
}

impl Transcript {
    /// Has nothing in it yet.
    pub fn new(me: Domid, on_arm64: bool) -> Result<Self, Errno> {
        Ok(Self { scratch: Scratch::new()?, me, on_arm64, data: Vec::new(), text: String::new(), lines: 0 })
    }

    /// Begins to describe the calls of an operation.
    pub fn operation(&mut self, name: &'static str, call: impl Fn(usize) -> Call + 'static) -> Operation<'_> {
        Operation::new(self, name, call)
    }

    /// Prints the result of a call that has no structure.
    pub fn call(&mut self, name: &str, number: u32, arguments: [usize; 5]) {
        let before = self.prepare(&[]);
        self.begin(name);
        let last = arguments.iter().rposition(|argument| *argument != 0).map_or(0, |last| last + 1);
        for argument in &arguments[..last] {
            self.text.push(' ');
            self.number(*argument as u64);
        }
        self.finish(Call(number, arguments), &before, &[], true);
    }

    /// Makes a call whose result is no matter.
    pub fn quiet(&self, call: Call) -> i64 {
        calls::make(call)
    }

    /// Begins a line.
    pub fn begin(&mut self, name: &str) {
        self.text += "| ";
        self.text += name;
    }

    /// Says what was put into a field.
    pub fn field(&mut self, name: &str, value: u64) {
        self.text.push(' ');
        self.text += name;
        self.text.push('=');
        self.number(value);
    }

    /// Fills argument and data pages; gives their words.
    pub fn prepare(&mut self, argument: &[u8]) -> Vec<u32> {
        calls::store(self.scratch.argument(), &[FILLING; ARGUMENT]);
        calls::store(self.scratch.argument(), argument);
        calls::store(self.scratch.data(), &[FILLING; PAGE_SIZE]);
        calls::store(self.scratch.data(), &self.data);
        self.words()
    }

    fn words(&self) -> Vec<u32> {
        let words = |at: usize, len: usize| (at..at + len).step_by(4).map(calls::load);
        words(self.scratch.argument(), ARGUMENT).chain(words(self.scratch.data(), PAGE_SIZE)).collect()
    }

    /// Makes the call, and ends its line with what came of it. Words at the offsets in `hidden` are shown as changed
    /// only.
    pub fn finish(&mut self, call: Call, before: &[u32], hidden: &[usize], show_data: bool) {
        let result = calls::make(call);
        self.text += ": ";
        match errno::from_ret(result) {
            Err(error) => {
                let _ = write!(self.text, "{error}");
            }
            Ok(value) => self.number(value),
        }
        let after = self.words();
        let changed: Vec<usize> = (0..after.len()).filter(|&i| before[i] != after[i]).collect();
        for &index in changed.iter().take(MOST_SHOWN) {
            let (name, offset) = match (4 * index).checked_sub(ARGUMENT) {
                Some(_) if !show_data => continue,
                Some(offset) => ("data", offset),
                None => ("", 4 * index),
            };
            let _ = write!(self.text, " {name}[{offset:x}]=");
            match name.is_empty() && hidden.contains(&offset) {
                true => self.text.push('?'),
                false => self.number(after[index].into()),
            }
        }
        if changed.len() > MOST_SHOWN && show_data {
            let shown = changed.iter().filter(|&&i| !hidden.contains(&(4 * i)));
            let sum = shown.fold(0_u32, |sum, &i| sum.rotate_left(1) ^ after[i]);
            let _ = write!(self.text, " and {} more, {sum:x}", changed.len() - MOST_SHOWN);
        }
        self.end_line();
    }

    /// Prints what came of a call that is no hypercall, or none that there is.
    pub fn firmware(&mut self, conduit: Conduit, registers: [usize; 4], hypercall: usize) {
        self.begin(conduit.name());
        for argument in registers {
            let _ = write!(self.text, " {argument:x}");
        }
        if hypercall != 0 {
            let _ = write!(self.text, " number={hypercall:x}");
        }
        let outcome = conduit::call(conduit, registers, hypercall);
        let _ = match outcome {
            Outcome::Answered([a, b, c, d]) => write!(self.text, ": {a:x} {b:x} {c:x} {d:x}"),
            Outcome::Undefined { back, syndrome, .. } => {
                write!(self.text, ": undefined, back at {back:x}, syndrome {syndrome:x}")
            }
        };
        self.end_line();
        if let Outcome::Undefined { vector, .. } = outcome {
            self.begin("vector of ");
            let _ = write!(self.text, "{}: {vector:x}", conduit.name());
            self.end_line();
        }
    }

    fn end_line(&mut self) {
        self.text += "\n";
        self.lines += 1;
        if self.text.len() > CHUNK {
            self.print();
        }
    }

    fn number(&mut self, number: u64) {
        // Writing to a string does not fail.
        let _ = match self.scratch.name(number) {
            Some((name, offset)) => write!(self.text, "{name}+{offset:x}"),
            None => write!(self.text, "{number:x}"),
        };
    }

    fn print(&mut self) {
        // A hypervisor that refuses is seen by the lines that are missing.
        let _ = console_io::write(self.text.as_bytes());
        self.text.clear();
    }

    /// Prints the rest.
    pub fn end(mut self) {
        let lines = self.lines;
        let _ = writeln!(self.text, "end of the transcript, {lines} lines");
        self.print();
    }
}
