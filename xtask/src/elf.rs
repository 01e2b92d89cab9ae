//! What an ELF program needs to run: its loader and shared libraries.
use crate::{Result, read};
use object::{
    Endianness,
    read::elf::{Dyn, ElfFile32, ElfFile64, FileHeader, ProgramHeader},
};
use std::path::Path;

/// Gives the names of the libraries that `file` needs, and the path of its loader. A file that is
/// no ELF needs nothing.
pub fn needed(file: &Path) -> Result<Vec<String>> {
    let data = read(file)?;
    if !data.starts_with(b"\x7fELF") {
        return Ok(vec![]);
    }
    let found = match data.get(4) {
        Some(1) => ElfFile32::<Endianness>::parse(&*data).and_then(|f| names(&f)),
        _ => ElfFile64::<Endianness>::parse(&*data).and_then(|f| names(&f)),
    };
    found.map_err(|e| format!("{}: {e}", file.display()))
}

fn names<H: FileHeader<Endian = Endianness>>(
    file: &object::read::elf::ElfFile<'_, H>,
) -> object::read::Result<Vec<String>> {
    let (endian, data) = (file.endian(), file.data());
    let mut out = vec![];
    for header in file.elf_program_headers() {
        if let Some(loader) = header.interpreter(endian, data)? {
            out.push(String::from_utf8_lossy(loader).into_owned());
        }
    }
    let sections = file.elf_section_table();
    if let Some((entries, strings)) = sections.dynamic(endian, data)? {
        let strings = sections.strings(endian, data, strings)?;
        for entry in entries {
            if entry.tag(endian) == object::elf::DT_NEEDED {
                let name = entry.string(endian, strings)?;
                out.push(String::from_utf8_lossy(name).into_owned());
            }
        }
    }
    Ok(out)
}
