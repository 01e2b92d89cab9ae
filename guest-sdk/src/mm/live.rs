//! The tables that are in use.
// UNSAFETY: writes to them, which changes what addresses mean. Every function says why what it
// maps, or unmaps, is nobody else's.
#![allow(unsafe_code)]

use core::{ops::Range, ptr::NonNull};

use device_tree::Region;
use xen_abi::{Gfn, PAGE_SIZE};

use super::{
    pages,
    tables::{Kind, MapError, TableMemory, Tables},
};
use crate::{
    arch,
    board::{self, Board, Regions},
    lock::IrqLock,
    shared::SharedMemory,
};

const PAGE: u64 = PAGE_SIZE as u64;
/// What one entry of the second level maps.
const BLOCK: u64 = 2 << 20;

/// Where the program lies.
#[derive(Clone, Debug)]
pub(crate) struct Image {
    /// Where it was loaded.
    pub(crate) physical: u64,
    /// Its parts, at the addresses it was linked for, one after the other.
    pub(crate) code: Range<u64>,
    pub(crate) constants: Range<u64>,
    pub(crate) data: Range<u64>,
    /// Addresses that are kept for it: nothing else is mapped there.
    pub(crate) window: Range<u64>,
    /// A page below the first stack that must fault.
    pub(crate) guard: u64,
}

impl Image {
    fn size(&self) -> u64 {
        self.data.end - self.code.start
    }

    fn loaded(&self) -> Region {
        Region { base: self.physical, size: self.size() }
    }
}

/// Tables in the image and in pages of the allocator.
struct Live {
    image: Image,
    /// Pages for tables in the image that are not used yet.
    spare: Range<u64>,
}

impl Live {
    /// Where a table can be accessed.
    fn entry(&self, table: u64, index: u64) -> *mut u64 {
        let offset = table.wrapping_sub(self.image.physical);
        let at = if offset < self.image.size() { self.image.code.start + offset } else { table };
        (at + 8 * index) as usize as *mut u64
    }
}

impl TableMemory for Live {
    fn alloc(&mut self) -> Option<u64> {
        if self.spare.start < self.spare.end {
            let at = self.spare.start;
            self.spare.start += PAGE;
            return Some(at - self.image.code.start + self.image.physical);
        }
        let page = pages::alloc_pages(1)?;
        // SAFETY: the allocator gave us the page.
        unsafe { page.write_bytes(0, PAGE_SIZE) };
        Some(page.as_ptr() as usize as u64)
    }

    fn read(&self, table: u64, index: u64) -> u64 {
        // SAFETY: `table` is one of ours, and the lock on the tables is held.
        unsafe { self.entry(table, index).read_volatile() }
    }

    fn write(&mut self, table: u64, index: u64, entry: u64) {
        // SAFETY: as above.
        unsafe { self.entry(table, index).write_volatile(entry) };
        arch::tables_written();
    }

    fn invalidate(&mut self, va: u64, size: u64) {
        arch::tlb_invalidate(va, size);
    }
}

static TABLES: IrqLock<Option<Tables<Live>>> = IrqLock::new(None);

fn with<T>(f: impl FnOnce(&mut Tables<Live>) -> Result<T, MapError>) -> Result<T, MapError> {
    f(TABLES.lock().as_mut().ok_or(MapError::NoMemory)?)
}

/// Takes over the tables that the boot code made, which map the image, and the block of memory
/// that it was loaded into at its physical address; gives the latter up.
///
/// # Errors
///
/// None with a linker script that fits.
pub(crate) fn init(image: Image) -> Result<(), MapError> {
    let (root, spare) = arch::tables();
    let root = root - image.code.start + image.physical;
    let block = image.physical / BLOCK * BLOCK;
    let (code, constants, data, guard) =
        (image.code.clone(), image.constants.clone(), image.data.clone(), image.guard);
    let mut tables = Tables::new(root, arch::ADDRESS_SPACE, Live { image, spare });
    tables.forget_block(block)?;
    for (part, kind) in [(code, Kind::Code), (constants, Kind::ReadOnly), (data, Kind::Data)] {
        tables.protect(part.start, part.end - part.start, kind)?;
    }
    tables.unmap(guard, PAGE)?;
    *TABLES.lock() = Some(tables);
    arch::forbid_writable_code();
    Ok(())
}

