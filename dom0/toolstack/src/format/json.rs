//! JSON as xl's library lays it out: four blanks a level, a member a line.

use alloc::string::String;
use core::fmt::{Display, Write};

/// A text under way.
pub(super) struct Json {
    text: String,
    depth: usize,
    /// Nothing has been written yet on this level.
    first: bool,
}

impl Json {
    pub fn new() -> Self {
        Self { text: String::new(), depth: 0, first: true }
    }

    /// Begins a line; all but the first on a level end the one before with a comma.
    fn line(&mut self) {
        if !core::mem::replace(&mut self.first, false) {
            self.text.push(',');
        }
        self.indent();
    }

    fn indent(&mut self) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        (0..self.depth).for_each(|_| self.text += "    ");
    }

    fn key(&mut self, key: &str) {
        self.line();
        if !key.is_empty() {
            self.quoted(key);
            self.text += ": ";
        }
    }

    fn quoted(&mut self, text: &str) {
        self.text.push('"');
        for c in text.chars() {
            let _ = match c {
                '"' | '\\' => write!(self.text, "\\{c}"),
                '\n' => write!(self.text, "\\n"),
                '\r' => write!(self.text, "\\r"),
                '\t' => write!(self.text, "\\t"),
                c if c < ' ' => write!(self.text, "\\u{:04X}", u32::from(c)),
                c => write!(self.text, "{c}"),
            };
        }
        self.text.push('"');
    }

    /// Writes a member, or an element of a list, which has no key: what `inner` writes, in `{}` or `[]`.
    pub fn group(&mut self, key: &str, brackets: [char; 2], inner: impl FnOnce(&mut Self)) {
        self.key(key);
        self.text.push(brackets[0]);
        self.depth += 1;
        self.first = true;
        inner(self);
        self.depth -= 1;
        self.first = false;
        self.indent();
        self.text.push(brackets[1]);
    }

    /// Writes a number.
    pub fn number(&mut self, key: &str, value: impl Display) {
        self.key(key);
        let _ = write!(self.text, "{value}");
    }

    /// Writes a string.
    pub fn string(&mut self, key: &str, value: &str) {
        self.key(key);
        self.quoted(value);
    }

    /// Gives what was written.
    pub fn finish(self) -> String {
        self.text + "\n"
    }
}
