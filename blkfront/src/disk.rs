//! A disk, as its users have it.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use futures_util::future::try_join_all;
use guest_sdk::abi::io::blkif;
use guest_sdk::xenbus::frontend::{self, Connected, Frontend};
use guest_sdk::xenstore::Xenstore;

use crate::connect::Vbd;
use crate::queue::{Order, Outcome};
use crate::session::{Lost, Session};
use crate::{Error, Flush, Info, Options};

/// Bytes in the sector that requests count in, whatever the disk's own sector size.
pub const SECTOR_SIZE: usize = blkif::SECTOR_SIZE;

/// A disk. Clones are the same disk; when the last one is dropped the disk is closed.
///
/// All methods may be called at the same time, any number of times: requests wait for room in the ring, first
/// come, first served. Those under way at the same time may be carried out in any order. A future that is dropped
/// leaves it open whether its request is carried out.
#[derive(Clone, Debug)]
pub struct Disk {
    frontend: Frontend<Vbd>,
}

impl Disk {
    /// The numbers of this domain's disks, as [`open`](Self::open) takes them; 51712 is `xvda`.
    ///
    /// # Errors
    ///
    /// xenstore's.
    pub async fn list(store: &Xenstore) -> Result<Vec<String>, Error> {
        Ok(Frontend::<Vbd>::list(store).await?)
    }

    /// Opens disk `id` and waits until it is connected.
    ///
    /// # Errors
    ///
    /// There is no such disk, its back end does not connect, or something that both need is not to be had.
    pub async fn open(store: &Xenstore, id: &str, options: Options) -> Result<Self, Error> {
        let frontend = Frontend::open(store, id, Vbd { options: options.bounded() }).await?;
        Ok(Self { frontend })
    }

    /// What the disk is now. Waits while it is not connected.
    ///
    /// # Errors
    ///
    /// The disk is gone.
    pub async fn info(&self) -> Result<Info, Error> {
        Ok(self.frontend.connected().await?.info)
    }

    /// Fills `into`, whole sectors of the disk, from sector `sector` on.
    ///
    /// # Errors
    ///
    /// The range is not on the disk, the back end failed, or the disk is gone.
    pub async fn read(&self, sector: u64, into: &mut [u8]) -> Result<(), Error> {
        loop {
            let Connected { session, info } = self.frontend.connected().await?;
            info.check(sector, into.len() as u64)?;
            if let Some(result) = settled(read(&session, &info, sector, into).await) {
                return result;
            }
        }
    }

    /// Writes `data`, whole sectors of the disk, from sector `sector` on.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read); the disk is read-only.
    pub async fn write(&self, sector: u64, data: &[u8]) -> Result<(), Error> {
        loop {
            let Connected { session, info } = self.frontend.connected().await?;
            info.check(sector, data.len() as u64)?;
            if info.read_only {
                return Err(Error::ReadOnly);
            }
            if let Some(result) = settled(write(&session, &info, sector, data).await) {
                return result;
            }
        }
    }

    /// Makes all writes durable that completed before.
    ///
    /// # Errors
    ///
    /// The back end failed, or the disk is gone.
    pub async fn flush(&self) -> Result<(), Error> {
        loop {
            let Connected { session, info } = self.frontend.connected().await?;
            let order = match info.flush {
                Flush::NotNeeded => return Ok(()),
                Flush::Cache => Order::Flush,
                Flush::Barrier => Order::Barrier,
            };
            if let Some(result) = settled(session.request(order, &mut []).await.map(accept)) {
                return result;
            }
        }
    }

    /// Says that `count` sectors from `sector` on are not needed any more; what they hold then is not defined. With
    /// `secure` it cannot be recovered, either.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write); the disk cannot do it.
    pub async fn discard(&self, sector: u64, count: u64, secure: bool) -> Result<(), Error> {
        let len = count.checked_mul(SECTOR_SIZE as u64).ok_or(Error::OutOfRange)?;
        loop {
            let Connected { session, info } = self.frontend.connected().await?;
            info.check(sector, len)?;
            let ability = info.discard.ok_or(Error::Unsupported)?;
            if secure && !ability.secure {
                return Err(Error::Unsupported);
            }
            let order = Order::Discard { sector, count, secure };
            if let Some(result) = settled(session.request(order, &mut []).await.map(accept)) {
                return result;
            }
        }
    }

    /// Closes the disk and waits until its back end knows. Requests under way fail.
    pub async fn close(self) {
        self.frontend.close().await;
    }
}

/// The answer to a request, or none when the connection ended first and it is to be made again.
fn settled(result: Result<Result<(), Error>, Lost>) -> Option<Result<(), Error>> {
    match result {
        Ok(result) => Some(result),
        Err(Lost::NoMemory(error)) => Some(Err(frontend::Error::NoMemory(error).into())),
        Err(Lost::Disconnected) => None,
    }
}

fn accept(outcome: Outcome) -> Result<(), Error> {
    match outcome {
        Outcome::Done => Ok(()),
        Outcome::Failed => Err(Error::Io),
        Outcome::Unsupported => Err(Error::Unsupported),
    }
}

/// Where each part of a transfer begins when no part is longer than a request can be.
fn parts(info: &Info, sector: u64) -> impl Iterator<Item = u64> + use<> {
    let step = (info.max_request() / SECTOR_SIZE) as u64;
    core::iter::successors(Some(sector), move |at| at.checked_add(step))
}

async fn read(
    session: &Session,
    info: &Info,
    sector: u64,
    into: &mut [u8],
) -> Result<Result<(), Error>, Lost> {
    if into.len() <= info.max_request() {
        return read_part(session, sector, into).await;
    }
    let parts = parts(info, sector).zip(into.chunks_mut(info.max_request()));
    let all = parts.map(|(sector, part)| read_part(session, sector, part));
    first_failure(try_join_all(all).await?)
}

async fn read_part(session: &Session, sector: u64, into: &mut [u8]) -> Result<Result<(), Error>, Lost> {
    if into.is_empty() {
        return Ok(Ok(()));
    }
    let order = Order::Read { sector, len: into.len() };
    session.request(order, into).await.map(accept)
}

async fn write(session: &Session, info: &Info, sector: u64, data: &[u8]) -> Result<Result<(), Error>, Lost> {
    if data.len() <= info.max_request() {
        return write_part(session, sector, data).await;
    }
    let parts = parts(info, sector).zip(data.chunks(info.max_request()));
    let all = parts.map(|(sector, part)| write_part(session, sector, part));
    first_failure(try_join_all(all).await?)
}

async fn write_part(session: &Session, sector: u64, data: &[u8]) -> Result<Result<(), Error>, Lost> {
    if data.is_empty() {
        return Ok(Ok(()));
    }
    session.request(Order::Write { sector, data }, &mut []).await.map(accept)
}

fn first_failure(results: Vec<Result<(), Error>>) -> Result<Result<(), Error>, Lost> {
    Ok(results.into_iter().find(Result::is_err).unwrap_or(Ok(())))
}

impl fmt::Display for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.frontend)
    }
}
