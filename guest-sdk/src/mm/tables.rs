//! Translation tables in the long-descriptor format, which ARMv7 with LPAE and ARMv8 share: three
//! levels of 512 entries, for 1 GiB, 2 MiB and 4 KiB.
//!
//! This is the logic only; where tables live and how translations are invalidated is what
//! [`TableMemory`] says. Sources: Arm ARM DDI 0406C B3.6, DDI 0487 D8.3.

use core::fmt;

const PAGE: u64 = 4096;
const ENTRIES: u64 = 512;

const VALID: u64 = 1;
/// In an entry of level 1 or 2: points to a table. In one of level 3: maps a page.
const TABLE_OR_PAGE: u64 = 1 << 1;
const ADDRESS: u64 = 0x0000_00ff_ffff_f000;
const ATTR_INDEX_SHIFT: u32 = 2;
const READ_ONLY: u64 = 1 << 7;
const INNER_SHAREABLE: u64 = 3 << 8;
const ACCESSED: u64 = 1 << 10;
/// Neither in EL1, or PL1, nor below: PXN and UXN. The 32-bit state's XN is the latter.
const NEVER_EXECUTE: u64 = 3 << 53;

/// Index of normal, write-back memory in the attribute register.
pub(crate) const NORMAL: u64 = 0;
/// Index of device memory in the attribute register.
pub(crate) const DEVICE: u64 = 1;

/// What may be done with a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Memory that is executed.
    Code,
    /// Memory that is read.
    ReadOnly,
    /// Memory that is read and written.
    Data,
    /// Registers.
    Device,
}

impl Kind {
    fn attributes(self) -> u64 {
        let normal = NORMAL << ATTR_INDEX_SHIFT | INNER_SHAREABLE | ACCESSED;
        match self {
            Self::Code => normal | READ_ONLY,
            Self::ReadOnly => normal | READ_ONLY | NEVER_EXECUTE,
            Self::Data => normal | NEVER_EXECUTE,
            Self::Device => DEVICE << ATTR_INDEX_SHIFT | INNER_SHAREABLE | ACCESSED | NEVER_EXECUTE,
        }
    }
}

/// Where tables live.
pub(crate) trait TableMemory {
    /// A zeroed page for a table: its physical address.
    fn alloc(&mut self) -> Option<u64>;
    /// Reads an entry of the table at `table`.
    fn read(&self, table: u64, index: u64) -> u64;
    /// Writes an entry, and makes the table walker see it.
    fn write(&mut self, table: u64, index: u64, entry: u64);
    /// Forgets translations of a range that was mapped.
    fn invalidate(&mut self, va: u64, size: u64);
}

/// Why a range could not be mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MapError {
    /// Not whole pages, or beyond the address space.
    BadRange,
    /// There is something else already.
    Taken(u64),
    /// No page for a table.
    NoMemory,
}

impl fmt::Display for MapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadRange => f.write_str("not a range that can be mapped"),
            Self::Taken(va) => write!(f, "address {va:#x} is in use"),
            Self::NoMemory => f.write_str("no memory for a translation table"),
        }
    }
}

/// A tree of tables.
pub(crate) struct Tables<M> {
    root: u64,
    /// Bytes of address space.
    limit: u64,
    memory: M,
}

/// Bytes that an entry of a level maps.
const fn span(level: u32) -> u64 {
    PAGE << (9 * (3 - level))
}

impl<M: TableMemory> Tables<M> {
    /// Takes up the tables with their first level at `root`, which translate `limit` bytes.
    pub(crate) fn new(root: u64, limit: u64, memory: M) -> Self {
        Self { root, limit, memory }
    }

    /// Maps `size` bytes at `va` to `pa`. What is mapped the same way already may be so again.
    ///
    /// # Errors
    ///
    /// [`MapError::Taken`] when something else is there; then what lies before is mapped.
    pub(crate) fn map(&mut self, va: u64, pa: u64, size: u64, kind: Kind) -> Result<(), MapError> {
        self.check(va, size)?;
        if !pa.is_multiple_of(PAGE) {
            return Err(MapError::BadRange);
        }
        self.map_level(1, self.root, va, pa, va + size, kind)
    }

    fn check(&self, va: u64, size: u64) -> Result<(), MapError> {
        let aligned = va.is_multiple_of(PAGE) && size.is_multiple_of(PAGE);
        match va.checked_add(size) {
            Some(end) if aligned && end <= self.limit => Ok(()),
            _ => Err(MapError::BadRange),
        }
    }

