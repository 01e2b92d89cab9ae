//! Files of a kernel and what stands behind it.

use device_tree::Writer;
use guest_board::{Appended, Error, appended};
use kernel_image::ZImage;

const KERNEL: usize = 0x2000;
const INITRD: &[u8] = b"070701 and what else an archive has";

fn zimage(start: u32) -> Vec<u8> {
    let mut file = vec![0; KERNEL];
    for (at, word) in [(0x24, 0x016f_2818), (0x28, start), (0x2c, start + KERNEL as u32), (0x30, 0x0403_0201)]
    {
        file[at..at + 4].copy_from_slice(&u32::to_le_bytes(word));
    }
    file
}

/// A tree of a board with memory at `memory`, whose initrd is `[start, end)`.
fn tree(memory: u32, start: u32, end: u32) -> Vec<u8> {
    let mut out = Writer::new([], 0);
    out.begin_node("").u32("#address-cells", 1).u32("#size-cells", 1);
    out.begin_node("chosen").u32("linux,initrd-start", start).u32("linux,initrd-end", end).end_node();
    out.begin_node(&format!("memory@{memory:x}")).str("device_type", "memory");
    out.cells("reg", &[memory, 0x800_0000]).end_node().end_node();
    out.finish()
}

/// The file that a loader puts at 32 KiB of that memory.
fn file(memory: u32, start: u32, gap: usize) -> Vec<u8> {
    let loaded = if start == 0 { memory + 0x8000 } else { start };
    let mut file = zimage(start);
    let at = (KERNEL + tree(0, 0, 0).len() + gap) as u32;
    file.extend(tree(memory, loaded + at, loaded + at + INITRD.len() as u32));
    file.resize(at as usize, 0);
    file.extend(INITRD);
    file
}

fn initrd(file: &[u8]) -> Result<Option<&[u8]>, Error> {
    Ok(appended(&ZImage::parse(file).unwrap())?.and_then(|appended| appended.initrd))
}

#[test]
fn an_initrd_behind_the_tree_is_where_the_tree_says() {
    for memory in [0x4000_0000, 0x8000_0000] {
        for gap in [0, 3, 0x10_0000] {
            let mut file = file(memory, 0, gap);
            assert_eq!(initrd(&file), Ok(Some(INITRD)));
            file.extend([0; 512]);
            assert_eq!(initrd(&file), Ok(Some(INITRD)), "with padding");
        }
    }
    assert_eq!(initrd(&file(0x4000_0000, 0x4100_0000, 0)), Ok(Some(INITRD)), "a kernel with an address");
}

#[test]
fn a_tree_may_come_alone() {
    let plain = {
        let mut out = Writer::new([], 0);
        out.begin_node("").end_node();
        out.finish()
    };
    let file = [zimage(0), plain.clone()].concat();
    let found = appended(&ZImage::parse(&file).unwrap());
    assert_eq!(found, Ok(Some(Appended { tree: &plain, initrd: None })));
    assert_eq!(appended(&ZImage::parse(&zimage(0)).unwrap()), Ok(None));
}

#[test]
fn an_initrd_that_is_elsewhere_is_not_in_the_file() {
    let memory = 0x4000_0000;
    let end = memory + 0x8000 + (KERNEL + tree(0, 0, 0).len()) as u32;
    for (start, size) in [
        (memory, 16),
        (memory + 0x8000, 16),
        (end - 1, 16),
        (end, 0),
        (end, 16),
        (0, 16),
        (u32::MAX - 16, 16),
    ] {
        let file = [zimage(0), tree(memory, start, start + size)].concat();
        assert_eq!(initrd(&file), Ok(None), "{start:#x}");
    }
    let file = [zimage(0), tree(memory, end, 5), INITRD.to_vec()].concat();
    assert_eq!(initrd(&file), Ok(None), "an end before its start");
}

#[test]
fn a_truncated_initrd_is_refused_with_its_sizes() {
    let whole = file(0x8000_0000, 0, 5);
    let error = Error::TruncatedInitrd { expected: INITRD.len() as u64, actual: INITRD.len() as u64 - 7 };
    assert_eq!(initrd(&whole[..whole.len() - 7]), Err(error));
}
