//! A disk in memory.

use alloc::vec::Vec;
use core::cell::RefCell;

use crate::store::{Discard, Geometry, SECTOR_SIZE, Store, StoreError};

/// Bytes that are allocated at a time.
const PIECE: usize = 64 << 10;

/// A store that keeps its sectors on the heap, and loses them with itself. It takes memory for what was written, and
/// gives it back for what is discarded.
#[derive(Debug)]
pub struct RamStore {
    /// None where nothing but zeroes are.
    pieces: RefCell<Vec<Option<Vec<u8>>>>,
    geometry: Geometry,
}

impl RamStore {
    /// A writable store of `sectors` zeroed sectors, or none when there are too many.
    #[must_use]
    pub fn new(sectors: u64) -> Option<Self> {
        let len = usize::try_from(sectors).ok()?.checked_mul(SECTOR_SIZE)?;
        let mut pieces = Vec::new();
        pieces.try_reserve_exact(len.div_ceil(PIECE)).ok()?;
        pieces.resize(len.div_ceil(PIECE), None);
        let discard = Discard { granularity: PIECE as u32, alignment: 0, secure: false };
        let geometry = Geometry { discard: Some(discard), ..Geometry::plain(sectors) };
        Some(Self { pieces: RefCell::new(pieces), geometry })
    }

    /// The place of `len` bytes from `sector` on.
    fn place(&self, sector: u64, len: u64) -> Result<(usize, usize), StoreError> {
        let count = len / SECTOR_SIZE as u64;
        match sector.checked_add(count) {
            // No longer than the store, whose length in bytes is a `usize`.
            Some(end) if end <= self.geometry.sectors => Ok((sector as usize * SECTOR_SIZE, len as usize)),
            _ => Err(StoreError::OutOfRange),
        }
    }
}

/// Splits `len` bytes from `at` on by pieces: number, offset in it, length.
fn split(at: usize, len: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    let mut done = 0;
    core::iter::from_fn(move || {
        let (piece, offset) = ((at + done) / PIECE, (at + done) % PIECE);
        let n = (len - done).min(PIECE - offset);
        done += n;
        (n > 0).then_some((piece, offset, n))
    })
}

/// A piece to be written to, made of zeroes when there is none.
fn filled(piece: &mut Option<Vec<u8>>) -> Result<&mut Vec<u8>, StoreError> {
    if piece.is_none() {
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(PIECE).map_err(|_| StoreError::NoSpace)?;
        bytes.resize(PIECE, 0);
        *piece = Some(bytes);
    }
    piece.as_mut().ok_or(StoreError::NoSpace)
}

impl Store for RamStore {
    fn geometry(&self) -> Geometry {
        self.geometry
    }

    async fn read_at(&self, sector: u64, buf: &mut [u8]) -> Result<(), StoreError> {
        let (at, len) = self.place(sector, buf.len() as u64)?;
        let pieces = self.pieces.borrow();
        let mut rest = buf;
        for (piece, offset, n) in split(at, len) {
            let (part, after) = rest.split_at_mut(n);
            match &pieces[piece] {
                Some(bytes) => part.copy_from_slice(&bytes[offset..offset + n]),
                None => part.fill(0),
            }
            rest = after;
        }
        Ok(())
    }

    async fn write_at(&self, sector: u64, data: &[u8]) -> Result<(), StoreError> {
        let (at, len) = self.place(sector, data.len() as u64)?;
        let mut pieces = self.pieces.borrow_mut();
        let mut rest = data;
        for (piece, offset, n) in split(at, len) {
            let (part, after) = rest.split_at(n);
            filled(&mut pieces[piece])?[offset..offset + n].copy_from_slice(part);
            rest = after;
        }
        Ok(())
    }

    async fn flush(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn discard(&self, sector: u64, count: u64, _secure: bool) -> Result<(), StoreError> {
        let len = count.checked_mul(SECTOR_SIZE as u64).ok_or(StoreError::OutOfRange)?;
        let (at, len) = self.place(sector, len)?;
        let mut pieces = self.pieces.borrow_mut();
        for (piece, offset, n) in split(at, len) {
            match &mut pieces[piece] {
                whole if n == PIECE => *whole = None,
                Some(bytes) => bytes[offset..offset + n].fill(0),
                None => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use core::future::Future;
    use core::pin::pin;
    use core::task::{Context, Poll, Waker};

    use super::*;

    fn now<T>(future: impl Future<Output = T>) -> T {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => value,
            Poll::Pending => panic!("memory does not wait"),
        }
    }

    fn taken(store: &RamStore) -> usize {
        store.pieces.borrow().iter().flatten().count()
    }

    #[test]
    fn what_was_never_written_is_zero_and_takes_no_memory() {
        let store = RamStore::new(1 << 20).unwrap();
        let mut buffer = [1; 1024];
        now(store.read_at(12345, &mut buffer)).unwrap();
        assert!(buffer == [0; 1024]);
        assert_eq!(taken(&store), 0);
    }

    #[test]
    fn writes_cross_pieces() {
        let store = RamStore::new(1024).unwrap();
        let data: Vec<u8> = (0..200 << 10).map(|i: usize| (i / 512) as u8 | 1).collect();
        now(store.write_at(3, &data)).unwrap();
        let mut back = alloc::vec![0; data.len()];
        now(store.read_at(3, &mut back)).unwrap();
        assert!(back == data);
    }

    #[test]
    fn discarded_pieces_give_their_memory_back() {
        let store = RamStore::new(1024).unwrap();
        now(store.write_at(0, &[7; 256 << 10])).unwrap();
        assert_eq!(taken(&store), 4);
        now(store.discard(64, 300, false)).unwrap();
        assert_eq!(taken(&store), 3);
        let mut back = alloc::vec![0; 256 << 10];
        now(store.read_at(0, &mut back)).unwrap();
        let hole = 64 * 512..364 * 512;
        assert!(back.iter().enumerate().all(|(i, &b)| b == if hole.contains(&i) { 0 } else { 7 }));
    }

    #[test]
    fn nothing_is_beyond_the_end() {
        let store = RamStore::new(100).unwrap();
        let past = Err(StoreError::OutOfRange);
        assert_eq!(now(store.read_at(100, &mut [0; 512])), past);
        assert_eq!(now(store.write_at(99, &[0; 1024])), past);
        assert_eq!(now(store.read_at(u64::MAX, &mut [0; 512])), past);
        assert_eq!(now(store.discard(1, 100, false)), past);
        assert_eq!(now(store.discard(1, u64::MAX, false)), past);
        assert_eq!(now(store.write_at(99, &[0; 512])), Ok(()));
    }
}
