//! A line editor: bytes from the terminal in, bytes to draw and finished lines out.
//!
//! It never asks the terminal anything, so it works over a pipe as well: a test sees its own typing echoed and
//! nothing else. Lines are taken to fit in the terminal's width.

use alloc::{collections::VecDeque, format, string::String, vec::Vec};

/// Lines that the history keeps.
const HISTORY: usize = 100;

/// Characters that a line may have; what goes beyond is refused with a bell.
const MAX_LINE: usize = 1000;

/// What a byte led to.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// A finished line, without its end.
    Line(String),
    /// Ctrl-C: the line was thrown away.
    Interrupt,
    /// Tab: the caller may complete the text before the cursor with [`LineEditor::insert`].
    Complete,
}

/// Where in an escape sequence the input is.
enum Escape {
    None,
    Started,
    /// After `ESC [` or `ESC O`, with the number read so far.
    Control(u8),
}

/// The state of the line being typed.
pub struct LineEditor {
    prompt: String,
    text: Vec<char>,
    cursor: usize,
    history: VecDeque<Vec<char>>,
    /// How far back in the history the line comes from; 0 is the line being typed.
    back: usize,
    /// The line that was being typed when the history was entered.
    draft: Vec<char>,
    escape: Escape,
    partial: Vec<u8>,
    last_was_return: bool,
}

impl LineEditor {
    /// An empty line behind `prompt`.
    pub fn new(prompt: &str) -> Self {
        Self {
            prompt: prompt.into(),
            text: Vec::new(),
            cursor: 0,
            history: VecDeque::new(),
            back: 0,
            draft: Vec::new(),
            escape: Escape::None,
            partial: Vec::new(),
            last_was_return: false,
        }
    }

    /// What to draw before the first byte of a line, and after other output has interrupted it.
    pub fn draw(&self, out: &mut Vec<u8>) {
        let text: String = self.text.iter().collect();
        out.extend_from_slice(format!("\r{}{}\x1b[K", self.prompt, text).as_bytes());
        let behind = self.text.len() - self.cursor;
        if behind > 0 {
            out.extend_from_slice(format!("\x1b[{behind}D").as_bytes());
        }
    }

    /// What is typed so far, up to the cursor.
    pub fn before_cursor(&self) -> String {
        self.text[..self.cursor].iter().collect()
    }

    /// Types `text` at the cursor.
    pub fn insert(&mut self, text: &str, out: &mut Vec<u8>) {
        for c in text.chars() {
            self.put(c, out);
        }
    }

    /// Takes one byte of input; what it makes visible is added to `out`.
    pub fn feed(&mut self, byte: u8, out: &mut Vec<u8>) -> Option<Event> {
        let after_return = core::mem::take(&mut self.last_was_return);
        match self.escape {
            Escape::Started => {
                self.escape = if matches!(byte, b'[' | b'O') { Escape::Control(0) } else { Escape::None };
                return None;
            }
            Escape::Control(number) => {
                self.control_sequence(number, byte, out);
                return None;
            }
            Escape::None => {}
        }
        match byte {
            b'\n' if after_return => {}
            b'\r' | b'\n' => {
                self.last_was_return = byte == b'\r';
                out.extend_from_slice(b"\r\n");
                return Some(Event::Line(self.finish()));
            }
            0x03 => {
                out.extend_from_slice(b"^C\r\n");
                self.replace(Vec::new());
                self.back = 0;
                return Some(Event::Interrupt);
            }
            b'\t' => return Some(Event::Complete),
            0x1b => self.escape = Escape::Started,
            0x01 => self.move_to(0, out),
            0x02 => self.move_to(self.cursor.saturating_sub(1), out),
            0x05 => self.move_to(self.text.len(), out),
            0x06 => self.move_to(self.cursor + 1, out),
            0x04 => self.remove(self.cursor, self.cursor + 1, out),
            0x08 | 0x7f => self.remove(self.cursor.saturating_sub(1), self.cursor, out),
            0x0b => self.remove(self.cursor, self.text.len(), out),
            0x0c => {
                out.extend_from_slice(b"\x1b[H\x1b[2J");
                self.draw(out);
            }
            0x0e => self.history_step(false, out),
            0x10 => self.history_step(true, out),
            0x15 => self.remove(0, self.cursor, out),
            0x17 => self.remove(self.word_start(), self.cursor, out),
            0x20.. => self.text_byte(byte, out),
            _ => {}
        }
        None
    }

    /// Collects UTF-8; a byte that fits nowhere is dropped.
    fn text_byte(&mut self, byte: u8, out: &mut Vec<u8>) {
        self.partial.push(byte);
        match core::str::from_utf8(&self.partial) {
            Ok(text) => {
                let c = text.chars().next();
                self.partial.clear();
                if let Some(c) = c.filter(|c| !c.is_control()) {
                    self.put(c, out);
                }
            }
            Err(e) if e.error_len().is_some() => self.partial.clear(),
            Err(_) => {}
        }
    }

    fn put(&mut self, c: char, out: &mut Vec<u8>) {
        if self.text.len() >= MAX_LINE {
            out.push(0x07);
            return;
        }
        let at_end = self.cursor == self.text.len();
        self.text.insert(self.cursor, c);
        self.cursor += 1;
        if at_end {
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        } else {
            self.draw(out);
        }
    }

