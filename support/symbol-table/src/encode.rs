//! Making a table.

use alloc::{collections::BTreeMap, vec::Vec};

use crate::MAGIC;

/// The longest part of a path, or name, that is kept.
const LONGEST: usize = 127;

/// Makes the table of some symbols: address and name each, in any order. Of several at one address
/// the last is kept.
pub fn encode<'a>(symbols: impl IntoIterator<Item = (u32, &'a str)>) -> Vec<u8> {
    let symbols: BTreeMap<u32, &str> = symbols.into_iter().collect();
    let mut paths = Paths::default();
    let mut bytes = Vec::new();
    let mut last = 0;
    for (address, name) in symbols {
        let (path, name) = split(name);
        number(&mut bytes, address - last);
        number(&mut bytes, paths.number(path));
        text(&mut bytes, name);
        last = address;
    }
    number(&mut paths.bytes, 0);
    text(&mut paths.bytes, "");
    let len = (paths.bytes.len() + bytes.len()) as u32;
    let mut table = Vec::from(MAGIC);
    table.extend(len.to_le_bytes());
    table.extend(paths.bytes);
    table.extend(bytes);
    table
}

/// The paths so far: numbers by the path above and the last part, and the bytes of the table.
#[derive(Default)]
struct Paths<'a> {
    numbers: BTreeMap<(u32, &'a str), u32>,
    bytes: Vec<u8>,
}

impl<'a> Paths<'a> {
    /// The number of a path, which gets one if need be; those above it have lower ones.
    fn number(&mut self, path: &'a str) -> u32 {
        if path.is_empty() {
            return 0;
        }
        let (above, part) = split(path);
        let above = self.number(above);
        let next = self.numbers.len() as u32 + 1;
        *self.numbers.entry((above, part)).or_insert_with(|| {
            number(&mut self.bytes, above);
            text(&mut self.bytes, part);
            next
        })
    }
}

/// Splits a name at the last `::` that is in no brackets.
fn split(name: &str) -> (&str, &str) {
    let mut depth = 0;
    for (at, c) in name.char_indices().rev() {
        match c {
            '>' | '}' => depth += 1,
            '<' | '{' => depth -= 1,
            ':' if depth == 0 && name[..at].ends_with(':') => return (&name[..at - 1], &name[at + 1..]),
            _ => {}
        }
    }
    ("", name)
}

fn number(to: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        to.push(value as u8 | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}

fn text(to: &mut Vec<u8>, text: &str) {
    let text = &text[..text.floor_char_boundary(LONGEST)];
    to.push(text.len() as u8);
    to.extend(text.as_bytes());
}
