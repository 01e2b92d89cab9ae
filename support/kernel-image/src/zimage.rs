//! The zImage of 32-bit ARM: a program that unpacks the kernel, and runs anywhere in the first 128 MiB of RAM
//! (Linux's `Documentation/arch/arm/booting.rst`, `arch/arm/boot/compressed`).

use crate::bytes::{be_u32, le_u32};
use crate::{Error, Foreign};

const MAGIC: u32 = 0x016f_2818;
const MAGIC_OFFSET: usize = 0x24;
const HEADER_SIZE: usize = 0x30;
/// Follows the header of Linux's zImages since 3.17, in the CPU's byte order.
const BYTE_ORDER: u32 = 0x0403_0201;
/// Follows that since 4.15, and then the offset of the table.
const TABLE_MAGIC: u32 = 0x4545_4545;
/// Name of the table's entry about the kernel's size.
const TABLE_SIZE_TAG: u32 = 0x5a53_4c4b;

const TREE_MAGIC: u32 = 0xd00d_feed;

/// A zImage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ZImage<'a> {
    file: &'a [u8],
    /// Where it must be loaded; 0 for anywhere.
    start: u32,
    /// Bytes by its header.
    size: u32,
}

/// What stands in a file behind kernel and tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Behind<'a> {
    /// Bytes of the file before it.
    pub start: u64,
    /// The rest of the file.
    pub bytes: &'a [u8],
}

/// How much memory the unpacked kernel takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unpacked {
    /// Where it is put, counted from the start of RAM.
    pub text_offset: u64,
    /// Its bytes.
    pub size: u64,
    /// Zero-initialised bytes after it.
    pub bss_size: u64,
    /// Bytes that unpacking needs besides.
    pub heap_size: u64,
}

impl Unpacked {
    /// Where the unpacked kernel ends, counted from the start of RAM.
    pub fn end(&self) -> u64 {
        // Each is at most 32 bits wide.
        self.text_offset + self.size + self.bss_size
    }
}

impl<'a> ZImage<'a> {
    /// Checks a file's header.
    pub fn parse(file: &'a [u8]) -> Result<Self, Error> {
        let Some(magic) = le_u32(file, MAGIC_OFFSET).filter(|_| file.len() >= HEADER_SIZE) else {
            return Err(Foreign::recognise(file).map_or(Error::TooShort, Error::Foreign));
        };
        if magic == MAGIC.swap_bytes() {
            return Err(Error::BigEndian);
        }
        if magic != MAGIC {
            return Err(Foreign::recognise(file).map_or(Error::Unknown, Error::Foreign));
        }
        let number = |at| le_u32(file, at).ok_or(Error::TooShort);
        let (start, end) = (number(0x28)?, number(0x2c)?);
        let size = end.checked_sub(start).ok_or(Error::BadHeader)?;
        if (size as usize) < HEADER_SIZE {
            return Err(Error::BadHeader);
        }
        let image = Self { file, start, size };
        match le_u32(file, 0x30) {
            Some(mark) if mark == BYTE_ORDER.swap_bytes() => Err(Error::BigEndian),
            Some(BYTE_ORDER) if file.len() < size as usize => {
                Err(Error::Truncated { expected: size.into(), actual: file.len() as u64 })
            }
            _ => Ok(image),
        }
    }

    /// Where it must be loaded and entered, if not anywhere.
    pub fn start(&self) -> Option<u32> {
        (self.start != 0).then_some(self.start)
    }

    /// What to load: the whole file but for a device tree after the kernel.
    pub fn contents(&self) -> &'a [u8] {
        match self.tree_offset() {
            Some(_) => self.file.get(..self.size as usize).unwrap_or(self.file),
            None => self.file,
        }
    }

    /// Bytes of memory it takes when loaded, before it unpacks itself.
    pub fn memory_size(&self) -> u64 {
        u64::from(self.size).max(self.contents().len() as u64)
    }

    /// The device tree right after the kernel, where Linux looks for one.
    pub fn appended_tree(&self) -> Result<Option<&'a [u8]>, Error> {
        let Some(offset) = self.tree_offset() else { return Ok(None) };
        let rest = self.file.get(offset..).unwrap_or_default();
        let expected = be_u32(rest, 4).unwrap_or(0);
        let tree = rest.get(..expected as usize);
        tree.map(Some).ok_or(Error::TruncatedTree { expected: expected.into(), actual: rest.len() as u64 })
    }

    /// What stands behind the device tree, or behind the kernel when there is no (whole) tree.
    pub fn behind_tree(&self) -> Behind<'a> {
        let tree = self.tree_offset().zip(self.appended_tree().ok().flatten());
        let start = tree.map_or(self.size as usize, |(offset, tree)| offset + tree.len());
        Behind { start: start as u64, bytes: self.file.get(start..).unwrap_or_default() }
    }

    /// Linux finds a tree exactly at the end; tools that pad to whole words are common enough to look there
    /// too.
    fn tree_offset(&self) -> Option<usize> {
        let end = self.size as usize;
        [end, end.checked_next_multiple_of(4)?, end.checked_next_multiple_of(8)?]
            .into_iter()
            .find(|offset| be_u32(self.file, *offset) == Some(TREE_MAGIC))
    }

    /// What Linux's zImages since 4.15 say about the kernel inside.
    pub fn unpacked(&self) -> Option<Unpacked> {
        if le_u32(self.file, 0x34)? != TABLE_MAGIC {
            return None;
        }
        let mut at = le_u32(self.file, 0x38)? as usize;
        loop {
            // Words of the entry after its tag, the tag, the words.
            let words = le_u32(self.file, at)? as usize;
            if words == 0 {
                return None;
            }
            if le_u32(self.file, at.checked_add(4)?)? == TABLE_SIZE_TAG && words >= 5 {
                let word = |index: usize| le_u32(self.file, at + 4 * index).map(u64::from);
                return Some(Unpacked {
                    size: le_u32(self.file, word(2)? as usize)?.into(),
                    bss_size: word(3)?,
                    text_offset: word(4)?,
                    heap_size: if words >= 6 { word(5)? } else { 0 },
                });
            }
            at = at.checked_add(words.checked_mul(4)?)?;
        }
    }
}
