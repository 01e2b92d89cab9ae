//! Cortex-A53 835769 in an image: a multiplication that accumulates 64 bits, next to an access to memory, may go wrong.
use object::{
    Endianness,
    elf::PF_X,
    read::elf::{ElfFile64, ProgramHeader},
};

/// Gives the addresses of such multiplications in an ELF file.
pub fn after_memory(elf: &[u8]) -> Vec<u64> {
    let file = ElfFile64::<Endianness>::parse(elf).expect("an ELF file");
    let segments =
        file.elf_program_headers().iter().filter(|segment| segment.p_flags(file.endian()) & PF_X == PF_X);
    let found = segments.flat_map(|segment| {
        let text = segment.data(file.endian(), elf).expect("a whole file");
        let start = segment.p_vaddr(file.endian());
        places(text).map(move |at| start + at)
    });
    found.collect()
}

fn places(text: &[u8]) -> impl Iterator<Item = u64> {
    let words: Vec<u32> = text.as_chunks().0.iter().map(|word| u32::from_le_bytes(*word)).collect();
    let pairs: Vec<u64> = words
        .windows(2)
        .enumerate()
        .filter(|(_, pair)| accesses_memory(pair[0]) && accumulates(pair[1]))
        .map(|(n, _)| n as u64 * 4 + 4)
        .collect();
    pairs.into_iter()
}

/// A load, a store or a prefetch.
fn accesses_memory(instruction: u32) -> bool {
    instruction >> 25 & 0b0101 == 0b0100
}

/// MADD or MSUB of 64 bits, SMADDL, SMSUBL, UMADDL or UMSUBL, with something to add to.
fn accumulates(instruction: u32) -> bool {
    let operation = instruction >> 21 & 7;
    instruction >> 24 == 0x9b && matches!(operation, 0 | 1 | 5) && instruction >> 10 & 31 != 31
}

#[cfg(test)]
mod tests {
    use super::*;

    const LDR: u32 = 0xf940_0108;
    const STP: u32 = 0xa933_6fbb;
    const PRFM: u32 = 0xf980_0000;
    const ADD: u32 = 0x8b01_0000;
    const MADD: u32 = 0x9b0a_2468;
    const MSUB: u32 = 0x9b08_d50c;
    const UMADDL: u32 = 0x9ba9_2008;
    const SMADDL: u32 = 0x9b2c_2549;
    const MUL: u32 = 0x9b0a_7c00;
    const UMULH: u32 = 0x9bc9_7c08;
    const MADD_32: u32 = 0x1b0a_2468;

    fn found(words: &[u32]) -> Vec<u64> {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        places(&bytes).collect()
    }

    #[test]
    fn an_accumulation_next_to_an_access_is_found() {
        for access in [LDR, STP, PRFM] {
            for multiply in [MADD, MSUB, UMADDL, SMADDL] {
                assert_eq!(found(&[ADD, access, multiply]), [8], "{access:#x} {multiply:#x}");
            }
        }
    }

    #[test]
    fn others_are_not() {
        assert_eq!(found(&[LDR, ADD, MADD, LDR, MUL, LDR, UMULH, LDR, MADD_32]), [0; 0]);
    }
}
