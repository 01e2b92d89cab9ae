//! A new guest's memory: put there in the largest pieces, and filled.

use alloc::vec::Vec;

use guest_board::Region;
use xen_abi::{Domid, Gfn, PAGE_SIZE};

use crate::control::Control;
use crate::error::{Error, Result};
use crate::host::{Host, Source};
use crate::interrupt::Interrupt;

/// Sizes of pieces as logarithms of their frames: 1 GiB, 2 MiB, 4 KiB.
const ORDERS: [u32; 3] = [18, 9, 0];
/// Pieces of each size that are asked for at once, so that others run in between.
const BATCH: [u64; 3] = [1, 64, 512];
/// Bytes that are copied at once.
const CHUNK: usize = 64 * 1024;

/// Gives the frames of a region whose bounds are pages.
fn frames(region: &Region) -> (u64, u64) {
    (region.base / PAGE_SIZE as u64, region.size / PAGE_SIZE as u64)
}

/// Puts memory at a bank.
pub(crate) async fn populate<H: Host>(
    host: &H,
    domid: Domid,
    bank: &Region,
    interrupt: &Interrupt,
) -> Result<()> {
    let (first, count) = frames(bank);
    let (mut next, end) = (first, first + count);
    // Sizes before this one were refused, and are not asked for again.
    let mut largest = 0;
    while next < end {
        let Some((index, gfns)) = batch(next, end, largest) else {
            return Err(no_memory(host, (end - next) * PAGE_SIZE as u64 / 1024));
        };
        let done = host
            .control()
            .populate(domid, &gfns, ORDERS[index])
            .map_err(Error::hypercall("give the domain memory"))?;
        next += (done as u64) << ORDERS[index];
        if done == 0 {
            largest = index + 1;
        }
        host.pause().await;
        interrupt.check()?;
    }
    Ok(())
}

/// Gives the size of the largest pieces that fit at `next`, and where they go: as far as that size is the largest.
fn batch(next: u64, end: u64, largest: usize) -> Option<(usize, Vec<Gfn>)> {
    let fits = |&index: &usize| {
        let size = 1_u64 << ORDERS[index];
        next.is_multiple_of(size) && end - next >= size
    };
    let index = (largest..ORDERS.len()).find(fits)?;
    let limit = match index.checked_sub(1).filter(|larger| *larger >= largest) {
        Some(larger) => next.next_multiple_of(1 << ORDERS[larger]),
        None => end,
    };
    let limit = if limit == next { end } else { limit.min(end) };
    let count = ((limit - next) >> ORDERS[index]).min(BATCH[index]);
    Some((index, (0..count).map(|piece| Gfn(next + (piece << ORDERS[index]))).collect()))
}

/// Says how much memory is missing.
fn no_memory<H: Host>(host: &H, wanted_kib: u64) -> Error {
    let free_pages = host.control().physinfo().map_or(0, |info| info.free_pages);
    Error::NoMemory { wanted_kib, free_kib: free_pages * PAGE_SIZE as u64 / 1024 }
}

/// Writes bytes into the guest, and makes them visible to it.
pub(crate) async fn load<H: Host>(
    host: &H,
    domid: Domid,
    address: u64,
    bytes: &[u8],
    interrupt: &Interrupt,
) -> Result<()> {
    let mut at = address;
    for chunk in bytes.chunks(CHUNK) {
        host.control().write_memory(domid, at, chunk).map_err(Error::hypercall("write into the domain"))?;
        at += chunk.len() as u64;
        host.pause().await;
        interrupt.check()?;
    }
    flush(host, domid, &Region { base: address, size: bytes.len() as u64 })
}

/// Copies a file, of which the name is given too, into the guest, and makes it visible to it.
pub(crate) async fn load_file<H: Host>(
    host: &H,
    domid: Domid,
    place: &Region,
    (path, file): (&str, &H::Source),
    interrupt: &Interrupt,
) -> Result<()> {
    let mut buffer = alloc::vec![0; CHUNK];
    let mut done = 0;
    while done < place.size {
        let count = usize::try_from(place.size - done).unwrap_or(CHUNK).min(CHUNK);
        let chunk = &mut buffer[..count];
        let failed = |message| Error::File { path: path.into(), message };
        file.read_at(done, chunk).await.map_err(failed)?;
        host.control()
            .write_memory(domid, place.base + done, chunk)
            .map_err(Error::hypercall("write into the domain"))?;
        done += count as u64;
        interrupt.check()?;
    }
    flush(host, domid, place)
}

fn flush<H: Host>(host: &H, domid: Domid, region: &Region) -> Result<()> {
    let first = region.base / PAGE_SIZE as u64;
    let end = (region.base + region.size).div_ceil(PAGE_SIZE as u64);
    let flushed = host.control().flush(domid, Gfn(first), end - first);
    flushed.map_err(Error::hypercall("clean the domain's memory from the caches"))
}
