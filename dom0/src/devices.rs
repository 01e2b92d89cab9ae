//! Block devices by their names: `/dev/vda`, the disk itself, and `/dev/loopN`, files on it.

use alloc::{
    format,
    rc::{Rc, Weak},
    string::{String, ToString},
    vec::Vec,
};
use core::{cell::RefCell, fmt};

use blkback::{Description, Disks, Geometry, OpenError, SECTOR_SIZE, Store, StoreError};

use crate::storage::{Disk, DiskError, File, FsError, Volume};

/// How many loop devices there are, `/dev/loop0` and on.
pub const LOOPS: usize = 64;

/// Why a loop device could not be set up or taken down.
#[derive(Debug, PartialEq, Eq)]
pub enum LoopError {
    /// No such loop device.
    NoDevice,
    /// It is set up already, or a guest uses it.
    Busy,
    /// All are taken.
    NoneFree,
    /// Nothing is behind it.
    NotSetUp,
    /// The file is not a whole number of sectors, or empty.
    BadSize(u64),
    /// The file cannot be opened.
    File(FsError),
}

impl fmt::Display for LoopError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoDevice => f.write_str("No such device"),
            Self::Busy => f.write_str("Device or resource busy"),
            Self::NoneFree => f.write_str("no free loop device"),
            Self::NotSetUp => f.write_str("No such device or address"),
            Self::BadSize(len) => write!(f, "{len} bytes are not a whole number of 512-byte sectors"),
            Self::File(e) => e.fmt(f),
        }
    }
}

/// What a guest's disk is made of.
pub struct BlockDevice<D: Disk + Clone> {
    contents: Contents<D>,
    read_only: bool,
}

enum Contents<D: Disk + Clone> {
    Whole(D),
    File(File<D>),
}

impl From<DiskError> for StoreError {
    fn from(e: DiskError) -> Self {
        match e {
            DiskError::OutOfRange => Self::OutOfRange,
            DiskError::Io => Self::Io,
        }
    }
}

impl<D: Disk + Clone> BlockDevice<D> {
    fn len(&self) -> u64 {
        match &self.contents {
            Contents::Whole(disk) => disk.len(),
            Contents::File(file) => file.len(),
        }
    }
}

impl<D: Disk + Clone> Store for BlockDevice<D> {
    fn geometry(&self) -> Geometry {
        let plain = Geometry::plain(self.len() / SECTOR_SIZE as u64);
        Geometry { read_only: self.read_only, volatile_cache: true, ..plain }
    }

    async fn read_at(&self, sector: u64, buf: &mut [u8]) -> Result<(), StoreError> {
        let offset = sector.checked_mul(SECTOR_SIZE as u64).ok_or(StoreError::OutOfRange)?;
        Ok(match &self.contents {
            Contents::Whole(disk) => disk.read_at(offset, buf).await,
            Contents::File(file) => file.read_at(offset, buf).await,
        }?)
    }

    async fn write_at(&self, sector: u64, data: &[u8]) -> Result<(), StoreError> {
        if self.read_only {
            return Err(StoreError::Unsupported);
        }
        let offset = sector.checked_mul(SECTOR_SIZE as u64).ok_or(StoreError::OutOfRange)?;
        Ok(match &self.contents {
            Contents::Whole(disk) => disk.write_at(offset, data).await,
            Contents::File(file) => file.write_at(offset, data).await,
        }?)
    }

    async fn flush(&self) -> Result<(), StoreError> {
        Ok(match &self.contents {
            Contents::Whole(disk) => disk.flush().await,
            Contents::File(file) => file.flush().await,
        }?)
    }

    async fn discard(&self, _: u64, _: u64, _: bool) -> Result<(), StoreError> {
        Err(StoreError::Unsupported)
    }
}

/// A loop device that is set up.
struct Loop<D: Disk + Clone> {
    path: String,
    device: Rc<BlockDevice<D>>,
}

/// What `losetup` shows of a loop device.
#[derive(Debug, PartialEq, Eq)]
pub struct LoopInfo {
    /// `/dev/loop0`
    pub name: String,
    /// The file behind it.
    pub path: String,
    /// Bytes.
    pub len: u64,
    /// Whether writes are refused.
    pub read_only: bool,
}

struct Table<D: Disk + Clone> {
    disk: D,
    volume: Rc<Volume<D>>,
    loops: Vec<Option<Loop<D>>>,
    /// Guests that have the disk itself.
    whole: Weak<BlockDevice<D>>,
}

