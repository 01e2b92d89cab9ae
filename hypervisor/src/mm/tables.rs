//! The hypervisor's own stage-1 map: long-format descriptors, 4 KiB granule, levels 1 to 3.
//!
//! `head.S` fills the first tables before there is a stack; the rest are taken from a fixed pool
//! as ranges are mapped. An entry that is in use is never changed to map something else, so
//! mapping is safe: no reference anyone holds changes its meaning.

use core::{
    ops::Range,
    sync::atomic::{AtomicU64, Ordering},
};

use lock::Mutex;

use crate::arch;

/// Bytes of all tables, which `head.S` clears and some of which it fills.
pub const BOOT_SIZE: usize = arch::TABLES * PAGE_SIZE;
/// The first table that `head.S` does not use.
const FIRST_SPARE: usize = boot::IMAGE + 1;

/// Which tables `head.S` uses, and where the level 1 table of the second set lies in its page.
pub mod boot {
    use super::PAGE_SIZE;
    use crate::arch;

    /// Level 1 of both sets, one behind the other.
    pub const LEVEL1: usize = 0;
    /// Offset in bytes of the second level 1 table.
    pub const B_OFFSET: usize = arch::LEVEL1_SIZE;
    /// Level 2 of the first set.
    pub const A2: usize = LEVEL1 + (2 * arch::LEVEL1_SIZE).div_ceil(PAGE_SIZE);
    /// Level 2 for the identity block.
    pub const IDENTITY: usize = A2 + 1;
    /// Level 2 of the second set, which stays.
    pub const B2: usize = IDENTITY + 1;
    /// Level 3 of the image.
    pub const IMAGE: usize = B2 + 1;
}

/// A descriptor that points to a table.
pub const TABLE: u64 = 0b11;
const BLOCK: u64 = 0b01;
const PAGE: u64 = 0b11;
const VALID: u64 = 1 << 0;
const TYPE: u64 = 0b11;
const ATTR_DEVICE: u64 = 1 << 2;
/// AP[1] (one in this regime), inner shareable, accessed.
const COMMON: u64 = 1 << 6 | 3 << 8 | 1 << 10;
/// AP[2].
pub const READ_ONLY: u64 = 1 << 7;
/// Not to be executed.
pub const EXECUTE_NEVER: u64 = 1 << 54;
/// A page of text.
pub const PAGE_TEXT: u64 = PAGE | COMMON | READ_ONLY;
/// A block of text.
pub const BLOCK_TEXT: u64 = BLOCK | COMMON | READ_ONLY;
const OUTPUT: u64 = 0x0000_00ff_ffff_f000;

/// Attribute 0: normal, write-back, allocating. Attribute 1: device.
pub const MAIR: u32 = 0x04ff;

/// Size of a page.
pub const PAGE_SIZE: usize = 4096;
/// Size of a level 2 block.
pub const BLOCK_SIZE: usize = 2 << 20;
const GIB: usize = 1 << 30;
const ENTRIES: usize = 512;

/// A table in memory.
#[repr(C, align(4096))]
pub struct Table([AtomicU64; ENTRIES]);

/// All tables, on consecutive pages.
#[unsafe(link_section = ".bss.boot_tables")]
#[allow(unsafe_code, reason = "the section only orders it before what is zeroed late")]
pub static POOL: [Table; arch::TABLES] =
    [const { Table([const { AtomicU64::new(0) }; ENTRIES]) }; arch::TABLES];

/// What a range is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// Normal memory, readable and writable.
    Data,
    /// Normal memory, readable.
    Constants,
    /// Device registers.
    Device,
    /// Instructions.
    #[cfg(target_arch = "aarch64")]
    Text,
}

impl Memory {
    fn attributes(self) -> u64 {
        COMMON
            | match self {
                Self::Data => EXECUTE_NEVER,
                Self::Constants => EXECUTE_NEVER | READ_ONLY,
                Self::Device => EXECUTE_NEVER | ATTR_DEVICE,
                #[cfg(target_arch = "aarch64")]
                Self::Text => READ_ONLY,
            }
    }
}

/// Why a range could not be mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapError {
    /// Something is mapped there already.
    Occupied,
    /// The pool of tables is used up.
    NoTable,
}

