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
    /// A property of the node that began last.
    Property { name: &'a [u8], value: &'a [u8] },
    /// The node that began last and has not ended ends.
    EndNode,
    /// The tree ends.
    End,
}

/// The two blocks that tokens are read from.
#[derive(Clone, Copy, Debug)]
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
                PROP => self.property(after)?,
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

    fn property(&self, at: usize) -> Result<(Token<'a>, usize), Error> {
        let length = self.cell(at)? as usize;
        let name_offset = self.cell(at + 4)? as usize;
        let begin = at + 8;
        let end = begin.checked_add(length).ok_or(Error::Truncated)?;
        let value = self.structure.get(begin..end).ok_or(Error::Truncated)?;
        let name = until_nul(self.strings, name_offset).ok_or(Error::BadName)?;
        Ok((Token::Property { name, value }, align(end)))
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
    let rest = bytes.get(at..)?;
    let length = rest.iter().position(|byte| *byte == 0)?;
    Some(&rest[..length])
}

/// Rounds an offset within a slice up to a cell.
fn align(offset: usize) -> usize {
    offset.next_multiple_of(4)
}
