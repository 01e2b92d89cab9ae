//! The FAT volume that holds dom0's files.
//!
//! Directories and cluster chains are read by `hadris-fat`. A file is opened by resolving its
//! chain once into [`Extent`]s of the disk; after that a read or write, of a kernel image or of a
//! guest's disk, goes straight to the device in large pieces. Files keep their size and place for as long as
//! dom0 runs: nothing here creates, grows or removes one.

use alloc::{
    string::{String, ToString},
    vec,
    vec::Vec,
};
use core::fmt;

use hadris_fat::r#async as fat;

use super::{Disk, DiskError, stream::Stream};

/// Bytes of the boot sector that this module looks at.
const BOOT_SECTOR: usize = 512;

/// Why a path could not be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FsError {
    /// No such file or directory.
    NotFound,
    /// A directory where a file is wanted.
    IsDirectory,
    /// A file where a directory is wanted.
    NotDirectory,
    /// The volume's structures contradict each other; the text says which.
    Corrupt(String),
    /// The device failed.
    Disk(DiskError),
}

impl fmt::Display for FsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => f.write_str("No such file or directory"),
            Self::IsDirectory => f.write_str("Is a directory"),
            Self::NotDirectory => f.write_str("Not a directory"),
            Self::Corrupt(what) => write!(f, "corrupt FAT volume: {what}"),
            Self::Disk(e) => write!(f, "{e}"),
        }
    }
}

impl From<DiskError> for FsError {
    fn from(e: DiskError) -> Self {
        Self::Disk(e)
    }
}

/// A name in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirEntry {
    /// Its long name where it has one.
    pub name: String,
    /// Bytes; 0 for a directory.
    pub len: u64,
    /// Whether it is a directory.
    pub is_dir: bool,
}

/// A contiguous run of a file on the disk, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Extent {
    file_offset: u64,
    disk_offset: u64,
    len: u64,
}

/// Where the data clusters lie, from the boot sector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Geometry {
    data_start: u64,
    cluster: u64,
}

impl Geometry {
    /// Reads the BIOS parameter block (Microsoft's FAT specification, section 3).
    fn parse(boot: &[u8; BOOT_SECTOR]) -> Result<Self, FsError> {
        let word = |at: usize| u64::from(u16::from_le_bytes([boot[at], boot[at + 1]]));
        let sector = word(11);
        let cluster = sector * u64::from(boot[13]);
        if !sector.is_power_of_two() || sector < 512 || cluster == 0 {
            return Err(FsError::Corrupt("boot sector has no cluster size".into()));
        }
        let long_fat = u64::from(u32::from_le_bytes([boot[36], boot[37], boot[38], boot[39]]));
        let fat = if word(22) != 0 { word(22) } else { long_fat };
        let root = (word(17) * 32).div_ceil(sector);
        let data_start = (word(14) + u64::from(boot[16]) * fat + root) * sector;
        Ok(Self { data_start, cluster })
    }

    fn offset_of(&self, cluster: u32) -> Option<u64> {
        let index = u64::from(cluster).checked_sub(2)?;
        self.data_start.checked_add(index.checked_mul(self.cluster)?)
    }
}

/// Where the names of files begin that have no slash in front.
pub const HOME: &str = "/root";

/// A mounted volume.
pub struct Volume<D: Disk + Clone> {
    disk: D,
    geometry: Geometry,
    fat: fat::FatVolume<Stream<D>>,
}

impl<D: Disk + Clone> Volume<D> {
    /// Reads the boot sector of `disk`.
    pub async fn mount(disk: D) -> Result<Self, FsError> {
        let mut boot = [0; BOOT_SECTOR];
        disk.read_at(0, &mut boot).await?;
        let geometry = Geometry::parse(&boot)?;
        let fat = fat::FatVolume::open(Stream::new(disk.clone())).await.map_err(convert)?;
        Ok(Self { disk, geometry, fat })
    }

    /// The entries of a directory, in the order they lie in.
    pub async fn read_dir(&self, path: &str) -> Result<Vec<DirEntry>, FsError> {
        let dir = match self.lookup(path).await? {
            None => self.fat.root_dir(),
            Some(entry) => self.fat.open_dir_entry(&entry).map_err(convert)?,
        };
        let mut entries = dir.entries();
        let mut found = Vec::new();
        while let Some(entry) = entries.next_entry().await {
            let entry = entry.map_err(convert)?;
            let Some(file) = entry.as_entry() else { continue };
            let name = entry.name();
            if name != "." && name != ".." {
                found.push(describe(name.to_string(), file));
            }
        }
        Ok(found)
    }

    /// What `path` names; the root directory has no name.
    pub async fn stat(&self, path: &str) -> Result<DirEntry, FsError> {
        Ok(match self.lookup(path).await? {
            None => DirEntry { name: String::new(), len: 0, is_dir: true },
            Some(entry) => describe(entry.name().to_string(), &entry),
        })
    }

    /// Opens a file, resolving where all of it lies.
    pub async fn open(&self, path: &str) -> Result<File<D>, FsError> {
        let entry = self.lookup(path).await?.ok_or(FsError::IsDirectory)?;
        if entry.is_directory() {
            return Err(FsError::IsDirectory);
        }
        let extents = self.extents(&entry).await?;
        Ok(File { disk: self.disk.clone(), len: entry.len(), extents })
    }

