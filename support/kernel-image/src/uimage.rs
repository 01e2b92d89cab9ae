//! U-Boot's uImage: a big-endian header before any kernel.

use crate::Error;
use crate::bytes::be_u32;

const MAGIC: u32 = 0x2705_1956;
const HEADER_SIZE: usize = 64;
const CPU_ARM: u8 = 2;
const CPU_ARM64: u8 = 22;

/// Which kind of CPU a uImage is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    /// AArch32.
    Arm,
    /// AArch64.
    Arm64,
}

/// A uImage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UImage<'a> {
    /// What to load.
    pub contents: &'a [u8],
    /// Where to; 0 for anywhere.
    pub load: u32,
    /// Where it starts; 0 for its beginning.
    pub entry: u32,
    /// What it is for.
    pub architecture: Architecture,
}

impl<'a> UImage<'a> {
    /// Says whether a file begins like one.
    pub fn is_one(file: &[u8]) -> bool {
        be_u32(file, 0) == Some(MAGIC)
    }

    /// Checks a file's header.
    pub fn parse(file: &'a [u8]) -> Result<Self, Error> {
        let (header, rest) = file.split_at_checked(HEADER_SIZE).ok_or(Error::TooShort)?;
        let number = |at| be_u32(header, at).ok_or(Error::TooShort);
        if number(0)? != MAGIC {
            return Err(Error::Unknown);
        }
        let size = number(12)?;
        let truncated = Error::Truncated { expected: size.into(), actual: rest.len() as u64 };
        let contents = rest.get(..size as usize).ok_or(truncated)?;
        let architecture = match header[29] {
            CPU_ARM => Architecture::Arm,
            CPU_ARM64 => Architecture::Arm64,
            other => return Err(Error::ForeignUImage(other)),
        };
        if header[31] != 0 {
            return Err(Error::CompressedUImage(header[31]));
        }
        Ok(Self { contents, load: number(16)?, entry: number(20)?, architecture })
    }
}
