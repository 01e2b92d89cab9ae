//! Making a table.

use alloc::{collections::BTreeMap, vec::Vec};

use crate::{
    MAGIC,
    packed::{DEEPEST, FIRST, LONGEST},
};

/// Pairs that stand for fewer places than this cost more than they save.
const WORTH: usize = 3;

/// Makes the table of some symbols: address and name each, in any order. Of several at one address
/// the last is kept.
pub fn encode<'a>(symbols: impl IntoIterator<Item = (u32, &'a str)>) -> Vec<u8> {
    let symbols: BTreeMap<u32, &str> = symbols.into_iter().collect();
    let mut paths = Paths::default();
    let mut entries = Vec::new();
    let mut last = 0;
    for (address, name) in symbols {
        let (path, name) = split(name);
        entries.push(Entry { numbers: Vec::from([address - last, paths.number(path)]), text: ascii(name) });
        last = address;
    }
    let mut all = paths.entries;
    all.push(Entry { numbers: Vec::from([0]), text: Vec::new() });
    all.extend(entries);

    let pairs = pack(&mut all);
    let mut bytes = Vec::from([pairs.len() as u8]);
    bytes.extend(pairs.as_flattened());
    for entry in all {
        entry.numbers.iter().for_each(|n| number(&mut bytes, *n));
        bytes.push(entry.text.len() as u8);
        bytes.extend(entry.text);
    }
    let mut table = Vec::from(MAGIC);
    table.extend((bytes.len() as u32).to_le_bytes());
    table.extend(bytes);
    table
}

/// A path or a symbol: its numbers, and its text.
struct Entry {
    numbers: Vec<u32>,
    text: Vec<u8>,
}

/// The paths so far: numbers by the path above and the last part.
#[derive(Default)]
struct Paths<'a> {
    numbers: BTreeMap<(u32, &'a str), u32>,
    entries: Vec<Entry>,
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
            self.entries.push(Entry { numbers: Vec::from([above]), text: ascii(part) });
            next
        })
    }
}

/// Lets a byte stand for the two that follow each other most often, again and again.
fn pack(entries: &mut [Entry]) -> Vec<[u8; 2]> {
    let mut pairs: Vec<[u8; 2]> = Vec::new();
    let mut depths = BTreeMap::new();
    for byte in FIRST..=u8::MAX {
        let depth = |pair: &[u8; 2]| 1 + pair.iter().filter_map(|b| depths.get(b)).max().unwrap_or(&0);
        let mut counts = BTreeMap::<[u8; 2], usize>::new();
        for pair in entries.iter().flat_map(|e| e.text.array_windows()) {
            *counts.entry(*pair).or_default() += 1;
        }
        counts.retain(|pair, count| *count >= WORTH && depth(pair) <= DEEPEST);
        let Some((pair, _)) = counts.into_iter().max_by_key(|(_, count)| *count) else { break };
        entries.iter_mut().for_each(|e| replace(&mut e.text, pair, byte));
        depths.insert(byte, depth(&pair));
        pairs.push(pair);
    }
    pairs
}

/// Puts a byte in the place of each pair.
fn replace(text: &mut Vec<u8>, pair: [u8; 2], byte: u8) {
    let mut packed = Vec::new();
    for next in text.drain(..) {
        match packed.last_mut() {
            Some(last) if [*last, next] == pair => *last = byte,
            _ => packed.push(next),
        }
    }
    *text = packed;
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

/// The bytes of a text; what no name of a function has is a question mark.
fn ascii(text: &str) -> Vec<u8> {
    text.chars().take(LONGEST).map(|c| if c.is_ascii() { c as u8 } else { b'?' }).collect()
}