/// The map in use.
pub struct Map {
    next: usize,
}

/// The map in use.
pub static MAP: Mutex<Map> = Mutex::new(Map { next: FIRST_SPARE });

impl Map {
    /// Maps `len` bytes at `va` to `pa`, all page aligned, with blocks where they fit.
    pub fn map(&mut self, va: usize, pa: u64, len: usize, memory: Memory) -> Result<(), MapError> {
        let mut done = 0;
        while done < len {
            done += self.map_one(va + done, pa + done as u64, len - done, memory)?;
        }
        arch::table_barrier();
        Ok(())
    }

    fn map_one(&mut self, va: usize, pa: u64, len: usize, memory: Memory) -> Result<usize, MapError> {
        let level1 = level1_entry(va);
        let table = self.next_table(level1)?;
        let level2 = &table.0[va / BLOCK_SIZE % ENTRIES];
        let fits = (va | pa as usize).is_multiple_of(BLOCK_SIZE) && len >= BLOCK_SIZE;
        if fits && level2.load(Ordering::Relaxed) & VALID == 0 {
            level2.store(pa | BLOCK | memory.attributes(), Ordering::Release);
            return Ok(BLOCK_SIZE);
        }
        let level3 = &self.next_table(level2)?.0[va / PAGE_SIZE % ENTRIES];
        if level3.load(Ordering::Relaxed) & VALID != 0 {
            return Err(MapError::Occupied);
        }
        level3.store(pa | PAGE | memory.attributes(), Ordering::Release);
        Ok(PAGE_SIZE)
    }

    /// The table that an entry points to, made if there is none yet.
    fn next_table(&mut self, entry: &AtomicU64) -> Result<&'static Table, MapError> {
        let value = entry.load(Ordering::Relaxed);
        if value & VALID != 0 {
            return match value & TYPE {
                TABLE => Ok(table_at(value & OUTPUT)),
                _ => Err(MapError::Occupied),
            };
        }
        let table = POOL.get(self.next).ok_or(MapError::NoTable)?;
        self.next += 1;
        entry.store(arch::image_to_physical(table) | TABLE, Ordering::Release);
        Ok(table)
    }

    /// Takes pages out of the map that nothing refers to: guards below stacks.
    pub fn unmap_image_pages(&mut self, pages: Range<usize>) {
        for va in pages.step_by(PAGE_SIZE) {
            POOL[boot::IMAGE].0[va / PAGE_SIZE % ENTRIES].store(0, Ordering::Release);
        }
        arch::flush_own_tlb();
    }

    /// Takes whole blocks in the first GiB out of the map that nothing refers to any more.
    pub fn unmap_blocks(&mut self, range: Range<usize>) {
        for va in range.step_by(BLOCK_SIZE) {
            POOL[boot::B2].0[va / BLOCK_SIZE].store(0, Ordering::Release);
        }
        arch::flush_own_tlb();
    }
}

fn level1_entry(va: usize) -> &'static AtomicU64 {
    let index = boot::B_OFFSET / size_of::<u64>() + va / GIB;
    &POOL[boot::LEVEL1 + index / ENTRIES].0[index % ENTRIES]
}

/// A table by its physical address; all lie in the pool.
fn table_at(pa: u64) -> &'static Table {
    let first = arch::image_to_physical(&POOL);
    &POOL[(pa - first) as usize / PAGE_SIZE]
}

/// Whether an address is mapped now; for looking around after something went wrong.
pub fn is_mapped(va: usize) -> bool {
    if va > arch::DIRECT_MAP.end {
        return false;
    }
    let level1 = level1_entry(va).load(Ordering::Relaxed);
    if level1 & TYPE != TABLE {
        return level1 & VALID != 0;
    }
    let level2 = table_at(level1 & OUTPUT).0[va / BLOCK_SIZE % ENTRIES].load(Ordering::Relaxed);
    if level2 & TYPE != TABLE {
        return level2 & VALID != 0;
    }
    table_at(level2 & OUTPUT).0[va / PAGE_SIZE % ENTRIES].load(Ordering::Relaxed) & VALID != 0
}
