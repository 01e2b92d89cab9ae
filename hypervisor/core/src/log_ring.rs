//! The hypervisor's log: the last bytes written, for `xl dmesg` and whoever else asks.
//!
//! Positions count bytes since boot and wrap at 2^32, as the interface has them
//! (`XEN_SYSCTL_readconsole`).

use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};

use lock::RareMutex;

struct Ring {
    /// A power of two long.
    bytes: Vec<u8>,
    /// Where the oldest byte that was not cleared is.
    start: u32,
    /// Where the next byte goes.
    end: u32,
}

/// The log.
pub struct LogRing {
    ring: RareMutex<Ring>,
    news: AtomicBool,
}

/// A part of the log that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Bytes copied.
    pub bytes: usize,
    /// Position after them.
    pub next: u32,
}

impl LogRing {
    /// A log that keeps nothing yet; made before there is a heap.
    pub const fn new() -> Self {
        Self {
            ring: RareMutex::new(Ring { bytes: Vec::new(), start: 0, end: 0 }),
            news: AtomicBool::new(false),
        }
    }

    /// Gives the log room for at least `size` bytes, keeping what it has. Nothing changes when
    /// memory is short.
    pub fn grow(&self, size: u32) {
        let Some(size) = size.checked_next_power_of_two() else {
            return;
        };
        let mut bytes = Vec::new();
        if bytes.try_reserve_exact(size as usize).is_err() {
            return;
        }
        // Not byte by byte: it is done on the way to dom0's entry.
        const ZEROES: [u8; 512] = [0; 512];
        while bytes.len() < size as usize {
            let more = ZEROES.len().min(size as usize - bytes.len());
            bytes.extend_from_slice(&ZEROES[..more]);
        }
        let mut ring = self.ring.lock();
        if bytes.len() > ring.bytes.len() {
            for position in 0..ring.kept() {
                let position = ring.end.wrapping_sub(ring.kept() - position);
                bytes[position as usize & (size as usize - 1)] = ring.at(position);
            }
            ring.bytes = bytes;
        }
    }

    /// Appends text.
    pub fn write(&self, text: &[u8]) {
        let mut ring = self.ring.lock();
        if ring.bytes.is_empty() {
            return;
        }
        for byte in text {
            let at = ring.index(ring.end);
            ring.bytes[at] = *byte;
            ring.end = ring.end.wrapping_add(1);
        }
        ring.start = ring.oldest();
        self.news.store(true, Ordering::Release);
    }

    /// Whether something was written since the last call: then `VIRQ_CON_RING` is due.
    pub fn take_news(&self) -> bool {
        self.news.load(Ordering::Relaxed) && self.news.swap(false, Ordering::AcqRel)
    }

    /// Where reading begins: at `wanted` if that is still kept, else at the oldest byte.
    pub fn begin(&self, wanted: Option<u32>) -> u32 {
        let ring = self.ring.lock();
        match wanted {
            Some(at) if at.wrapping_sub(ring.start) <= ring.kept() => at,
            _ => ring.start,
        }
    }

    /// Copies what follows position `from`; fewer bytes than fit when the log ends.
    pub fn read(&self, from: u32, to: &mut [u8]) -> Chunk {
        let ring = self.ring.lock();
        let from = if from.wrapping_sub(ring.start) <= ring.kept() { from } else { ring.start };
        let bytes = (ring.end.wrapping_sub(from) as usize).min(to.len());
        for (offset, byte) in to[..bytes].iter_mut().enumerate() {
            *byte = ring.at(from.wrapping_add(offset as u32));
        }
        Chunk { bytes, next: from.wrapping_add(bytes as u32) }
    }

    /// Forgets what lies before position `to`.
    pub fn clear(&self, to: u32) {
        let mut ring = self.ring.lock();
        if to.wrapping_sub(ring.start) <= ring.kept() {
            ring.start = to;
        }
    }
}

impl Default for LogRing {
    fn default() -> Self {
        Self::new()
    }
}

impl Ring {
    fn index(&self, position: u32) -> usize {
        position as usize & (self.bytes.len() - 1)
    }

    fn at(&self, position: u32) -> u8 {
        self.bytes[self.index(position)]
    }

    fn kept(&self) -> u32 {
        self.end.wrapping_sub(self.start)
    }

    fn oldest(&self) -> u32 {
        self.end.wrapping_sub(self.kept().min(self.bytes.len() as u32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;

    fn ring(size: u32) -> LogRing {
        let ring = LogRing::new();
        ring.grow(size);
        ring
    }

    fn all(ring: &LogRing) -> String {
        let mut buffer = [0; 64];
        let chunk = ring.read(ring.begin(None), &mut buffer);
        String::from_utf8(buffer[..chunk.bytes].into()).unwrap()
    }

    #[test]
    fn the_newest_bytes_are_kept() {
        let ring = ring(8);
        ring.write(b"hello");
        assert_eq!(all(&ring), "hello");
        ring.write(b", world");
        assert_eq!(all(&ring), "o, world");
    }

    #[test]
    fn an_incremental_reader_goes_on_where_it_was() {
        let ring = ring(16);
        ring.write(b"first ");
        let mut buffer = [0; 4];
        let chunk = ring.read(ring.begin(Some(0)), &mut buffer);
        assert_eq!((chunk, &buffer), (Chunk { bytes: 4, next: 4 }, b"firs"));
        ring.write(b"second");
        let chunk = ring.read(ring.begin(Some(chunk.next)), &mut buffer);
        assert_eq!((chunk, &buffer), (Chunk { bytes: 4, next: 8 }, b"t se"));
    }

    #[test]
    fn a_reader_that_fell_behind_begins_at_the_oldest_byte() {
        let ring = ring(4);
        ring.write(b"0123456789");
        assert_eq!(ring.begin(Some(2)), 6);
        assert_eq!(ring.begin(Some(7)), 7);
        assert_eq!(ring.begin(Some(10)), 10);
        assert_eq!(ring.begin(Some(11)), 6);
        assert_eq!(ring.begin(Some(u32::MAX)), 6);
    }

    #[test]
    fn clearing_drops_what_was_read_and_no_more() {
        let ring = ring(16);
        ring.write(b"abcdef");
        ring.clear(4);
        assert_eq!(all(&ring), "ef");
        ring.clear(u32::MAX);
        assert_eq!(all(&ring), "ef");
    }

    #[test]
    fn growing_keeps_the_text_and_positions_wrap() {
        let ring = ring(4);
        for _ in 0..3 {
            ring.ring.lock().end = u32::MAX - 1;
            ring.ring.lock().start = u32::MAX - 1;
            ring.write(b"wxyz");
            ring.grow(8);
            assert_eq!(all(&ring), "wxyz");
        }
        assert_eq!(ring.begin(Some(1)), 1);
    }

    #[test]
    fn news_are_told_once_and_without_room_there_are_none() {
        let ring = LogRing::new();
        ring.write(b"lost");
        assert!(!ring.take_news());
        ring.grow(4);
        ring.write(b"x");
        assert!(ring.take_news());
        assert!(!ring.take_news());
    }
}
