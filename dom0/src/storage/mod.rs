//! dom0's own disk: virtio-blk, the FAT volume on it, and the block devices made of its files.

mod fat;
mod stream;
#[cfg(test)]
pub(crate) mod tests;
mod virtio;

use core::fmt;

pub use fat::{DirEntry, File, FsError, HOME, Volume};
pub use virtio::VirtioDisk;

/// Why a disk did not serve a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskError {
    /// Beyond the end, or not whole sectors where the device wants them.
    OutOfRange,
    /// The device reported a failure.
    Io,
}

impl fmt::Display for DiskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OutOfRange => "beyond the end of the disk",
            Self::Io => "Input/output error",
        })
    }
}

/// Bytes that can be read and written at any place.
#[expect(async_fn_in_trait, reason = "one executor, one thread: no future has to be Send")]
pub trait Disk {
    /// Bytes it holds.
    fn len(&self) -> u64;
    /// Whether that is nothing.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Fills `buf` from `offset` on.
    async fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), DiskError>;
    /// Stores `buf` at `offset`.
    async fn write_at(&self, offset: u64, buf: &[u8]) -> Result<(), DiskError>;
    /// Returns once everything written before is on stable storage.
    async fn flush(&self) -> Result<(), DiskError>;
}
