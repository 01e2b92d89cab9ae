//! A property and the forms its value can have.

use crate::token::be_u32;

/// A name and a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Property<'a> {
    /// The name.
    pub name: &'a str,
    /// The value as it stands.
    pub value: &'a [u8],
}

impl<'a> Property<'a> {
    /// The value, if it is one cell.
    pub fn as_u32(&self) -> Option<u32> {
        (self.value.len() == 4).then(|| be_u32(self.value, 0)).flatten()
    }

    /// The value as a number, if it is one or two cells.
    pub fn as_u64(&self) -> Option<u64> {
        match self.value.len() {
            4 => be_u32(self.value, 0).map(u64::from),
            8 => self.value.first_chunk::<8>().map(|bytes| u64::from_be_bytes(*bytes)),
            _ => None,
        }
    }

    /// The value, if it is one string.
    pub fn as_str(&self) -> Option<&'a str> {
        let (last, text) = self.value.split_last()?;
        (*last == 0 && !text.contains(&0)).then(|| core::str::from_utf8(text).ok()).flatten()
    }

    /// The value as strings, one after the other; what is not a string is left out.
    pub fn strings(&self) -> Strings<'a> {
        Strings { rest: self.value }
    }

    /// Says whether one of the value's strings is among some.
    pub fn has_any(&self, texts: &[&str]) -> bool {
        let mut own = self.value.split(|byte| *byte == 0);
        own.any(|own| texts.iter().any(|text| text.as_bytes() == own))
    }

    /// The value as cells; bytes that are left over are left out.
    pub fn cells(&self) -> impl ExactSizeIterator<Item = u32> + use<'a> {
        self.value.as_chunks::<4>().0.iter().map(|cell| u32::from_be_bytes(*cell))
    }
}

/// The strings of a property.
#[derive(Clone, Debug)]
pub struct Strings<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Strings<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let end = self.rest.iter().position(|byte| *byte == 0)?;
            let text = &self.rest[..end];
            self.rest = &self.rest[end + 1..];
            if let Ok(text) = core::str::from_utf8(text) {
                return Some(text);
            }
        }
    }
}