    /// Maps what lies below one table.
    fn map_level(
        &mut self,
        level: u32,
        table: u64,
        mut va: u64,
        mut pa: u64,
        end: u64,
        kind: Kind,
    ) -> Result<(), MapError> {
        let span = span(level);
        while va < end {
            let step = (span - va % span).min(end - va);
            let index = va / span % ENTRIES;
            let leaf = pa | kind.attributes() | leaf_bits(level);
            let entry = self.memory.read(table, index);
            if level == 3 || (level == 2 && step == span && pa.is_multiple_of(span)) {
                self.set_leaf(level, table, index, va, leaf)?;
            } else if is_table(entry) {
                self.map_level(level + 1, entry & ADDRESS, va, pa, va + step, kind)?;
            } else if entry & VALID == 0 {
                let next = self.memory.alloc().ok_or(MapError::NoMemory)?;
                self.memory.write(table, index, next | TABLE_OR_PAGE | VALID);
                self.map_level(level + 1, next, va, pa, va + step, kind)?;
            } else if !same_block(entry, leaf, va % span, span) {
                return Err(MapError::Taken(va));
            }
            va += step;
            pa += step;
        }
        Ok(())
    }

    fn set_leaf(&mut self, level: u32, table: u64, index: u64, va: u64, leaf: u64) -> Result<(), MapError> {
        match self.memory.read(table, index) {
            entry if entry == leaf => Ok(()),
            entry if entry & VALID == 0 => {
                self.memory.write(table, index, leaf);
                Ok(())
            }
            // Part of it may be mapped in pages: then all of it is.
            entry if level == 2 && is_table(entry) => {
                let (pa, attributes) = (leaf & ADDRESS, leaf & !ADDRESS & !VALID);
                for page in 0..ENTRIES {
                    let leaf = (pa + page * PAGE) | attributes | leaf_bits(3);
                    let va = va + page * PAGE;
                    self.set_leaf(3, entry & ADDRESS, page, va, leaf)?;
                }
                Ok(())
            }
            _ => Err(MapError::Taken(va)),
        }
    }

    /// Forgets a block of the second level, at a multiple of its size.
    ///
    /// # Errors
    ///
    /// [`MapError::Taken`] when there is none.
    pub(crate) fn forget_block(&mut self, va: u64) -> Result<(), MapError> {
        self.check(va, span(2))?;
        let first = self.memory.read(self.root, va / span(1) % ENTRIES);
        let (table, index) = (first & ADDRESS, va / span(2) % ENTRIES);
        if !is_table(first) || is_table(self.memory.read(table, index)) {
            return Err(MapError::Taken(va));
        }
        self.memory.write(table, index, 0);
        self.memory.invalidate(va, span(2));
        Ok(())
    }

    /// Where the tables live.
    pub(crate) fn memory(&self) -> &M {
        &self.memory
    }

    /// Changes what may be done with pages that are mapped as pages.
    ///
    /// # Errors
    ///
    /// [`MapError::Taken`] for what is not mapped, or not as pages.
    pub(crate) fn protect(&mut self, va: u64, size: u64, kind: Kind) -> Result<(), MapError> {
        self.change(va, size, |entry| entry & ADDRESS | kind.attributes() | leaf_bits(3))
    }

    /// Unmaps pages that are mapped as pages.
    ///
    /// # Errors
    ///
    /// As [`protect`](Self::protect).
    pub(crate) fn unmap(&mut self, va: u64, size: u64) -> Result<(), MapError> {
        self.change(va, size, |_| 0)
    }

    fn change(&mut self, va: u64, size: u64, f: impl Fn(u64) -> u64) -> Result<(), MapError> {
        self.check(va, size)?;
        for page in (va..va + size).step_by(PAGE as usize) {
            let mut table = self.root;
            for level in 1..3 {
                let entry = self.memory.read(table, page / span(level) % ENTRIES);
                if !is_table(entry) {
                    return Err(MapError::Taken(page));
                }
                table = entry & ADDRESS;
            }
            let index = page / PAGE % ENTRIES;
            let entry = self.memory.read(table, index);
            if entry & VALID == 0 {
                return Err(MapError::Taken(page));
            }
            self.memory.write(table, index, f(entry));
        }
        self.memory.invalidate(va, size);
        Ok(())
    }
}

fn is_table(entry: u64) -> bool {
    entry & (VALID | TABLE_OR_PAGE) == VALID | TABLE_OR_PAGE
}

/// The low bits of an entry that maps.
fn leaf_bits(level: u32) -> u64 {
    match level {
        3 => VALID | TABLE_OR_PAGE,
        _ => VALID,
    }
}

/// Whether a block maps the page at `offset` in it as `leaf` would.
fn same_block(block: u64, leaf: u64, offset: u64, span: u64) -> bool {
    let flat = |entry: u64| entry & !ADDRESS & !TABLE_OR_PAGE;
    flat(block) == flat(leaf) && block & ADDRESS & !(span - 1) == (leaf & ADDRESS).wrapping_sub(offset)
}

#[cfg(test)]
mod tests;
