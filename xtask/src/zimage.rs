//! What an ARM zImage says of itself (Linux `arch/arm/boot/compressed/head.S`).
use crate::Result;

const MAGIC: (usize, u32) = (0x24, 0x016f_2818);
const TABLE_MAGIC: (usize, u32) = (0x34, 0x4545_4545);
const TABLE: usize = 0x38;
const TAG_KERNEL_SIZE: u32 = 0x5a53_4c4b;

/// Gives how many bytes from its base a decompressed kernel occupies, with the room that the
/// decompressor needs while it works: nothing else may lie there.
pub fn footprint(image: &[u8]) -> Result<u64> {
    kernel_size(image)
        .map(|kernel| kernel + image.len() as u64)
        .ok_or_else(|| "not a zImage with a size table".into())
}

fn kernel_size(image: &[u8]) -> Option<u64> {
    let word = |at: usize| Some(u32::from_le_bytes(image.get(at..at.checked_add(4)?)?.try_into().ok()?));
    if word(MAGIC.0)? != MAGIC.1 || word(TABLE_MAGIC.0)? != TABLE_MAGIC.1 {
        return None;
    }
    let mut at = word(TABLE)? as usize;
    loop {
        let words = word(at)? as usize;
        if words == 0 {
            return None;
        }
        if word(at + 4)? == TAG_KERNEL_SIZE {
            // The size before compression stands at the end of the compressed part.
            let loaded = word(word(at + 8)? as usize)?;
            return Some(u64::from(loaded) + u64::from(word(at + 12)?));
        }
        at += 4 * words;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn footprint_is_text_bss_and_the_image_itself() {
        let mut image = vec![0u8; 0x80];
        let words: [(usize, u32); 8] = [
            MAGIC,
            TABLE_MAGIC,
            (TABLE, 0x40),
            (0x40, 4),
            (0x44, TAG_KERNEL_SIZE),
            (0x48, 0x60),
            (0x4c, 0x1000),
            (0x60, 0x20000),
        ];
        for (at, value) in words {
            image[at..at + 4].copy_from_slice(&value.to_le_bytes());
        }
        assert_eq!(footprint(&image), Ok(0x21000 + 0x80));
        assert!(footprint(&image[..0x50]).is_err());
        assert!(footprint(b"no kernel").is_err());
    }
}
