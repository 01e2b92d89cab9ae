//! How the linker named this build: which ELF file, with its debug information, a running image came from.
#![allow(unsafe_code)]
// UNSAFETY: the note lies where only the linker script knows.

use core::slice;

/// Bytes of the note before the id: three words, and the name "GNU".
const HEAD: usize = 16;

unsafe extern "C" {
    static _build_id: u8;
    static _build_id_end: u8;
}

/// The id; empty where the linker made none.
pub fn build_id() -> &'static [u8] {
    let (start, end) = (&raw const _build_id, &raw const _build_id_end);
    // SAFETY: the linker script has both around its note, which is among the constants.
    let note = unsafe { slice::from_raw_parts(start, end.addr() - start.addr()) };
    note.get(HEAD..).unwrap_or_default()
}
