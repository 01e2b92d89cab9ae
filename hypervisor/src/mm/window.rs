//! Windows of the address space: device registers, the boot device tree, stacks.

use core::sync::atomic::{AtomicUsize, Ordering};

use super::tables::{BLOCK_SIZE, MAP, MapError, Memory, PAGE_SIZE};
use crate::arch;

static NEXT_DEVICE: AtomicUsize = AtomicUsize::new(arch::DEVICES.start);

/// Maps device registers; gives their virtual address.
pub fn map_device(pa: u64, len: u64) -> Result<usize, MapError> {
    let offset = pa as usize % PAGE_SIZE;
    let len = (offset + len as usize).next_multiple_of(PAGE_SIZE);
    let va = NEXT_DEVICE.fetch_add(len, Ordering::Relaxed);
    if va + len > arch::DEVICES.end {
        return Err(MapError::NoTable);
    }
    MAP.lock().map(va, pa - offset as u64, len, Memory::Device)?;
    Ok(va + offset)
}

/// Maps the block that holds a physical address, and the one after it, to be read; gives their
/// virtual address and how many bytes there are from the address on.
pub fn map_boot_data(pa: u64) -> Result<(usize, usize), MapError> {
    let offset = pa as usize % BLOCK_SIZE;
    let len = arch::BOOT_DATA.len();
    MAP.lock().map(arch::BOOT_DATA.start, pa - offset as u64, len, Memory::Constants)?;
    Ok((arch::BOOT_DATA.start + offset, len - offset))
}

/// Takes that out of the map again.
pub fn unmap_boot_data() {
    MAP.lock().unmap_blocks(arch::BOOT_DATA);
}
