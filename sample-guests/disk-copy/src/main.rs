//! Copies one disk to another, reads the copy back and compares.
//!
//! `from=`, `to=` name the disks by number; `piece=` is how many bytes to move at a time, `at-once=` how many pieces.
#![cfg_attr(target_os = "none", no_std)]
#![no_main]

extern crate alloc;

use alloc::{rc::Rc, vec, vec::Vec};
use core::{cell::Cell, fmt, str::FromStr};

use blkfront::{Disk, Error, Options, SECTOR_SIZE};
use guest_sdk::{Env, abi::Errno, exec, time};
use log::info;

guest_sdk::main!(main);

/// Why the copy is not done.
enum Failure {
    NoStore(Errno),
    Disk(Error),
    TooSmall { need: u64, have: u64 },
    Differs { sector: u64 },
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Disk(error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoStore(error) => write!(f, "no xenstore: {error}"),
            Self::Disk(error) => write!(f, "{error}"),
            Self::TooSmall { need, have } => write!(f, "{need} sectors do not fit on {have}"),
            Self::Differs { sector } => write!(f, "the copy differs at sector {sector}"),
        }
    }
}

async fn main(env: Env) -> Result<(), Failure> {
    let store = env.xenstore().await.map_err(Failure::NoStore)?;
    let from = Disk::open(&store, env.bootarg("from").unwrap_or("51712"), Options::default()).await?;
    let to = Disk::open(&store, env.bootarg("to").unwrap_or("51728"), Options::default()).await?;
    let (source, target) = (from.info().await?, to.info().await?);
    info!("from {source:?}");
    info!("to {target:?}");
    if target.sectors < source.sectors {
        return Err(Failure::TooSmall { need: source.sectors, have: target.sectors });
    }

    let piece = number(&env, "piece").unwrap_or(64 << 10);
    let plan = Plan { sectors: source.sectors, piece: (piece / SECTOR_SIZE).max(1) };
    let at_once = number(&env, "at-once").unwrap_or(8);
    let start = time::now();
    plan.run(at_once, copy, &from, &to).await?;
    to.flush().await?;
    info!("copied {} sectors in {:?}", plan.sectors, start.elapsed());
    let start = time::now();
    plan.run(at_once, compare, &from, &to).await?;
    info!("both are equal, checked in {:?}", start.elapsed());
    to.close().await;
    from.close().await;
    Ok(())
}

/// A disk in pieces.
#[derive(Clone, Copy)]
struct Plan {
    sectors: u64,
    /// Sectors in a piece.
    piece: usize,
}

impl Plan {
    /// Does `work` with each piece, `at_once` of them at the same time: each task takes the next piece that none has
    /// taken yet.
    async fn run<F>(
        self,
        at_once: usize,
        work: fn(Disk, Disk, u64, usize) -> F,
        from: &Disk,
        to: &Disk,
    ) -> Result<(), Failure>
    where
        F: Future<Output = Result<(), Failure>> + 'static,
    {
        let next = Rc::new(Cell::new(0));
        let tasks: Vec<_> = (0..at_once)
            .map(|_| {
                let (next, from, to) = (next.clone(), from.clone(), to.clone());
                exec::spawn(async move {
                    while next.get() < self.sectors {
                        let sector = next.get();
                        let count = self.piece.min((self.sectors - sector) as usize);
                        next.set(sector + count as u64);
                        work(from.clone(), to.clone(), sector, count).await?;
                    }
                    Ok::<_, Failure>(())
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap_or(Ok(()))?;
        }
        Ok(())
    }
}

async fn copy(from: Disk, to: Disk, sector: u64, count: usize) -> Result<(), Failure> {
    let mut data = vec![0; count * SECTOR_SIZE];
    from.read(sector, &mut data).await?;
    Ok(to.write(sector, &data).await?)
}

async fn compare(from: Disk, to: Disk, sector: u64, count: usize) -> Result<(), Failure> {
    let (mut expected, mut found) = (vec![0; count * SECTOR_SIZE], vec![0; count * SECTOR_SIZE]);
    from.read(sector, &mut expected).await?;
    to.read(sector, &mut found).await?;
    let sectors = expected.chunks(SECTOR_SIZE).zip(found.chunks(SECTOR_SIZE));
    match (sector..).zip(sectors).find(|(_, (a, b))| a != b) {
        Some((sector, _)) => Err(Failure::Differs { sector }),
        None => Ok(()),
    }
}

fn number<T: FromStr>(env: &Env, key: &str) -> Option<T> {
    env.bootarg(key)?.parse().ok()
}