    /// The directory entry of `path`, none for the root.
    async fn lookup(&self, path: &str) -> Result<Option<fat::FileEntry>, FsError> {
        let from = if path.starts_with('/') { "" } else { HOME };
        let parts = from.split('/').chain(path.split('/')).filter(|part| !matches!(*part, "" | "."));
        let path: String = parts.flat_map(|part| ["/", part]).collect();
        if path.is_empty() {
            return Ok(None);
        }
        self.fat.open_path(&path).await.map(Some).map_err(convert)
    }

    async fn extents(&self, entry: &fat::FileEntry) -> Result<Vec<Extent>, FsError> {
        let len = entry.len();
        if len == 0 {
            return Ok(Vec::new());
        }
        let corrupt = |what: &str| FsError::Corrupt(what.into());
        let first = u32::try_from(entry.cluster().0).map_err(|_| corrupt("cluster number"))?;
        let table = self.fat.fat();
        let mut chain = Vec::new();
        table
            .walk_chain(&mut Stream::new(self.disk.clone()), first, table.max_cluster(), |c| chain.push(c))
            .await
            .map_err(convert)?;
        let mut extents: Vec<Extent> = Vec::new();
        let mut done = 0;
        for cluster in chain {
            let disk_offset = self.geometry.offset_of(cluster).ok_or_else(|| corrupt("cluster number"))?;
            let piece = self.geometry.cluster.min(len - done);
            match extents.last_mut() {
                Some(last) if last.disk_offset + last.len == disk_offset => last.len += piece,
                _ => extents.push(Extent { file_offset: done, disk_offset, len: piece }),
            }
            done += piece;
            if done == len {
                break;
            }
        }
        let end = extents.iter().map(|e| e.disk_offset + e.len).max().unwrap_or(0);
        if done < len || end > self.disk.len() {
            return Err(corrupt("a file is longer than its cluster chain or the disk"));
        }
        Ok(extents)
    }
}

fn describe(name: String, entry: &fat::FileEntry) -> DirEntry {
    let is_dir = entry.is_directory();
    DirEntry { name, len: if is_dir { 0 } else { entry.len() }, is_dir }
}

fn convert(e: hadris_fat::Error) -> FsError {
    use hadris_fat::Error as E;
    match e {
        E::EntryNotFound => FsError::NotFound,
        E::NotADirectory => FsError::NotDirectory,
        E::NotAFile => FsError::IsDirectory,
        other => FsError::Corrupt(other.to_string()),
    }
}

/// An open file: a fixed range of bytes on the disk.
#[derive(Clone)]
pub struct File<D> {
    disk: D,
    len: u64,
    extents: Vec<Extent>,
}

impl<D: Disk + Clone> File<D> {
    /// Reads all of it; `limit` bounds what a small file may be.
    pub async fn read_all(&self, limit: usize) -> Result<Vec<u8>, DiskError> {
        let len = usize::try_from(self.len).ok().filter(|&l| l <= limit).ok_or(DiskError::OutOfRange)?;
        let mut bytes = vec![0; len];
        self.read_at(0, &mut bytes).await?;
        Ok(bytes)
    }

    /// In how many places of the disk it lies.
    pub fn pieces(&self) -> usize {
        self.extents.len()
    }

    /// The part of the disk at `offset`: where it lies and how many bytes follow there.
    fn locate(&self, offset: u64) -> Option<(u64, u64)> {
        let after = self.extents.partition_point(|e| e.file_offset <= offset);
        let extent = self.extents.get(after.checked_sub(1)?)?;
        let within = offset - extent.file_offset;
        (within < extent.len).then(|| (extent.disk_offset + within, extent.len - within))
    }

    fn check(&self, offset: u64, len: usize) -> Result<(), DiskError> {
        let end = offset.checked_add(len as u64).ok_or(DiskError::OutOfRange)?;
        if end > self.len { Err(DiskError::OutOfRange) } else { Ok(()) }
    }
}

impl<D: Disk + Clone> Disk for File<D> {
    fn len(&self) -> u64 {
        self.len
    }

    async fn read_at(&self, mut offset: u64, mut buf: &mut [u8]) -> Result<(), DiskError> {
        self.check(offset, buf.len())?;
        while !buf.is_empty() {
            let (at, run) = self.locate(offset).ok_or(DiskError::OutOfRange)?;
            let n = usize::try_from(run).unwrap_or(usize::MAX).min(buf.len());
            let (now, rest) = buf.split_at_mut(n);
            self.disk.read_at(at, now).await?;
            buf = rest;
            offset += n as u64;
        }
        Ok(())
    }

    async fn write_at(&self, mut offset: u64, mut buf: &[u8]) -> Result<(), DiskError> {
        self.check(offset, buf.len())?;
        while !buf.is_empty() {
            let (at, run) = self.locate(offset).ok_or(DiskError::OutOfRange)?;
            let n = usize::try_from(run).unwrap_or(usize::MAX).min(buf.len());
            let (now, rest) = buf.split_at(n);
            self.disk.write_at(at, now).await?;
            buf = rest;
            offset += n as u64;
        }
        Ok(())
    }

    async fn flush(&self) -> Result<(), DiskError> {
        self.disk.flush().await
    }
}
