//! What a disk costs whose back end is another domain.

use alloc::{rc::Rc, vec, vec::Vec};
use core::cell::Cell;

use blkfront::{Disk, Error, Options, SECTOR_SIZE};
use guest_sdk::{Env, event, exec, xenbus::frontend};

use crate::{Failure, arch::counter, report};

/// The disk's number: `xvda`.
const DISK: &str = "51712";
const BLOCK: usize = 4096;
const SECTORS: u64 = (BLOCK / SECTOR_SIZE) as u64;
/// Events are counted for so many blocks.
const BLOCKS: u32 = 100;
/// Blocks under way, with the names of what is measured.
const DEPTHS: [(usize, &str, &str); 2] = [(1, "block_1", "events_1"), (32, "block_32", "events_32")];

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        log::error!("{error}");
        Self("the disk")
    }
}

/// Measures, and says so.
pub async fn run(env: &Env, times: u32) -> Result<(), Failure> {
    let store = env.xenstore().await?;
    let disk = Disk::open(&store, DISK, Options::default()).await?;
    let blocks = disk.info().await?.sectors / SECTORS;
    for (depth, time, events) in DEPTHS {
        // Both ends have all in its place then.
        read(&disk, depth, times, blocks).await?;
        let (before, start) = (event::counts(), counter());
        read(&disk, depth, times, blocks).await?;
        let (ticks, after) = (counter() - start, event::counts());
        report(time, times.into(), ticks);
        let sent = after.sent.wrapping_sub(before.sent);
        let taken = after.taken.wrapping_sub(before.taken);
        report(events, (times / BLOCKS).max(1).into(), u64::from(sent) + u64::from(taken));
    }
    disk.close().await;
    Ok(())
}

/// Reads `times` blocks, one after the other from the start, with `depth` of them under way.
async fn read(disk: &Disk, depth: usize, times: u32, blocks: u64) -> Result<(), Failure> {
    let next = Rc::new(Cell::new(0));
    let readers: Vec<_> = (0..depth)
        .map(|_| {
            let (disk, next) = (disk.clone(), next.clone());
            exec::spawn(async move {
                let mut block = vec![0; BLOCK];
                while next.get() < times {
                    let sector = u64::from(next.get()) % blocks.max(1) * SECTORS;
                    next.set(next.get() + 1);
                    disk.read(sector, &mut block).await?;
                }
                Ok::<_, Error>(())
            })
        })
        .collect();
    for reader in readers {
        reader.await.unwrap_or(Err(frontend::Error::Closed.into()))?;
    }
    Ok(())
}
