//! The symbol table that the hypervisor's image carries for its backtraces.
//!
//! An image that wants one leaves a section `.symbols` right behind what is in its file, and a
//! header that says how long the file is.
use crate::{Result, read};
use object::{
    Endianness, Object, ObjectSection, ObjectSymbol, SymbolKind,
    read::elf::{ElfFile32, ElfFile64},
};
use std::path::Path;

const SECTION: &str = ".symbols";

/// What the names of functions begin with that the compiler made of repeated instructions.
const OUTLINED: &str = "OUTLINED_FUNCTION_";

/// The bit of a function's address that says that it is Thumb code.
const THUMB: u32 = 1;

/// Where a zImage's header has the end of the file, from its start; and where ours for arm64 has it, behind
/// what Linux defines.
const ZIMAGE_FILE_SIZE: usize = 0x2c;
const IMAGE_FILE_SIZE: usize = 0x40;

/// Appends the functions of `elf` to its flat image, if it wants them.
pub fn append(elf: &Path, flat: &mut Vec<u8>) -> Result<()> {
    let data = read(elf)?;
    if let Ok(file) = ElfFile32::<Endianness>::parse(&*data) {
        return append_of(&file, ZIMAGE_FILE_SIZE, flat).map_err(|e| format!("{}: {e}", elf.display()));
    }
    let file = ElfFile64::<Endianness>::parse(&*data).map_err(|e| format!("{}: {e}", elf.display()))?;
    append_of(&file, IMAGE_FILE_SIZE, flat).map_err(|e| format!("{}: {e}", elf.display()))
}

fn append_of<'a>(file: &impl Object<'a>, header: usize, flat: &mut Vec<u8>) -> Result<()> {
    let Some(space) = file.section_by_name(SECTION).map(|s| s.size()) else { return Ok(()) };
    let mut functions: Vec<(u32, String)> = file
        .symbols()
        .filter(|s| s.kind() == SymbolKind::Text && s.is_definition())
        .filter_map(|s| Some((s.address() as u32 & !THUMB, demangled(s.name().ok()?))))
        .collect();
    functions.sort_unstable();
    // One name serves for all in a row that the compiler made of what several functions have in common.
    functions.dedup_by(|(_, next), (_, name)| next.starts_with(OUTLINED) && name.starts_with(OUTLINED));
    let table = symbol_table::encode(functions.iter().map(|(at, name)| (*at, name.as_str())));
    if table.len() as u64 > space {
        return Err(format!("{} bytes of symbols, room for {space}", table.len()));
    }
    flat.extend(table);
    let end = flat.len() as u32;
    let header = flat.get_mut(header..header + 4).ok_or("the image has no header")?;
    header.copy_from_slice(&end.to_le_bytes());
    Ok(())
}

/// Gives a name as written in the source: without the compiler's hash, and without the arguments of
/// generics, of which there are many and which say little.
fn demangled(name: &str) -> String {
    without_arguments(&format!("{:#}", rustc_demangle::demangle(name)))
}

fn without_arguments(name: &str) -> String {
    let mut kept = String::new();
    // How many brackets are open, from the first one that holds arguments on.
    let mut depth = 0;
    let mut last = ' ';
    for c in name.chars() {
        match c {
            '<' if depth > 0 || last.is_alphanumeric() || last == '_' || last == ':' => depth += 1,
            '>' if depth > 0 && last != '-' => depth -= 1,
            c if depth == 0 => kept.push(c),
            _ => {}
        }
        last = c;
    }
    without_trait(kept.replace("::::", "::").trim_end_matches(':'))
}

/// Gives the path of an implementation: the type's, like any other; the trait says little beside the
/// function's name.
fn without_trait(name: &str) -> String {
    let Some(rest) = name.strip_prefix('<') else { return name.to_owned() };
    let mut depth = 0;
    let mut trait_at = None;
    for (at, c) in rest.char_indices() {
        match c {
            '<' => depth += 1,
            '>' if depth == 0 => {
                let of = rest[..trait_at.unwrap_or(at)].trim_start_matches("&mut ").trim_start_matches('&');
                return without_trait(of) + &rest[at + 1..];
            }
            '>' => depth -= 1,
            ' ' if depth == 0 && rest[at..].starts_with(" as ") => trait_at = Some(at),
            _ => {}
        }
    }
    name.to_owned()
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_lose_their_hash() {
        assert_eq!(super::demangled("_ZN7hv_core6domain3new17h0123456789abcdefE"), "hv_core::domain::new");
        assert_eq!(super::demangled("memcpy"), "memcpy");
    }

    #[test]
    fn names_lose_the_arguments_of_generics() {
        let short = super::without_arguments;
        assert_eq!(short("hv_core::trap::skip::<hv_core::regs::Regs<u32>>"), "hv_core::trap::skip");
        assert_eq!(short("<hv_core::Hypervisor<a::Board>>::handle"), "hv_core::Hypervisor::handle");
        assert_eq!(short("<a::B<fn(u8) -> C<u8>> as d::E<u8>>::f::<u8>::g"), "a::B::f::g");
        assert_eq!(short("<str>::trim::{closure#0}"), "str::trim::{closure#0}");
    }

    #[test]
    fn names_lose_traits() {
        let short = super::without_arguments;
        assert_eq!(short("<&mut a::B as core::fmt::Write>::write_str"), "a::B::write_str");
        assert_eq!(short("<<a::B as d::E>::f::G as core::ops::drop::Drop>::drop"), "a::B::f::G::drop");
        assert_eq!(short("<[u8] as a::B>::f"), "[u8]::f");
    }
}
