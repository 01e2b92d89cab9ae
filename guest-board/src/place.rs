//! Where kernel, initrd and device tree go in a guest's first bank of memory, as libxc decides it.

use device_tree::Region;
use kernel_image::{Architecture, Kernel, ZImage};
use xen_abi::PAGE_SIZE;

use crate::board::Arch;
use crate::error::Error;

/// Offset at which a zImage is put.
pub(crate) const ZIMAGE_OFFSET: u64 = 0x8000;
/// Where initrd and device tree are put if there is that much memory.
const MODULES_OFFSET: u64 = 128 << 20;
/// What the kernel's end is rounded up to.
const KERNEL_ALIGN: u64 = 2 << 20;
/// Stack and tables of a zImage while it unpacks itself, generously.
const UNPACK_SLACK: u64 = 128 << 10;

/// Where things go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement<'k> {
    /// What to load as the kernel.
    pub kernel: &'k [u8],
    /// Where to.
    pub kernel_base: u64,
    /// Where the first vCPU starts.
    pub entry: u64,
    /// What it starts in.
    pub arch: Arch,
    /// Where the initrd goes; its size is that of the file.
    pub initrd: Option<Region>,
    /// Where the device tree goes; at most the size that was asked for.
    pub tree: Region,
}

/// What a kernel file asks for.
struct Wish<'k> {
    contents: &'k [u8],
    arch: Arch,
    base: u64,
    entry: u64,
    /// Bytes from `base` on that the kernel takes as it is loaded.
    size: u64,
    /// Bytes from the bank's beginning on that it overwrites before it looks at initrd and tree.
    overwrites: u64,
}

/// Finds places in `bank` for a kernel, an initrd of some size, and a device tree of at most some size.
pub fn place<'k>(
    kernel: &Kernel<'k>,
    initrd_size: Option<u64>,
    tree_size: u64,
    bank: Region,
) -> Result<Placement<'k>, Error> {
    let wish = wish(kernel, bank.base)?;
    let bank_end = bank.end().ok_or(Error::MemorySize(bank.size))?;
    let kernel_end =
        wish.base.checked_add(wish.size).and_then(|end| end.checked_next_multiple_of(KERNEL_ALIGN));
    let kernel_end = kernel_end.ok_or(Error::KernelAddress(wish.base))?;
    if wish.base < bank.base || wish.base >= bank_end {
        return Err(Error::KernelAddress(wish.base));
    }
    let pages = |size: u64| size.checked_next_multiple_of(PAGE_SIZE as u64).ok_or(Error::MemorySize(size));
    let (initrd_pages, tree_pages) = (initrd_size.map_or(Ok(0), pages)?, pages(tree_size)?);
    let modules = initrd_pages.checked_add(tree_pages).ok_or(Error::MemorySize(initrd_pages))?;
    let below_modules = wish.overwrites.max(wish.base + wish.size - bank.base);
    let needed = below_modules.checked_add(modules).ok_or(Error::MemorySize(modules))?;
    let too_little = Error::TooLittleMemory { needed, available: bank.size };
    let modules_base = modules_base(&wish, kernel_end, modules, bank, bank_end).ok_or(too_little)?;
    Ok(Placement {
        kernel: wish.contents,
        kernel_base: wish.base,
        entry: wish.entry,
        arch: wish.arch,
        initrd: initrd_size.map(|size| Region { base: modules_base, size }),
        tree: Region { base: modules_base + initrd_pages, size: tree_size },
    })
}

/// At 128 MiB, else at the end, else before the kernel; and where the kernel does not unpack itself over it.
fn modules_base(wish: &Wish<'_>, kernel_end: u64, modules: u64, bank: Region, bank_end: u64) -> Option<u64> {
    let high = bank.base.checked_add(MODULES_OFFSET)?;
    let last = bank_end.checked_sub(modules)?;
    let loaded_end = wish.base.checked_add(wish.size)?;
    let base = if last >= high && kernel_end < high {
        high
    } else if last > kernel_end {
        last
    } else if wish.base - bank.base > modules {
        wish.base - modules
    } else {
        last
    };
    let beside_kernel = base.checked_add(modules)? <= wish.base || base >= loaded_end;
    (beside_kernel && loaded_end <= bank_end && base >= bank.base.checked_add(wish.overwrites)?)
        .then_some(base)
}

fn wish<'k>(kernel: &Kernel<'k>, bank_base: u64) -> Result<Wish<'k>, Error> {
    let at_offset = |offset: u64| bank_base.checked_add(offset).ok_or(Error::KernelAddress(offset));
    Ok(match kernel {
        Kernel::ZImage(image) => {
            let base = image.start().map_or(at_offset(ZIMAGE_OFFSET)?, u64::from);
            Wish {
                contents: image.contents(),
                arch: Arch::Arm32,
                base,
                entry: base,
                size: image.memory_size(),
                overwrites: overwrites(image),
            }
        }
        Kernel::Image(image) => {
            let base = at_offset(image.text_offset)?;
            Wish {
                contents: image.contents,
                arch: Arch::Arm64,
                base,
                entry: base,
                size: image.memory_size(),
                overwrites: 0,
            }
        }
        Kernel::UImage(image) => {
            let base = if image.load == 0 { at_offset(ZIMAGE_OFFSET)? } else { image.load.into() };
            Wish {
                contents: image.contents,
                arch: match image.architecture {
                    Architecture::Arm => Arch::Arm32,
                    Architecture::Arm64 => Arch::Arm64,
                },
                base,
                entry: if image.load == 0 || image.entry == 0 { base } else { image.entry.into() },
                size: image.contents.len() as u64,
                overwrites: 0,
            }
        }
    })
}

/// A zImage moves itself behind the place where the kernel will be, and unpacks it there.
fn overwrites(image: &ZImage<'_>) -> u64 {
    image.unpacked().map_or(0, |unpacked| {
        let moved = image.memory_size() + unpacked.heap_size + UNPACK_SLACK;
        unpacked.text_offset + unpacked.size + unpacked.bss_size.max(moved)
    })
}
