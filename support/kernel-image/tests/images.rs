//! Kernel files of all kinds, good and broken.

use kernel_image::{Architecture, Error, Foreign, Image, Kernel, UImage, Unpacked, ZImage};

fn put(bytes: &mut [u8], at: usize, number: u32) {
    bytes[at..at + 4].copy_from_slice(&number.to_le_bytes());
}

/// A zImage like those of Linux 4.15 and later.
fn linux(size: u32) -> Vec<u8> {
    let mut file = vec![0; size as usize];
    put(&mut file, 0x24, 0x016f_2818);
    put(&mut file, 0x2c, size);
    put(&mut file, 0x30, 0x0403_0201);
    put(&mut file, 0x34, 0x4545_4545);
    put(&mut file, 0x38, 0x80);
    for (index, word) in [6, 0x5a53_4c4b, 0xa1, 0x1000, 0x20_8000, 0x1_0000, 0].into_iter().enumerate() {
        put(&mut file, 0x80 + 4 * index, word);
    }
    put(&mut file, 0xa1, 0x30_0000);
    file
}

/// A zImage of something else: only the header, its size counting 0x1000 bytes that the file has not.
fn other(size: u32) -> Vec<u8> {
    let mut file = vec![0xaa; size as usize];
    put(&mut file, 0x24, 0x016f_2818);
    put(&mut file, 0x28, 0);
    put(&mut file, 0x2c, size + 0x1000);
    file
}

/// The beginning of a device tree of some size, filled up to it.
fn tree(size: u32) -> Vec<u8> {
    let mut tree = vec![0; size as usize];
    tree[..4].copy_from_slice(&0xd00d_feed_u32.to_be_bytes());
    tree[4..8].copy_from_slice(&size.to_be_bytes());
    tree
}

fn arm64(image_size: u64, flags: u64) -> Vec<u8> {
    let mut file = vec![0; 4096];
    file[8..16].copy_from_slice(&0x20_0000_u64.to_le_bytes());
    file[16..24].copy_from_slice(&image_size.to_le_bytes());
    file[24..32].copy_from_slice(&flags.to_le_bytes());
    file[56..60].copy_from_slice(b"ARM\x64");
    file
}

fn uimage(cpu: u8, compression: u8, contents: &[u8]) -> Vec<u8> {
    let mut file = vec![0; 64];
    for (at, number) in [(0, 0x2705_1956), (12, contents.len() as u32), (16, 0x8000), (20, 0x8040)] {
        file[at..at + 4].copy_from_slice(&number.to_be_bytes());
    }
    file[29] = cpu;
    file[31] = compression;
    file.extend(contents);
    file
}

#[test]
fn a_zimage_is_all_there_is_of_it() {
    let file = linux(0x2000);
    let image = ZImage::parse(&file).unwrap();
    assert_eq!(Kernel::parse(&file), Ok(Kernel::ZImage(image)));
    assert_eq!(image.start(), None);
    assert_eq!(image.contents(), file);
    assert_eq!(image.memory_size(), 0x2000);
    assert_eq!(image.appended_tree(), Ok(None));
}

#[test]
fn a_zimage_tells_how_large_it_will_be() {
    let unpacked = ZImage::parse(&linux(0x2000)).unwrap().unpacked().unwrap();
    assert_eq!(
        unpacked,
        Unpacked { text_offset: 0x20_8000, size: 0x30_0000, bss_size: 0x1000, heap_size: 0x1_0000 }
    );
    assert_eq!(unpacked.end(), 0x50_9000);
    assert_eq!(ZImage::parse(&other(0x2000)).unwrap().unpacked(), None);
}

#[test]
fn a_zimage_may_want_an_address() {
    let mut file = linux(0x2000);
    put(&mut file, 0x28, 0x6000_8000);
    put(&mut file, 0x2c, 0x6000_a000);
    assert_eq!(ZImage::parse(&file).unwrap().start(), Some(0x6000_8000));
}

#[test]
fn a_tree_right_after_the_kernel_is_found_and_not_loaded() {
    let mut file = linux(0x2002);
    let kernel = file.clone();
    file.extend(tree(0x300));
    file.extend(b"more");
    let image = ZImage::parse(&file).unwrap();
    assert_eq!(image.appended_tree(), Ok(Some(&tree(0x300)[..])));
    assert_eq!(image.contents(), kernel);
}

#[test]
fn a_tree_at_the_next_word_is_found() {
    for padded in [0x2004, 0x2008] {
        let mut file = linux(0x2001);
        file.resize(padded, 0);
        file.extend(tree(0x300));
        let image = ZImage::parse(&file).unwrap();
        assert_eq!(image.appended_tree(), Ok(Some(&tree(0x300)[..])));
        assert_eq!(image.contents().len(), 0x2001);
    }
}

#[test]
fn other_bytes_after_the_kernel_are_loaded_with_it() {
    let mut file = linux(0x2000);
    file.extend([1; 100]);
    let image = ZImage::parse(&file).unwrap();
    assert_eq!(image.appended_tree(), Ok(None));
    assert_eq!(image.contents(), file);
    assert_eq!(image.memory_size(), 0x2064);
}

#[test]
fn a_truncated_tree_is_refused_with_its_sizes() {
    let mut file = linux(0x2000);
    file.extend(&tree(0x300)[..0x200]);
    let image = ZImage::parse(&file).unwrap();
    let error = Error::TruncatedTree { expected: 0x300, actual: 0x200 };
    assert_eq!(image.appended_tree(), Err(error));
    assert_eq!(error.to_string(), "device tree after the kernel is truncated: 512 bytes of 768");
}

