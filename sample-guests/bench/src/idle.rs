//! What a guest that does nothing costs beside its own memory.

use alloc::vec::Vec;
use core::time::Duration;

use guest_sdk::{
    abi::{
        Domid, Errno, Gfn, PAGE_SIZE,
        arch::{gic, layout},
        domctl::{CreateDomain, cdf},
    },
    exec,
    hypercall::{domctl, memory, sysctl},
};

use crate::{Failure, report};

/// What each guest has, and how many share what is allotted to several at once.
const MEMORY: u64 = if cfg!(target_pointer_width = "64") { 64 << 20 } else { 32 << 20 };
const GUESTS: u64 = (768 << 20) / MEMORY;
/// Memory is given in extents of this order.
const ORDER: u32 = 9;
const EXTENT: u64 = (PAGE_SIZE as u64) << ORDER;
/// What a toolstack sets aside for the tables of a guest of that size: one for each 2 MiB, and a few.
const TABLES: u64 = (MEMORY / EXTENT + 5) * PAGE_SIZE as u64;

/// Makes guests as a toolstack does, up to what would be loaded, and measures what memory is left.
pub async fn run() -> Result<(), Failure> {
    let before = free_memory().await?;
    let mut made = Vec::new();
    let all = (0..GUESTS).try_for_each(|_| make().map(|domid| made.push(domid)));
    let after = free_memory().await?;
    for domid in made {
        domctl::destroy(domid)?;
    }
    all?;
    report("idle", GUESTS, before - after - GUESTS * MEMORY);
    Ok(())
}

/// Free memory, asked for when this CPU had nothing to do for a moment: then hypervisors take what they need themselves.
async fn free_memory() -> Result<u64, Errno> {
    exec::sleep(Duration::from_millis(1)).await;
    sysctl::free_memory()
}

fn make() -> Result<Domid, Errno> {
    let mut config = CreateDomain {
        flags: cdf::HVM | cdf::HAP,
        max_vcpus: 1,
        max_evtchn_port: 1023,
        max_grant_frames: -1,
        max_maptrack_frames: -1,
        grant_opts: 1,
        ..CreateDomain::default()
    };
    config.arch.gic_version = gic::NATIVE;
    let (domid, _) = domctl::create(None, &config)?;
    domctl::max_vcpus(domid, 1)?;
    domctl::max_mem(domid, MEMORY / 1024 + 1024)?;
    domctl::set_paging_mempool_size(domid, TABLES)?;
    let first = layout::RAM0_BASE / PAGE_SIZE as u64;
    let gfns: Vec<Gfn> = (0..MEMORY / EXTENT).map(|n| Gfn(first + (n << ORDER))).collect();
    match memory::populate_physmap(domid, &gfns, ORDER, 0)? {
        given if given == gfns.len() => Ok(domid),
        _ => Err(Errno::ENOMEM),
    }
}