/// Maps the first `size` bytes at `base`, to be looked at before it is known what is memory.
///
/// # Errors
///
/// When something else is mapped there.
pub(crate) fn open_at(base: u64, size: u64) -> Result<NonNull<u8>, MapError> {
    let pages = board::touched_pages(Region { base, size });
    map(pages.base, pages.base, pages.size, Kind::Data)?;
    NonNull::new(base as usize as *mut u8).ok_or(MapError::BadRange)
}

/// Maps all memory of the board but the image's, and gives what of it is free to the allocator.
///
/// # Errors
///
/// When something else is mapped there, or there is no memory for the tables.
pub(crate) fn open_memory(board: &Board, image: &Image, taken: &[Region]) -> Result<(), MapError> {
    let mut usable = Regions::new();
    for bank in &board.memory {
        if let Some((start, end)) = board::whole_pages(*bank, arch::ADDRESS_SPACE) {
            let size = end - start;
            // With more banks than there is room for, the others are not used.
            let _ = usable.push(Region { base: start, size });
        }
    }
    let window = Region { base: image.window.start, size: image.window.end - image.window.start };
    // A pointer to the first page would be null.
    let null = Region { base: 0, size: PAGE };
    for region in [image.loaded(), window, null] {
        board::subtract(&mut usable, region);
    }
    for region in &usable {
        map(region.base, region.base, region.size, Kind::Data)?;
    }
    // The code by which other vCPUs start, at the address where they start.
    map(image.physical, image.physical, PAGE, Kind::Code)?;
    for region in board.reserved.iter().chain(taken) {
        board::subtract(&mut usable, board::touched_pages(*region));
    }
    for region in &usable {
        // SAFETY: this is memory that is mapped, and that nobody else was given.
        unsafe { pages::add(region.base as usize, (region.base + region.size) as usize) };
    }
    Ok(())
}

/// Maps a range. It stays mapped.
///
/// # Errors
///
/// When something else is mapped there, or there is no memory for the tables.
pub(crate) fn map(va: u64, pa: u64, size: u64, kind: Kind) -> Result<(), MapError> {
    with(|tables| tables.map(va, pa, size, kind))
}

/// Maps the registers of a device at their own address.
///
/// # Errors
///
/// As [`map`]; [`MapError::Taken`] when the address is one that the program itself uses.
pub(crate) fn map_device(base: u64, size: u64) -> Result<NonNull<u8>, MapError> {
    let pages = board::touched_pages(Region { base, size });
    let window = with(|tables| Ok(tables.memory().image.window.clone()))?;
    if pages.base < window.end && window.start < pages.base + pages.size {
        return Err(MapError::Taken(base));
    }
    map(pages.base, pages.base, pages.size, Kind::Device)?;
    NonNull::new(base as usize as *mut u8).ok_or(MapError::BadRange)
}

/// Maps a page that the toolstack put into the domain's memory map, for ever.
pub(crate) fn map_magic(gfn: Gfn) -> Option<SharedMemory> {
    let address = gfn.address()?;
    map(address, address, PAGE, Kind::Data).ok()?;
    let page = NonNull::new(address as usize as *mut u8)?;
    // SAFETY: the page is mapped, and it is no memory of the allocator's: the device tree does not
    // name it.
    Some(unsafe { SharedMemory::new(page, PAGE_SIZE) })
}

/// Whether there is something at an address.
pub(crate) fn is_mapped(va: u64) -> bool {
    NonNull::new(va as usize as *mut u8).is_some_and(|at| arch::address_of(at).is_some())
}

/// Whether an address can be that of a frame on a stack.
pub(crate) fn is_stack(va: u64) -> bool {
    let window = with(|tables| Ok(tables.memory().image.window.clone()));
    window.is_ok_and(|w| w.contains(&va)) && is_mapped(va) && is_mapped(va + 7)
}