#[test]
fn a_truncated_zimage_is_refused_with_its_sizes() {
    let mut file = linux(0x2000);
    file.truncate(0x1fff);
    let error = Error::Truncated { expected: 0x2000, actual: 0x1fff };
    assert_eq!(ZImage::parse(&file), Err(error));
    assert_eq!(error.to_string(), "kernel file is truncated: 8191 bytes of 8192");
}

#[test]
fn a_zimage_of_another_maker_may_count_its_zeroes() {
    let file = other(0x2000);
    let image = ZImage::parse(&file).unwrap();
    assert_eq!(image.contents(), file);
    assert_eq!(image.memory_size(), 0x3000);
}

#[test]
fn a_big_endian_zimage_is_refused() {
    let mut file = linux(0x2000);
    put(&mut file, 0x24, 0x1828_6f01);
    assert_eq!(ZImage::parse(&file), Err(Error::BigEndian));
    put(&mut file, 0x24, 0x016f_2818);
    put(&mut file, 0x30, 0x0102_0304);
    assert_eq!(ZImage::parse(&file), Err(Error::BigEndian));
}

#[test]
fn a_zimage_that_ends_before_it_starts_is_refused() {
    let mut file = linux(0x2000);
    put(&mut file, 0x28, 0x3000);
    assert_eq!(ZImage::parse(&file), Err(Error::BadHeader));
    put(&mut file, 0x28, 0x1ff0);
    assert_eq!(ZImage::parse(&file), Err(Error::BadHeader));
}

#[test]
fn an_image_takes_as_much_memory_as_it_says() {
    let file = arm64(0x10_0000, 8);
    let image = Image::parse(&file).unwrap();
    assert_eq!(Kernel::parse(&file), Ok(Kernel::Image(image)));
    assert_eq!((image.text_offset, image.memory_size(), image.anywhere()), (0x20_0000, 0x10_0000, true));
    assert_eq!(Image::parse(&arm64(0x10_0000, 1)), Err(Error::BigEndian));
}

#[test]
fn an_image_that_says_no_size_is_an_old_one() {
    let image = arm64(0, 0);
    let image = Image::parse(&image).unwrap();
    assert_eq!((image.text_offset, image.memory_size(), image.anywhere()), (0x8_0000, 4096, false));
}

#[test]
fn a_uimage_holds_its_contents_and_addresses() {
    let file = uimage(2, 0, b"kernel");
    let image = UImage::parse(&file).unwrap();
    assert_eq!(Kernel::parse(&file), Ok(Kernel::UImage(image)));
    assert_eq!((image.contents, image.load, image.entry), (&b"kernel"[..], 0x8000, 0x8040));
    assert_eq!(image.architecture, Architecture::Arm);
    assert_eq!(UImage::parse(&uimage(22, 0, b"")).unwrap().architecture, Architecture::Arm64);
}

#[test]
fn a_uimage_that_cannot_be_used_is_refused() {
    assert_eq!(UImage::parse(&uimage(2, 1, b"")), Err(Error::CompressedUImage(1)));
    assert_eq!(UImage::parse(&uimage(7, 0, b"")), Err(Error::ForeignUImage(7)));
    let mut file = uimage(2, 0, b"kernel");
    file.pop();
    assert_eq!(UImage::parse(&file), Err(Error::Truncated { expected: 6, actual: 5 }));
}

#[test]
fn files_of_other_kinds_are_named() {
    let named = |bytes: &[u8]| {
        let mut file = bytes.to_vec();
        file.resize(4096, 0x80);
        Kernel::parse(&file).unwrap_err()
    };
    assert_eq!(named(b"\x1f\x8b\x08\0"), Error::Foreign(Foreign::Gzip));
    assert_eq!(named(b"\x7fELF"), Error::Foreign(Foreign::Elf));
    assert_eq!(named(b"\xd0\x0d\xfe\xed"), Error::Foreign(Foreign::DeviceTree));
    assert_eq!(named(b"name = \"win\"\nmemory = 128\nvcpus = 1\n"), Error::Foreign(Foreign::Text));
    assert_eq!(named(b"\xfe"), Error::Unknown);
    assert_eq!(Kernel::parse(b"\x1f\x8b\x08\0"), Err(Error::Foreign(Foreign::Gzip)));
    assert_eq!(Kernel::parse(b""), Err(Error::TooShort));
    assert!(Error::Foreign(Foreign::Gzip).to_string().contains("gzip"));
}

#[test]
fn corrupted_headers_never_panic() {
    let mut with_tree = linux(0x1000);
    with_tree.extend(tree(0x100));
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = |limit: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 16) as usize % limit
    };
    for file in [with_tree, other(0x100), arm64(0x1000, 0), uimage(2, 0, b"kernel")] {
        for _ in 0..20_000 {
            let mut bad = file.clone();
            for _ in 0..3 {
                let at = random(bad.len().min(0xc0));
                bad[at] = random(256) as u8;
            }
            bad.truncate(random(bad.len() * 4).min(bad.len()));
            if let Ok(Kernel::ZImage(image)) = Kernel::parse(&bad) {
                assert!(image.contents().len() <= bad.len());
                image.appended_tree().ok();
                image.unpacked().map(|unpacked| unpacked.end());
            }
        }
    }
}
