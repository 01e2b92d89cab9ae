//! Where kernel, initrd and tree go.

use crate::MIB;
use device_tree::Region;
use guest_board::{Arch, Error, place};
use kernel_image::Kernel;

fn put(bytes: &mut [u8], at: usize, number: u32) {
    bytes[at..at + 4].copy_from_slice(&number.to_le_bytes());
}

fn zimage(size: u32, start: u32) -> Vec<u8> {
    let mut file = vec![0; size as usize];
    put(&mut file, 0x24, 0x016f_2818);
    put(&mut file, 0x28, start);
    put(&mut file, 0x2c, start + size);
    file
}

/// A zImage that says that its kernel takes `size` bytes from 2 MiB on.
fn unpacking(size: u32) -> Vec<u8> {
    let mut file = zimage(0x10_0000, 0);
    put(&mut file, 0x34, 0x4545_4545);
    put(&mut file, 0x38, 0x80);
    for (index, word) in [6, 0x5a53_4c4b, 0xa0, 0, 0x20_0000, 0x1_0000, 0].into_iter().enumerate() {
        put(&mut file, 0x80 + 4 * index, word);
    }
    put(&mut file, 0xa0, size);
    file
}

fn bank(size: u64) -> Region {
    Region { base: 0x4000_0000, size }
}

#[test]
fn a_small_guest_has_its_modules_at_the_end_as_xl_puts_them() {
    let file = zimage(5_526_016, 0);
    let kernel = Kernel::parse(&file).unwrap();
    let place = place(&kernel, Some(0x15_7000), 0x1000, bank(128 * MIB)).unwrap();
    assert_eq!((place.kernel_base, place.entry, place.arch), (0x4000_8000, 0x4000_8000, Arch::Arm32));
    assert_eq!(place.initrd, Some(Region { base: 0x47ea_8000, size: 0x15_7000 }));
    assert_eq!(place.tree, Region { base: 0x47ff_f000, size: 0x1000 });
}

#[test]
fn a_larger_guest_has_them_at_128_mib() {
    let file = zimage(5_526_016, 0);
    let kernel = Kernel::parse(&file).unwrap();
    let place = place(&kernel, Some(0x1_0001), 0x500, bank(256 * MIB)).unwrap();
    assert_eq!(place.initrd, Some(Region { base: 0x4800_0000, size: 0x1_0001 }));
    assert_eq!(place.tree, Region { base: 0x4801_1000, size: 0x500 });
}

#[test]
fn a_tiny_guest_has_its_tree_before_the_kernel_or_right_behind() {
    let file = zimage(0x4000, 0);
    let kernel = Kernel::parse(&file).unwrap();
    assert_eq!(place(&kernel, None, 0x1000, bank(MIB)).unwrap().tree.base, 0x4000_7000);
    assert_eq!(place(&kernel, None, 0xf_0000, bank(MIB)).unwrap().tree.base, 0x4001_0000);
    let error = place(&kernel, None, 0xf_8000, bank(MIB)).unwrap_err();
    assert_eq!(error, Error::TooLittleMemory { needed: 0x10_4000, available: MIB });
    assert_eq!(error.to_string(), "kernel, initrd and device tree need 2 MiB of memory, the guest has 1 MiB");
}

#[test]
fn a_kernel_that_would_unpack_over_its_modules_is_refused() {
    let file = unpacking(24 << 20);
    let kernel = Kernel::parse(&file).unwrap();
    assert!(place(&kernel, Some(MIB), 0x1000, bank(32 * MIB)).is_ok());
    let error = place(&kernel, Some(MIB), 0x1000, bank(28 * MIB)).unwrap_err();
    assert!(error.to_string().starts_with("kernel, initrd and device tree need 29 MiB"), "{error}");
}

#[test]
fn a_kernel_that_wants_an_address_gets_it_or_an_error() {
    let file = zimage(0x4000, 0x4000_8000);
    let kernel = Kernel::parse(&file).unwrap();
    let here = place(&kernel, None, 0x1000, bank(64 * MIB)).unwrap();
    assert_eq!((here.kernel_base, here.entry), (0x4000_8000, 0x4000_8000));
    let file = zimage(0x4000, 0x8000_8000);
    let kernel = Kernel::parse(&file).unwrap();
    assert_eq!(place(&kernel, None, 0x1000, bank(64 * MIB)), Err(Error::KernelAddress(0x8000_8000)));
}

#[test]
fn an_arm64_image_goes_to_its_offset() {
    let mut file = vec![0; 4096];
    file[8..16].copy_from_slice(&0x20_0000_u64.to_le_bytes());
    file[16..24].copy_from_slice(&0x100_0000_u64.to_le_bytes());
    file[56..60].copy_from_slice(b"ARM\x64");
    let kernel = Kernel::parse(&file).unwrap();
    let place = place(&kernel, None, 0x1000, bank(64 * MIB)).unwrap();
    assert_eq!((place.kernel_base, place.arch), (0x4020_0000, Arch::Arm64));
    assert_eq!(place.tree.base, 0x43ff_f000);
}

#[test]
fn absurd_sizes_are_errors() {
    let file = zimage(0x4000, 0);
    let kernel = Kernel::parse(&file).unwrap();
    for size in [u64::MAX, u64::MAX - 0xfff, 1 << 40] {
        assert!(place(&kernel, Some(size), 0x1000, bank(64 * MIB)).is_err());
        assert!(place(&kernel, None, size, bank(64 * MIB)).is_err());
        assert!(place(&kernel, None, 0x1000, Region { base: u64::MAX - 0xfff, size }).is_err());
    }
}
