//! The structure block: a sequence of tokens, each on a 4-byte boundary.

use crate::Error;

const BEGIN_NODE: u32 = 1;
const END_NODE: u32 = 2;
const PROP: u32 = 3;
const NOP: u32 = 4;
const END: u32 = 9;

/// A token and what belongs to it. Names are without their NUL.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Token<'a> {
    /// A node begins.
    Begin { name: &'a [u8] },
    /// A property of the node that began last, whose name is at this offset of the strings.
    Property { name: usize },
    /// The node that began last and has not ended ends.
    EndNode,
    /// The tree ends.
    End,
}

/// The two blocks that tokens are read from.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Blocks<'a> {
    pub structure: &'a [u8],
    pub strings: &'a [u8],
}

impl<'a> Blocks<'a> {
    /// Reads the token at offset `at` of the structure block, or the first one after it that is not a NOP;
    /// returns it, its offset, and the offset of the next one.
    pub fn token(&self, mut at: usize) -> Result<(Token<'a>, usize, usize), Error> {
        loop {
            let kind = self.cell(at)?;
            let after = at + 4;
            let (token, next) = match kind {
                BEGIN_NODE => {
                    let name = until_nul(self.structure, after).ok_or(Error::Truncated)?;
                    (Token::Begin { name }, align(after + name.len() + 1))
                }
                END_NODE => (Token::EndNode, after),
                PROP => {
                    let (name, _, next) = self.property(at).ok_or(Error::Truncated)?;
                    (Token::Property { name }, next)
                }
                NOP => {
                    at = after;
                    continue;
                }
                END => (Token::End, after),
                unknown => return Err(Error::UnknownToken(unknown)),
            };
            return Ok((token, at, next));
        }
    }

    /// Reads the property at offset `at`, if there is one; returns where its name is, its value, and the
    /// offset of what follows. Readers spend most of their time here.
    #[inline]
    pub fn property(&self, at: usize) -> Option<(usize, &'a [u8], usize)> {
        let header = self.structure.get(at..)?.first_chunk::<12>()?;
        let (words, _) = header.as_chunks::<4>();
        let [kind, length, name] = [words[0], words[1], words[2]].map(u32::from_be_bytes);
        if kind != PROP {
            return None;
        }
        let rest = &self.structure[at..][header.len()..];
        let value = rest.get(..length as usize)?;
        // Both lie within a slice: no sum is too large.
        Some((name as usize, value, align(at.wrapping_add(header.len()).wrapping_add(value.len()))))
    }

    /// The offset of what follows the properties and NOPs at `at`.
    pub fn skip_properties(&self, mut at: usize) -> usize {
        loop {
            at = match self.property(at) {
                Some((_, _, next)) => next,
                None => match self.skip_nops(at) {
                    after if after == at => return at,
                    after => after,
                },
            };
        }
    }

    /// The offset of the next thing that is no NOP.
    pub fn skip_nops(&self, mut at: usize) -> usize {
        while be_u32(self.structure, at) == Some(NOP) {
            at += 4;
        }
        at
    }

    /// The name at an offset of the strings, without its NUL.
    pub fn name(&self, at: usize) -> Option<&'a [u8]> {
        until_nul(self.strings, at)
    }

    /// The string at an offset, if it is that one: looking properties up is most of what readers do.
    pub fn string(&self, at: usize, expected: &str) -> Option<&'a str> {
        let len = expected.len();
        // Most differ in their first byte.
        let rest = self.strings.get(at..).filter(|rest| rest.first() == expected.as_bytes().first())?;
        let (found, rest) = rest.split_at_checked(len)?;
        let same = found == expected.as_bytes() && rest.first() == Some(&0);
        same.then(|| core::str::from_utf8(found).ok()).flatten()
    }

    fn cell(&self, at: usize) -> Result<u32, Error> {
        be_u32(self.structure, at).ok_or(Error::Truncated)
    }
}

/// Reads a big-endian cell at a byte offset.
pub(crate) fn be_u32(bytes: &[u8], at: usize) -> Option<u32> {
    let cell = bytes.get(at..)?.first_chunk::<4>()?;
    Some(u32::from_be_bytes(*cell))
}

/// The bytes from `at` up to a NUL that must be there.
fn until_nul(bytes: &[u8], at: usize) -> Option<&[u8]> {
    // Names are short: a search by words, as the library has it, would take longer to begin.
    let bytes = bytes.get(at..)?;
    let end = bytes.iter().position(|byte| *byte == 0)?;
    bytes.get(..end)
}

/// Rounds an offset within a slice up to a cell.
fn align(offset: usize) -> usize {
    offset.wrapping_add(3) & !3
}
