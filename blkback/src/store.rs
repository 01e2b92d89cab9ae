//! Storage behind a virtual disk, apart from the protocol that serves it.
//!
//! A [`Store`] moves whole sectors between itself and private memory. It never sees a guest's pages, ring or
//! numbers: what reaches it has been checked against its [`Geometry`].

use core::fmt;
use core::future::Future;

/// Bytes in the sector that block requests count in, whatever the store's own sector size.
pub const SECTOR_SIZE: usize = 512;

/// What a store is: its size and what it can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Size in sectors of [`SECTOR_SIZE`] bytes; a multiple of what `sector_size` holds.
    pub sectors: u64,
    /// Smallest unit of transfer in bytes: a power of two from 512 to 4096.
    pub sector_size: u32,
    /// The unit the medium writes without a read, in bytes: a multiple of `sector_size`.
    pub physical_sector_size: u32,
    /// Writes are refused.
    pub read_only: bool,
    /// Writes may sit in a volatile cache until [`Store::flush`].
    pub volatile_cache: bool,
    /// How [`Store::discard`] works, or that it does not.
    pub discard: Option<Discard>,
}

/// What a store can forget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Discard {
    /// Unit of discarding in bytes.
    pub granularity: u32,
    /// Offset of the first unit from the start of the store, in bytes.
    pub alignment: u32,
    /// Secure discards leave nothing to recover.
    pub secure: bool,
}

impl Geometry {
    /// A writable store without a cache, 512-byte sectors and no discard.
    #[must_use]
    pub const fn plain(sectors: u64) -> Self {
        Self {
            sectors,
            sector_size: SECTOR_SIZE as u32,
            physical_sector_size: SECTOR_SIZE as u32,
            read_only: false,
            volatile_cache: false,
            discard: None,
        }
    }

    /// Whether the sizes agree with each other, as the fields' documentation asks.
    #[must_use]
    pub const fn is_consistent(&self) -> bool {
        let unit = self.sector_size as u64;
        unit.is_power_of_two()
            && unit >= SECTOR_SIZE as u64
            && unit <= 4096
            && self.sectors.is_multiple_of(unit / SECTOR_SIZE as u64)
            && self.sectors <= u64::MAX / SECTOR_SIZE as u64
            && self.physical_sector_size >= self.sector_size
            && self.physical_sector_size.is_multiple_of(self.sector_size)
    }
}

/// Why a store did not do what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// The medium failed.
    Io,
    /// The range is not within the store.
    OutOfRange,
    /// The store cannot do this at all.
    Unsupported,
    /// A sparse store has no room left for the write.
    NoSpace,
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Io => "the medium failed",
            Self::OutOfRange => "outside the store",
            Self::Unsupported => "not supported by the store",
            Self::NoSpace => "no room left in the store",
        })
    }
}

impl core::error::Error for StoreError {}

/// A disk's contents.
///
/// Methods take `&self`: many requests are under way at once, and a store that wants them one by one queues
/// them itself. Requests may complete in any order. A future that is dropped may or may not have had its effect.
pub trait Store {
    /// Size and abilities, fixed as long as the store is open.
    fn geometry(&self) -> Geometry;

    /// Fills `buf`, a whole number of `sector_size` units, from `sector` on. Fills all of it or fails.
    fn read_at(&self, sector: u64, buf: &mut [u8]) -> impl Future<Output = Result<(), StoreError>>;

    /// Writes `data`, a whole number of `sector_size` units, from `sector` on.
    fn write_at(&self, sector: u64, data: &[u8]) -> impl Future<Output = Result<(), StoreError>>;

    /// Makes every write that has completed durable.
    fn flush(&self) -> impl Future<Output = Result<(), StoreError>>;

    /// Forgets `count` sectors from `sector` on.
    fn discard(&self, sector: u64, count: u64, secure: bool) -> impl Future<Output = Result<(), StoreError>>;
}
