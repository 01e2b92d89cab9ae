//! A driver domain: serves disks to other guests, made of memory or of its own disks.
#![cfg_attr(target_os = "none", no_std)]
#![no_main]

extern crate alloc;

use alloc::{format, rc::Rc};
use core::convert::Infallible;

use blkback::{Backend, Description, Disks, Geometry, Limits, OpenError, RamStore, Store, StoreError};
use blkfront::{Disk, Error, Flush, Options};
use guest_sdk::{Env, abi::Errno, xenstore::Xenstore};
use log::info;

guest_sdk::main!(main);

async fn main(env: Env) -> Result<Infallible, Errno> {
    let store = env.xenstore().await?;
    let _backend = Backend::start(store.clone(), Shelf(store), Limits::default());
    info!("serving disks");
    core::future::pending().await
}

/// Makes a disk of what the config's `target` says: `ram:<MiB>`, or `disk:<number>` for one of our own.
struct Shelf(Xenstore);

impl Disks for Shelf {
    type Store = Medium;

    async fn open(&self, disk: &Description) -> Result<Rc<Medium>, OpenError> {
        info!("{disk}");
        let medium = match disk.params.split_once(':') {
            Some(("ram", mib)) => {
                mib.parse().ok().and_then(|mib: u64| RamStore::new(mib.checked_mul(2048)?)).map(Medium::Ram)
            }
            Some(("disk", id)) => Some(Medium::open(&self.0, id).await.map_err(refused)?),
            _ => None,
        };
        medium.map(Rc::new).ok_or_else(|| OpenError(format!("{}: no such medium", disk.params)))
    }
}

fn refused(error: Error) -> OpenError {
    OpenError(format!("{error}"))
}

/// What a disk is made of.
enum Medium {
    Ram(RamStore),
    Disk(Disk, Geometry),
}

impl Medium {
    async fn open(store: &Xenstore, id: &str) -> Result<Self, Error> {
        let disk = Disk::open(store, id, Options::default()).await?;
        let info = disk.info().await?;
        let geometry = Geometry {
            sector_size: info.sector_size,
            physical_sector_size: info.physical_sector_size,
            read_only: info.read_only,
            volatile_cache: info.flush != Flush::NotNeeded,
            ..Geometry::plain(info.sectors)
        };
        Ok(Self::Disk(disk, geometry))
    }
}

impl Store for Medium {
    fn geometry(&self) -> Geometry {
        match self {
            Self::Ram(ram) => ram.geometry(),
            Self::Disk(_, geometry) => *geometry,
        }
    }

    async fn read_at(&self, sector: u64, buf: &mut [u8]) -> Result<(), StoreError> {
        match self {
            Self::Ram(ram) => ram.read_at(sector, buf).await,
            Self::Disk(disk, _) => disk.read(sector, buf).await.map_err(|_| StoreError::Io),
        }
    }

    async fn write_at(&self, sector: u64, data: &[u8]) -> Result<(), StoreError> {
        match self {
            Self::Ram(ram) => ram.write_at(sector, data).await,
            Self::Disk(disk, _) => disk.write(sector, data).await.map_err(|_| StoreError::Io),
        }
    }

    async fn flush(&self) -> Result<(), StoreError> {
        match self {
            Self::Ram(ram) => ram.flush().await,
            Self::Disk(disk, _) => disk.flush().await.map_err(|_| StoreError::Io),
        }
    }

    async fn discard(&self, sector: u64, count: u64, secure: bool) -> Result<(), StoreError> {
        match self {
            Self::Ram(ram) => ram.discard(sector, count, secure).await,
            Self::Disk(..) => Err(StoreError::Unsupported),
        }
    }
}
