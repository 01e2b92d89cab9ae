//! A disk as the byte stream that `hadris-fat` reads.

use hadris_fat::r#async::{Error, ErrorKind, IoResult, Read, Seek, SeekFrom};

use super::{Disk, DiskError};

/// Bytes kept of the disk: what directory and table walks read next is nearly always there.
const WINDOW: usize = 4096;

/// Reads a disk at a moving position, a few bytes at a time.
pub(super) struct Stream<D> {
    disk: D,
    position: u64,
    window_at: Option<u64>,
    window: [u8; WINDOW],
}

impl<D: Disk> Stream<D> {
    pub(super) fn new(disk: D) -> Self {
        Self { disk, position: 0, window_at: None, window: [0; WINDOW] }
    }

    /// Makes the window hold the byte at `position`; gives what of it is on the disk from there on.
    async fn fill(&mut self) -> Result<&[u8], DiskError> {
        let start = self.position - self.position % WINDOW as u64;
        let valid = self.disk.len().saturating_sub(start).min(WINDOW as u64);
        let valid = usize::try_from(valid).unwrap_or(0);
        if self.window_at != Some(start) {
            self.window_at = None;
            self.disk.read_at(start, &mut self.window[..valid]).await?;
            self.window_at = Some(start);
        }
        let from = usize::try_from(self.position - start).unwrap_or(WINDOW);
        Ok(self.window.get(from..valid).unwrap_or(&[]))
    }
}

impl<D: Disk> Read for Stream<D> {
    type Error = ErrorKind;

    async fn read(&mut self, buf: &mut [u8]) -> IoResult<usize, ErrorKind> {
        let there = self.fill().await.map_err(|_| Error::from_kind(ErrorKind::Other))?;
        let n = there.len().min(buf.len());
        buf[..n].copy_from_slice(&there[..n]);
        self.position += n as u64;
        Ok(n)
    }
}

impl<D: Disk> Seek for Stream<D> {
    type Error = ErrorKind;

    async fn seek(&mut self, to: SeekFrom) -> IoResult<u64, ErrorKind> {
        let target = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
            SeekFrom::End(by) => self.disk.len().checked_add_signed(by),
        };
        self.position = target.ok_or(Error::from_kind(ErrorKind::InvalidInput))?;
        Ok(self.position)
    }
}
