#![no_std]
#![forbid(unsafe_code)]
#![doc = include_str!("../README.md")]
//!
//! # Format
//!
//! [`MAGIC`]; the length of what follows, 4 bytes little-endian; the number of pairs, a byte, and
//! those, two bytes each; the paths that names begin with, each the number of the path above it,
//! counted from 1, a length byte and the bytes of its last part, ended by a length of 0; then the
//! symbols by ascending address, each the distance from the one before, the number of its path, a
//! length byte and the rest of its name. Distances and numbers are little-endian base 128,
//! continued by bit 7; a path has a higher number than the one above it. Names are ASCII, and a
//! byte 0x80 + n stands for the two of pair n, which may stand for more but are lower than it.

#[cfg(any(test, feature = "encode"))]
extern crate alloc;

#[cfg(any(test, feature = "encode"))]
mod encode;
mod packed;
#[cfg(any(test, feature = "encode"))]
pub use encode::encode;

use core::fmt;

use packed::Pairs;

/// What a table begins with.
pub const MAGIC: [u8; 4] = *b"SYMS";

/// A table.
#[derive(Clone, Copy, Debug)]
pub struct Table<'a> {
    pairs: Pairs<'a>,
    paths: &'a [u8],
    symbols: &'a [u8],
}

/// A function and a place in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Symbol<'a> {
    pairs: Pairs<'a>,
    paths: &'a [u8],
    path: u32,
    name: &'a [u8],
    /// Bytes from its beginning.
    pub offset: u32,
}

impl<'a> Table<'a> {
    /// Finds the table at the start of some bytes, if one is there.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(&MAGIC)?;
        let (len, rest) = rest.split_first_chunk()?;
        let (pairs, paths) = Pairs::parse(rest.get(..u32::from_le_bytes(*len) as usize)?)?;
        let mut symbols = paths;
        while !path(&mut symbols)?.1.is_empty() {}
        Some(Self { pairs, paths, symbols })
    }

    /// Names the function that an address lies in or after.
    pub fn find(&self, address: u32) -> Option<Symbol<'a>> {
        let mut rest = self.symbols;
        let mut at = 0u32;
        let mut found = None;
        while !rest.is_empty() {
            at = at.checked_add(number(&mut rest)?)?;
            if at > address {
                break;
            }
            found = Some((at, number(&mut rest)?, text(&mut rest)?));
        }
        let (at, path, name) = found?;
        Some(Symbol { pairs: self.pairs, paths: self.paths, path, name, offset: address - at })
    }
}

impl Symbol<'_> {
    /// Writes the path of that number, and the separator behind it.
    fn write_path(&self, f: &mut fmt::Formatter<'_>, number: u32) -> fmt::Result {
        let mut rest = self.paths;
        let entry = (1..number).try_for_each(|_| path(&mut rest).map(drop)).and_then(|()| path(&mut rest));
        match entry {
            Some((above, part)) if above < number => {
                self.write_path(f, above)?;
                write!(f, "{}::", self.pairs.text(part))
            }
            // Number 0 is for what has no path.
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Symbol<'_> {
    /// Writes the whole name and the offset.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_path(f, self.path)?;
        write!(f, "{}+{:#x}", self.pairs.text(self.name), self.offset)
    }
}

fn number(rest: &mut &[u8]) -> Option<u32> {
    let mut value = 0;
    for shift in (0..32).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        value |= u32::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// A path: the number of the one above it, and its last part.
fn path<'a>(rest: &mut &'a [u8]) -> Option<(u32, &'a [u8])> {
    Some((number(rest)?, text(rest)?))
}

fn text<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (len, after) = rest.split_first()?;
    let (text, after) = after.split_at_checked(usize::from(*len))?;
    *rest = after;
    Some(text)
}

#[cfg(test)]
mod tests;