    /// `number` and `byte` end, or go on with, `ESC [`.
    fn control_sequence(&mut self, number: u8, byte: u8, out: &mut Vec<u8>) {
        self.escape = Escape::None;
        match byte {
            b'0'..=b'9' => {
                self.escape = Escape::Control(number.wrapping_mul(10).wrapping_add(byte - b'0'));
            }
            b';' => self.escape = Escape::Control(0),
            b'A' => self.history_step(true, out),
            b'B' => self.history_step(false, out),
            b'C' => self.move_to(self.cursor + 1, out),
            b'D' => self.move_to(self.cursor.saturating_sub(1), out),
            b'H' => self.move_to(0, out),
            b'F' => self.move_to(self.text.len(), out),
            b'~' => match number {
                1 | 7 => self.move_to(0, out),
                3 => self.remove(self.cursor, self.cursor + 1, out),
                4 | 8 => self.move_to(self.text.len(), out),
                _ => {}
            },
            _ => {}
        }
    }

    fn move_to(&mut self, to: usize, out: &mut Vec<u8>) {
        let to = to.min(self.text.len());
        if to != self.cursor {
            self.cursor = to;
            self.draw(out);
        }
    }

    fn remove(&mut self, from: usize, to: usize, out: &mut Vec<u8>) {
        let to = to.min(self.text.len());
        if from < to {
            self.text.drain(from..to);
            self.cursor = from;
            self.draw(out);
        }
    }

    fn word_start(&self) -> usize {
        let before = &self.text[..self.cursor];
        let end = before.iter().rposition(|&c| c != ' ').map_or(0, |i| i + 1);
        before[..end].iter().rposition(|&c| c == ' ').map_or(0, |i| i + 1)
    }

    fn history_step(&mut self, older: bool, out: &mut Vec<u8>) {
        let back = if older { self.back + 1 } else { self.back.saturating_sub(1) };
        if back == self.back || back > self.history.len() {
            return;
        }
        if self.back == 0 {
            self.draft = self.text.clone();
        }
        self.back = back;
        let text = match back {
            0 => core::mem::take(&mut self.draft),
            n => self.history[self.history.len() - n].clone(),
        };
        self.replace(text);
        self.draw(out);
    }

    fn replace(&mut self, text: Vec<char>) {
        self.cursor = text.len();
        self.text = text;
    }

    fn finish(&mut self) -> String {
        let text = core::mem::take(&mut self.text);
        self.cursor = 0;
        self.back = 0;
        self.partial.clear();
        let blank = text.iter().all(|&c| c == ' ');
        if !blank && self.history.back() != Some(&text) {
            if self.history.len() == HISTORY {
                self.history.pop_front();
            }
            self.history.push_back(text.clone());
        }
        text.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn typed(editor: &mut LineEditor, bytes: &[u8]) -> (Vec<Event>, Vec<u8>) {
        let mut out = Vec::new();
        let events = bytes.iter().filter_map(|&b| editor.feed(b, &mut out)).collect();
        (events, out)
    }

    fn lines(bytes: &[u8]) -> Vec<String> {
        typed(&mut LineEditor::new("# "), bytes)
            .0
            .into_iter()
            .filter_map(|e| if let Event::Line(l) = e { Some(l) } else { None })
            .collect()
    }

    #[test]
    fn typing_at_the_end_is_echoed_and_nothing_else() {
        let (events, out) = typed(&mut LineEditor::new("# "), b"xl list\r");
        assert_eq!(events, vec![Event::Line("xl list".into())]);
        assert_eq!(out, b"xl list\r\n");
    }

    #[test]
    fn all_line_ends_count_once() {
        assert_eq!(lines(b"a\r\nb\nc\rd\r\n"), ["a", "b", "c", "d"]);
        assert_eq!(lines(b"\n\n"), ["", ""]);
    }

    #[test]
    fn keys_edit_in_the_middle() {
        assert_eq!(lines(b"lst\x1b[D\x1b[Di\x05!\r"), ["list!"]);
        assert_eq!(lines(b"ab\x01\x1b[3~\x06\x7fc\r"), ["c"]);
        assert_eq!(lines(b"xl create win\x17hello\r"), ["xl create hello"]);
        assert_eq!(lines(b"abc\x02\x0b\r"), ["ab"]);
        assert_eq!(lines(b"abc\x02\x15\r"), ["c"]);
        assert_eq!(lines(b"abc\x1b[Hx\x1b[Fy\x1b[1;5D\r"), ["xabcy"]);
    }

    #[test]
    fn history_walks_back_and_returns_to_the_draft() {
        assert_eq!(lines(b"one\rtwo\r\x1b[A\x1b[A\r"), ["one", "two", "one"]);
        assert_eq!(lines(b"one\rdra\x1b[A\x1b[Bft\r"), ["one", "draft"]);
        assert_eq!(lines(b"one\rone\r  \rtwo\r\x10\x10\r"), ["one", "one", "  ", "two", "one"]);
        assert_eq!(lines(b"\x1b[A\x1b[B\r"), [""]);
    }

    #[test]
    fn an_interrupt_throws_the_line_away() {
        let mut editor = LineEditor::new("# ");
        let (events, _) = typed(&mut editor, b"rm\x03ok\r");
        assert_eq!(events, vec![Event::Interrupt, Event::Line("ok".into())]);
    }

    #[test]
    fn text_in_several_bytes_is_one_character() {
        assert_eq!(lines("gr\u{fc}\u{df}e\x7f\x7fo\r".as_bytes()), ["gr\u{fc}o"]);
        assert_eq!(lines(b"a\xff\xfeb\r"), ["ab"]);
    }

    #[test]
    fn noise_never_panics_and_lines_stay_bounded() {
        let mut seed = 1_u32;
        let mut editor = LineEditor::new("# ");
        let mut out = Vec::new();
        for _ in 0..200_000 {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            editor.feed((seed >> 24) as u8, &mut out);
            assert!(editor.text.len() <= MAX_LINE && editor.cursor <= editor.text.len());
            out.clear();
        }
        for _ in 0..2 * MAX_LINE {
            editor.feed(b'x', &mut out);
        }
        assert!(editor.text.len() <= MAX_LINE);
    }
}
