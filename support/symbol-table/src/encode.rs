//! Making a table.

use alloc::{collections::BTreeMap, vec::Vec};

use crate::MAGIC;

/// The longest path or name that is kept.
const LONGEST: usize = 127;

/// Makes the table of some symbols: address and name each, in any order. Of several at one address
/// the last is kept.
pub fn encode<'a>(symbols: impl IntoIterator<Item = (u32, &'a str)>) -> Vec<u8> {
    let symbols: BTreeMap<u32, &str> = symbols.into_iter().collect();
    let mut paths = BTreeMap::new();
    let (mut path_bytes, mut bytes) = (Vec::new(), Vec::new());
    let mut last = 0;
    for (address, name) in symbols {
        let (path, name) = split(name);
        let next = paths.len() as u32 + 1;
        let path = match path {
            "" => 0,
            path => *paths.entry(path).or_insert_with(|| {
                text(&mut path_bytes, path);
                next
            }),
        };
        number(&mut bytes, address - last);
        number(&mut bytes, path);
        text(&mut bytes, name);
        last = address;
    }
    path_bytes.push(0);
    let len = (path_bytes.len() + bytes.len()) as u32;
    let mut table = Vec::from(MAGIC);
    table.extend(len.to_le_bytes());
    table.extend(path_bytes);
    table.extend(bytes);
    table
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
