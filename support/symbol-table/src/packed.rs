//! Text in which a byte may stand for two others.

use core::fmt::{self, Write};

/// The lowest byte that stands for a pair.
pub const FIRST: u8 = 0x80;
/// The longest text, so that a table that is wrong ends too.
pub const LONGEST: usize = 127;
/// How deep pairs are in pairs at most.
pub const DEEPEST: usize = 16;

/// What the bytes from [`FIRST`] on stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pairs<'a>(&'a [[u8; 2]]);

impl<'a> Pairs<'a> {
    /// Takes the pairs off the start of some bytes; gives what follows too.
    pub fn parse(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (count, rest) = bytes.split_first()?;
        let (pairs, rest) = rest.split_at_checked(2 * usize::from(*count))?;
        Some((Self(pairs.as_chunks().0), rest))
    }

    /// Makes text of bytes, to be displayed.
    pub fn text(self, bytes: &'a [u8]) -> Text<'a> {
        Text { pairs: self, bytes }
    }

    /// The two that a byte stands for, if it does; never itself or what stands for it.
    fn of(self, byte: u8) -> Option<[u8; 2]> {
        let pair = *self.0.get(usize::from(byte.checked_sub(FIRST)?))?;
        (pair[0] < byte && pair[1] < byte).then_some(pair)
    }
}

/// A name, or a part of one.
pub struct Text<'a> {
    pairs: Pairs<'a>,
    bytes: &'a [u8],
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut waiting = [0; DEEPEST];
        let mut room = LONGEST;
        for byte in self.bytes {
            let mut byte = *byte;
            let mut depth = 0;
            loop {
                match (self.pairs.of(byte), waiting.get_mut(depth)) {
                    (Some([first, second]), Some(place)) => {
                        (*place, byte) = (second, first);
                        depth += 1;
                    }
                    _ if room == 0 => return Ok(()),
                    _ => {
                        f.write_char(char::from(byte))?;
                        room -= 1;
                        let Some(next) = depth.checked_sub(1) else { break };
                        (depth, byte) = (next, waiting.get(next).copied().unwrap_or_default());
                    }
                }
            }
        }
        Ok(())
    }
}
