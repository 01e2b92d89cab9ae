//! What a guest printed last.

use alloc::collections::VecDeque;

/// The end of a stream of bytes. Positions count from the stream's beginning, so that each reader keeps its own.
#[derive(Debug)]
pub struct Backlog {
    kept: VecDeque<u8>,
    limit: usize,
    /// Position of the first byte kept.
    start: u64,
}

impl Backlog {
    /// Keeps the last `limit` bytes.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        Self { kept: VecDeque::new(), limit, start: 0 }
    }

    /// Position of the oldest byte kept.
    #[must_use]
    pub const fn start(&self) -> u64 {
        self.start
    }

    /// Position after the newest byte.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.start + self.kept.len() as u64
    }

    /// Bytes that can be added while all from `position` on stay.
    #[must_use]
    pub fn room_after(&self, position: u64) -> usize {
        let held = self.end().saturating_sub(position.max(self.start));
        self.limit.saturating_sub(usize::try_from(held).unwrap_or(usize::MAX))
    }

    /// Adds bytes at the end; as many of the oldest go as there are too many.
    pub fn push(&mut self, bytes: &[u8]) {
        let skipped = bytes.len().saturating_sub(self.limit);
        let bytes = &bytes[skipped..];
        let surplus = (self.kept.len() + bytes.len()).saturating_sub(self.limit);
        self.kept.drain(..surplus);
        self.kept.extend(bytes);
        self.start += (surplus + skipped) as u64;
    }

    /// Copies from `position` on, or from the oldest byte if that is newer. Says where the copy began and how
    /// long it is.
    pub fn read(&self, position: u64, into: &mut [u8]) -> (u64, usize) {
        let from = position.clamp(self.start, self.end());
        let skip = (from - self.start) as usize;
        let len = into.len().min(self.kept.len() - skip);
        for (to, byte) in into.iter_mut().zip(self.kept.range(skip..skip + len)) {
            *to = *byte;
        }
        (from, len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(backlog: &Backlog, position: u64) -> (u64, alloc::vec::Vec<u8>) {
        let mut bytes = [0; 64];
        let (from, len) = backlog.read(position, &mut bytes);
        (from, bytes[..len].to_vec())
    }

    #[test]
    fn what_was_added_is_read_at_its_position() {
        let mut backlog = Backlog::new(8);
        backlog.push(b"abc");
        backlog.push(b"de");
        assert_eq!(read(&backlog, 0), (0, b"abcde".to_vec()));
        assert_eq!(read(&backlog, 3), (3, b"de".to_vec()));
        assert_eq!(read(&backlog, 5), (5, b"".to_vec()));
    }

    #[test]
    fn the_oldest_bytes_go_when_there_are_too_many() {
        let mut backlog = Backlog::new(4);
        backlog.push(b"abc");
        backlog.push(b"de");
        assert_eq!(read(&backlog, 0), (1, b"bcde".to_vec()));
        assert_eq!((backlog.start(), backlog.end()), (1, 5));
    }

    #[test]
    fn more_than_the_limit_at_once_keeps_the_end() {
        let mut backlog = Backlog::new(4);
        backlog.push(b"ab");
        backlog.push(b"cdefghij");
        assert_eq!(read(&backlog, 0), (6, b"ghij".to_vec()));
    }

    #[test]
    fn a_position_ahead_of_the_stream_reads_nothing() {
        let mut backlog = Backlog::new(4);
        backlog.push(b"ab");
        assert_eq!(read(&backlog, u64::MAX), (2, b"".to_vec()));
    }

    #[test]
    fn room_is_what_a_reader_leaves() {
        let mut backlog = Backlog::new(4);
        backlog.push(b"abc");
        assert_eq!(backlog.room_after(0), 1);
        assert_eq!(backlog.room_after(2), 3);
        assert_eq!(backlog.room_after(3), 4);
    }

    #[test]
    fn without_a_limit_to_keep_nothing_is_kept() {
        let mut backlog = Backlog::new(0);
        backlog.push(b"abc");
        assert_eq!(read(&backlog, 0), (3, b"".to_vec()));
    }
}
