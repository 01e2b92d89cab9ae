//! The Image of 64-bit ARM (Linux's `Documentation/arch/arm64/booting.rst`).

use crate::Error;
use crate::bytes::{le_u32, le_u64};

const MAGIC: u32 = 0x644d_5241;
const MAGIC_OFFSET: usize = 56;
const HEADER_SIZE: usize = 64;
/// First instruction of Images before 3.17, which have no magic.
const OLD_FIRST: u32 = 0x1400_0008;
/// Where those want to be.
const OLD_TEXT_OFFSET: u64 = 0x8_0000;

/// An Image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Image<'a> {
    /// What to load: the whole file.
    pub contents: &'a [u8],
    /// Where to, counted from a multiple of 2 MiB.
    pub text_offset: u64,
    image_size: u64,
    flags: u64,
}

impl<'a> Image<'a> {
    /// Says whether a file begins like one.
    pub fn is_one(file: &[u8]) -> bool {
        le_u32(file, MAGIC_OFFSET) == Some(MAGIC) || le_u32(file, 0) == Some(OLD_FIRST)
    }

    /// Checks a file's header.
    pub fn parse(file: &'a [u8]) -> Result<Self, Error> {
        if file.len() < HEADER_SIZE {
            return Err(Error::TooShort);
        }
        if !Self::is_one(file) {
            return Err(Error::Unknown);
        }
        let number = |at| le_u64(file, at).ok_or(Error::TooShort);
        let (text_offset, image_size, flags) = (number(8)?, number(16)?, number(24)?);
        if flags & 1 != 0 {
            return Err(Error::BigEndian);
        }
        let text_offset = if image_size == 0 { OLD_TEXT_OFFSET } else { text_offset };
        Ok(Self { contents: file, text_offset, image_size, flags })
    }

    /// Bytes of memory it takes, with what is zero-initialised.
    pub fn memory_size(&self) -> u64 {
        self.image_size.max(self.contents.len() as u64)
    }

    /// Says whether it may lie anywhere in memory, not only near the start.
    pub fn anywhere(&self) -> bool {
        self.flags & 8 != 0
    }
}