/// All block devices; clones are the same table.
pub struct Devices<D: Disk + Clone>(Rc<RefCell<Table<D>>>);

impl<D: Disk + Clone> Clone for Devices<D> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<D: Disk + Clone> Devices<D> {
    /// No loop device is set up.
    pub fn new(disk: D, volume: Rc<Volume<D>>) -> Self {
        let loops = (0..LOOPS).map(|_| None).collect();
        Self(Rc::new(RefCell::new(Table { disk, volume, loops, whole: Weak::new() })))
    }

    /// Puts the file `path` behind the loop device `name`, or the first free one; gives its name.
    ///
    /// # Errors
    ///
    /// As [`LoopError`] says.
    pub async fn attach(&self, name: Option<&str>, path: &str, read_only: bool) -> Result<String, LoopError> {
        if let Some(name) = name {
            self.free_index(Some(name))?;
        }
        let volume = self.0.borrow().volume.clone();
        let file = volume.open(path).await.map_err(LoopError::File)?;
        if file.len() == 0 || !file.len().is_multiple_of(SECTOR_SIZE as u64) {
            return Err(LoopError::BadSize(file.len()));
        }
        let index = self.free_index(name)?;
        let device = Rc::new(BlockDevice { contents: Contents::File(file), read_only });
        self.0.borrow_mut().loops[index] = Some(Loop { path: path.to_string(), device });
        Ok(name_of(index))
    }

    fn free_index(&self, name: Option<&str>) -> Result<usize, LoopError> {
        let table = self.0.borrow();
        match name {
            Some(name) => match index_of(name).ok_or(LoopError::NoDevice)? {
                index if table.loops[index].is_some() => Err(LoopError::Busy),
                index => Ok(index),
            },
            None => table.loops.iter().position(Option::is_none).ok_or(LoopError::NoneFree),
        }
    }

    /// Takes down a loop device that no guest uses.
    ///
    /// # Errors
    ///
    /// `NoDevice`, `NotSetUp` or `Busy`.
    pub fn detach(&self, name: &str) -> Result<(), LoopError> {
        let index = index_of(name).ok_or(LoopError::NoDevice)?;
        let slot = &mut self.0.borrow_mut().loops[index];
        match slot {
            None => Err(LoopError::NotSetUp),
            Some(used) if Rc::strong_count(&used.device) > 1 => Err(LoopError::Busy),
            Some(_) => {
                *slot = None;
                Ok(())
            }
        }
    }

    /// All loop devices that are set up.
    pub fn list(&self) -> Vec<LoopInfo> {
        let table = self.0.borrow();
        let all = table.loops.iter().enumerate();
        all.filter_map(|(index, slot)| {
            let used = slot.as_ref()?;
            Some(LoopInfo {
                name: name_of(index),
                path: used.path.clone(),
                len: used.device.len(),
                read_only: used.device.read_only,
            })
        })
        .collect()
    }

    /// The block device called `name`.
    ///
    /// The disk itself is for reading only: the volume on it is in use here.
    fn get(&self, name: &str) -> Option<Rc<BlockDevice<D>>> {
        let mut table = self.0.borrow_mut();
        if name == "/dev/vda" {
            let whole = table.whole.upgrade().unwrap_or_else(|| {
                Rc::new(BlockDevice { contents: Contents::Whole(table.disk.clone()), read_only: true })
            });
            table.whole = Rc::downgrade(&whole);
            return Some(whole);
        }
        table.loops[index_of(name)?].as_ref().map(|used| used.device.clone())
    }
}

impl<D: Disk + Clone + 'static> Disks for Devices<D> {
    type Store = BlockDevice<D>;

    async fn open(&self, disk: &Description) -> Result<Rc<BlockDevice<D>>, OpenError> {
        let device = self.get(&disk.params).ok_or_else(|| {
            OpenError(format!("{}: no such block device (losetup shows what there is)", disk.params))
        })?;
        if device.read_only && !disk.read_only {
            return Err(OpenError(format!("{} is read-only, and is asked for with access w", disk.params)));
        }
        Ok(device)
    }
}

fn name_of(index: usize) -> String {
    format!("/dev/loop{index}")
}

fn index_of(name: &str) -> Option<usize> {
    let digits = name.strip_prefix("/dev/loop")?;
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    digits.parse().ok().filter(|&index| plain && index < LOOPS)
}

#[cfg(test)]
mod tests;
