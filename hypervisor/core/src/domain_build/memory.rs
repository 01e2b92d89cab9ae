//! Memory of a domain whose frame numbers are the machine's: a few large blocks, low ones first.

use alloc::vec::Vec;
use core::ops::Range;

use guest_board::{Region, dom0::merged};
use xen_abi::{Gfn, Mfn, PAGE_SHIFT};

use super::BuildError;
use crate::{
    domain::Domain,
    frames::{Account, MAX_ORDER, Mem, Wanted},
    machine::Machine,
    p2m::P2mType,
};

/// log2 of the frames in 4 MiB: the least there has to be in one piece where the kernel goes.
const FIRST_ORDER: u32 = 10;
/// What devices of 32 bits and AArch32 without LPAE reach.
const LOW_END: u64 = 1 << (32 - PAGE_SHIFT);

/// Puts `bytes` of memory on an account. The kernel goes into the first bank; the others follow in
/// order.
///
/// Nobody used this RAM before, so it is handed over as it is.
pub(super) fn allocate<'e, M: Machine>(
    mem: Mem<'_, M>,
    account: &Account,
    bytes: u64,
) -> Result<Vec<Region>, BuildError<'e>> {
    let pages = u32::try_from(bytes >> PAGE_SHIFT).map_err(|_| BuildError::Memory(bytes))?;
    if pages == 0 {
        return Err(BuildError::Memory(bytes));
    }
    account.set_limit(pages);
    let first = first_block(mem, pages)
        .and_then(|(at, order)| take(mem, account, 1 << order, order, at.0..at.0 + (1 << order)));
    let (start, order) = first.ok_or_else(|| too_little(mem, bytes, pages))?;
    let mut blocks = Vec::from([block(start, order)]);
    let mut left = pages - (1 << order);
    while left > 0 {
        let low = take(mem, account, left, 0, start.0..LOW_END);
        let next = low.or_else(|| take(mem, account, left, 0, start.0..u64::MAX));
        let (next, order) = next.ok_or(BuildError::Memory(bytes))?;
        blocks.push(block(next, order));
        left -= 1 << order;
    }
    // Those that follow each other directly make one bank.
    Ok(merged(blocks))
}

/// Maps the banks at their machine addresses.
pub(super) fn map<'e, M: Machine>(
    mem: Mem<'_, M>,
    domain: &Domain<M>,
    banks: &[Region],
) -> Result<(), BuildError<'e>> {
    let mut p2m = domain.p2m(mem);
    for bank in banks {
        let (first, frames) = (bank.base >> PAGE_SHIFT, bank.size >> PAGE_SHIFT);
        p2m.map(Gfn(first), Mfn(first), frames, P2mType::RamRw)?;
    }
    Ok(())
}

/// Where the first block is to be: the largest, as low as possible, with enough above it. (Linux for
/// AArch32 cannot use what lies below where it is loaded.)
fn first_block<M: Machine>(mem: Mem<'_, M>, pages: u32) -> Option<(Mfn, u32)> {
    let largest = pages.ilog2().min(MAX_ORDER);
    let candidates = (largest.min(FIRST_ORDER)..=largest).rev().filter_map(|order| {
        let start = mem.frames.lowest_free(order, &(0..LOW_END))?;
        Some((start, order))
    });
    candidates.into_iter().find(|(start, _)| mem.frames.free_from(*start) >= pages.into())
}

fn too_little<'e, M: Machine>(mem: Mem<'_, M>, bytes: u64, pages: u32) -> BuildError<'e> {
    if pages > mem.frames.free() {
        return BuildError::Memory(bytes);
    }
    BuildError::LowMemory(1 << (pages.ilog2().min(FIRST_ORDER) + PAGE_SHIFT))
}

/// The largest block of at most `pages` pages, as low as there is one.
fn take<M: Machine>(
    mem: Mem<'_, M>,
    account: &Account,
    pages: u32,
    smallest: u32,
    within: Range<u64>,
) -> Option<(Mfn, u32)> {
    let largest = pages.ilog2().min(MAX_ORDER);
    (smallest..=largest).rev().find_map(|order| {
        let wanted = Wanted { order, within: within.clone(), unscrubbed: true, lowest: true };
        Some((mem.frames.alloc_for(mem.machine, account, &wanted)?, order))
    })
}

fn block(start: Mfn, order: u32) -> Region {
    Region { base: start.0 << PAGE_SHIFT, size: 1 << (order + PAGE_SHIFT) }
}
