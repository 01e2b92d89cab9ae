//! Names of our own functions, from the table that the build has appended to the image.
#![allow(unsafe_code)]
// UNSAFETY: the table lies behind the image, where only the linker script knows.

use core::{fmt, slice};

use symbol_table::Table;

use crate::arch;

unsafe extern "C" {
    static _start: u8;
    static _image_end: u8;
}

/// The table, if the file had one.
fn table() -> Option<Table<'static>> {
    let (start, symbols) = (&raw const _start, &raw const _image_end);
    // SAFETY: the header is part of the image, and words in it are aligned.
    let file_size = unsafe { start.byte_add(arch::HEADER_FILE_SIZE).cast::<u32>().read() } as usize;
    let len = (start.addr() + file_size).checked_sub(symbols.addr())?;
    // SAFETY: the linker script leaves space for the table right behind the image, and nothing writes
    // there; the build makes none that is larger.
    Table::parse(unsafe { slice::from_raw_parts(symbols, len) })
}

/// A place in our own code, by address.
pub struct Place(pub usize);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#010x}", self.0)?;
        match table().and_then(|table| table.find(self.0 as u32)) {
            Some(symbol) => write!(f, " {symbol}"),
            None => Ok(()),
        }
    }
}
