//! A disk in memory.

use alloc::vec::Vec;
use core::cell::RefCell;

use crate::store::{Discard, Geometry, SECTOR_SIZE, Store, StoreError};

/// A store that keeps its sectors on the heap, and loses them with itself.
#[derive(Debug)]
pub struct RamStore {
    bytes: RefCell<Vec<u8>>,
    geometry: Geometry,
}

impl RamStore {
    /// A writable store of `sectors` zeroed sectors, or nothing when memory does not suffice.
    #[must_use]
    pub fn new(sectors: u64) -> Option<Self> {
        let len = usize::try_from(sectors).ok()?.checked_mul(SECTOR_SIZE)?;
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(len).ok()?;
        bytes.resize(len, 0);
        Some(Self::from_bytes(bytes))
    }

    /// A writable store that holds `bytes`, cut to whole sectors.
    #[must_use]
    pub fn from_bytes(mut bytes: Vec<u8>) -> Self {
        bytes.truncate(bytes.len() / SECTOR_SIZE * SECTOR_SIZE);
        let discard = Discard { granularity: SECTOR_SIZE as u32, alignment: 0, secure: true };
        let geometry =
            Geometry { discard: Some(discard), ..Geometry::plain((bytes.len() / SECTOR_SIZE) as u64) };
        Self { bytes: RefCell::new(bytes), geometry }
    }

    /// The same store, read-only from now on.
    #[must_use]
    pub fn read_only(mut self) -> Self {
        self.geometry.read_only = true;
        self
    }

    /// Hands `len` bytes from `sector` on to `f`.
    fn with<R>(&self, sector: u64, len: usize, f: impl FnOnce(&mut [u8]) -> R) -> Result<R, StoreError> {
        let start = usize::try_from(sector)
            .ok()
            .and_then(|s| s.checked_mul(SECTOR_SIZE))
            .ok_or(StoreError::OutOfRange)?;
        let end = start.checked_add(len).ok_or(StoreError::OutOfRange)?;
        let mut bytes = self.bytes.borrow_mut();
        let part = bytes.get_mut(start..end).ok_or(StoreError::OutOfRange)?;
        Ok(f(part))
    }
}

impl Store for RamStore {
    fn geometry(&self) -> Geometry {
        self.geometry
    }

    async fn read_at(&self, sector: u64, buf: &mut [u8]) -> Result<(), StoreError> {
        self.with(sector, buf.len(), |bytes| buf.copy_from_slice(bytes))
    }

    async fn write_at(&self, sector: u64, data: &[u8]) -> Result<(), StoreError> {
        self.with(sector, data.len(), |bytes| bytes.copy_from_slice(data))
    }

    async fn flush(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn discard(&self, sector: u64, count: u64, _secure: bool) -> Result<(), StoreError> {
        let len = usize::try_from(count)
            .ok()
            .and_then(|s| s.checked_mul(SECTOR_SIZE))
            .ok_or(StoreError::OutOfRange)?;
        self.with(sector, len, |bytes| bytes.fill(0))
    }
}
