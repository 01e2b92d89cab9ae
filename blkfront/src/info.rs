//! What a disk is and can do, as its back end tells.

use guest_sdk::abi::PAGE_SIZE;
use guest_sdk::abi::io::blkif;

use crate::Error;

/// A connected disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Info {
    /// Size in sectors of 512 bytes.
    pub sectors: u64,
    /// Smallest unit of transfer in bytes: a power of two from 512 to 4096.
    pub sector_size: u32,
    /// The unit that the medium writes without a read, in bytes.
    pub physical_sector_size: u32,
    /// Writes fail.
    pub read_only: bool,
    /// It is a CD-ROM drive.
    pub cdrom: bool,
    /// It can be taken out.
    pub removable: bool,
    /// How completed writes are made durable.
    pub flush: Flush,
    /// How sectors are forgotten.
    pub discard: Option<Discard>,
    /// Pages that one request can move.
    pub(crate) segments: usize,
    /// The back end keeps our pages mapped.
    pub persistent: bool,
}

/// How writes are made durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flush {
    /// They are when they complete, as far as the back end tells.
    NotNeeded,
    /// By a flush.
    Cache,
    /// By a barrier, which orders all other requests, too.
    Barrier,
}

/// How sectors are forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Discard {
    /// The unit in bytes.
    pub granularity: u32,
    /// Offset of the first unit in bytes.
    pub alignment: u32,
    /// Secure discards are possible.
    pub secure: bool,
}

impl Info {
    /// Bytes that one request can move.
    #[must_use]
    pub const fn max_request(&self) -> usize {
        self.segments * PAGE_SIZE
    }

    /// Whether the numbers make sense; a back end may say anything.
    pub(crate) fn is_plausible(&self) -> bool {
        let unit = u64::from(self.sector_size);
        unit.is_power_of_two()
            && (512..=4096).contains(&unit)
            && self.physical_sector_size >= self.sector_size
            && self.sectors.checked_mul(blkif::SECTOR_SIZE as u64).is_some()
    }

    /// Checks that `len` bytes from `sector` on are whole sectors of the disk, and on it.
    pub(crate) fn check(&self, sector: u64, len: u64) -> Result<(), Error> {
        let unit = u64::from(self.sector_size);
        let start = sector.checked_mul(blkif::SECTOR_SIZE as u64).ok_or(Error::OutOfRange)?;
        let end = start.checked_add(len).ok_or(Error::OutOfRange)?;
        if end > self.sectors * blkif::SECTOR_SIZE as u64 {
            return Err(Error::OutOfRange);
        }
        if start % unit != 0 || !len.is_multiple_of(unit) {
            return Err(Error::Misaligned);
        }
        Ok(())
    }
}
