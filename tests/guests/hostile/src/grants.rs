//! Grants of the guest to itself: entries that change while they are used, and as many uses as there can be.

use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use guest_sdk::{
    abi::{
        Domid, Gref, PAGE_SIZE,
        arch::layout,
        grant_table::{self as gnttab, *},
        hypercall::GRANT_TABLE_OP,
        memory::mapspace,
    },
    hypercall::sched::yield_cpu,
    smp,
};
use log::error;

use crate::{
    calls::{self, Tally},
    edge::{self, Edge},
    events, memory,
};

/// Which page of the table is ours: the program's own grants are in the first.
const FRAME: u32 = 1;
/// The entry that changes, and one that does not.
const CHANGING: u32 = FRAME * ENTRIES_PER_FRAME;
const STEADY: u32 = CHANGING + 1;
const ROUNDS: u32 = 3000;
/// Mappings that are held at the same time.
const MOST: usize = 3000;

/// Where the other vCPU finds the entry.
static ENTRY: AtomicUsize = AtomicUsize::new(0);
static FRAMES: [AtomicUsize; 2] = [const { AtomicUsize::new(0) }; 2];
static DONE: AtomicBool = AtomicBool::new(false);
static STOPPED: AtomicBool = AtomicBool::new(false);

fn op<T>(tally: &mut Tally, command: u32, structure: &mut T) -> isize {
    tally.op(GRANT_TABLE_OP, command, structure)
}

/// Does all that.
pub fn run(edge: &Edge, vcpus: usize) -> Tally {
    let mut tally = Tally::default();
    odd(&mut tally);
    let Some(me) = events::own_id() else {
        error!("hostile: WRONG: who am I?");
        return tally;
    };
    // The page to play with is granted; the table is seen behind a page that is given back for it.
    let at = edge.hole().0;
    if memory::add(&mut tally, mapspace::GRANT_TABLE, FRAME.into(), at) != 0 {
        error!("hostile: WRONG: no page of the grant table");
        return tally;
    }
    let table = edge.end();
    write_entry(table, CHANGING, gtf::PERMIT_ACCESS, me, edge.page().0);
    write_entry(table, STEADY, gtf::PERMIT_ACCESS, me, edge.page().0);
    ENTRY.store(entry(table, CHANGING), Ordering::Release);
    FRAMES[0].store(edge.page().0 as usize, Ordering::Release);
    FRAMES[1].store(at as usize, Ordering::Release);
    if vcpus > 1 && smp::start(1, flip).is_ok() {
        for _ in 0..ROUNDS {
            use_entry(&mut tally, me);
        }
        DONE.store(true, Ordering::Release);
        // It may be about to write to the table, which goes further down.
        while !STOPPED.load(Ordering::Acquire) {
            tally.refused += u32::from(yield_cpu().is_err());
        }
    }
    write_entry(table, STEADY, gtf::PERMIT_ACCESS, me, edge.page().0);
    many(&mut tally, me);
    // The table goes while an entry of it is in use, and comes back.
    let held = map(&mut tally, me, STEADY);
    memory::give_back(edge.hole(), 0);
    let more = map(&mut tally, me, STEADY);
    memory::add(&mut tally, mapspace::GRANT_TABLE, FRAME.into(), at);
    for handle in held.into_iter().chain(more) {
        unmap(&mut tally, handle);
    }
    tally
}

fn entry(table: usize, gref: u32) -> usize {
    table + (gref % ENTRIES_PER_FRAME) as usize * size_of::<EntryV1>()
}

fn write_entry(table: usize, gref: u32, flags: u16, to: Domid, frame: u64) {
    edge::write(entry(table, gref) + 4, frame as u32);
    edge::write(entry(table, gref), u32::from(flags) | u32::from(to.0) << 16);
}

/// Sizes, references and versions that there are not.
fn odd(tally: &mut Tally) {
    for number in [0, 1, 2, 7, 64, 65, 4096, 0x7fff_ffff, u32::MAX] {
        let mut setup = SetupTable { dom: Domid::SELF, nr_frames: number, ..Default::default() };
        setup.frame_list = guest_sdk::abi::GuestHandle::new(calls::scratch() as u64);
        // More frames than that would be written behind the scratch pages.
        if !(128..4096).contains(&number) {
            op(tally, gnttab::op::SETUP_TABLE, &mut setup);
        }
        op(tally, gnttab::op::SET_VERSION, &mut SetVersion { version: number });
        let swap = SwapGrantRef { ref_a: Gref(number), ref_b: Gref(0), ..Default::default() };
        op(tally, gnttab::op::SWAP_GRANT_REF, &mut { swap });
        op(
            tally,
            gnttab::op::UNMAP_GRANT_REF,
            &mut UnmapGrantRef { handle: GrantHandle(number), ..Default::default() },
        );
        for a in [0, layout::GICD_BASE, 0x4000_0000, u64::MAX] {
            for length in [0, 1, 4096, u16::MAX] {
                let flush = CacheFlush { a, offset: number as u16, length, op: number };
                op(tally, gnttab::op::CACHE_FLUSH, &mut { flush });
            }
        }
    }
    let version = SetVersion { version: 1 };
    op(tally, gnttab::op::SET_VERSION, &mut { version });
}

/// Where grants are mapped: no memory is there, nor anything else.
const MAPPED_AT: u64 = layout::GNTTAB_BASE + layout::GNTTAB_SIZE - PAGE_SIZE as u64;

fn map(tally: &mut Tally, dom: Domid, gref: u32) -> Option<GrantHandle> {
    let mut map = MapGrantRef {
        host_addr: MAPPED_AT,
        flags: gntmap::HOST_MAP,
        gref: Gref(gref),
        dom,
        ..Default::default()
    };
    let done = op(tally, gnttab::op::MAP_GRANT_REF, &mut map) == 0 && map.status == GrantStatus::OKAY;
    done.then_some(map.handle)
}

fn unmap(tally: &mut Tally, handle: GrantHandle) {
    for host_addr in [0, MAPPED_AT, MAPPED_AT] {
        op(
            tally,
            gnttab::op::UNMAP_GRANT_REF,
            &mut UnmapGrantRef { host_addr, handle, ..Default::default() },
        );
    }
}

fn use_entry(tally: &mut Tally, me: Domid) {
    if let Some(handle) = map(tally, me, CHANGING) {
        unmap(tally, handle);
    }
    let granted = CopyPtr { u: CHANGING.into(), domid: me, ..Default::default() };
    let steady = CopyPtr { u: STEADY.into(), domid: me, offset: 2048, ..Default::default() };
    for (source, dest) in [(granted, steady), (steady, granted)] {
        let copy = Copy {
            source,
            dest,
            len: 64,
            flags: gntcopy::SOURCE_GREF | gntcopy::DEST_GREF,
            ..Default::default()
        };
        op(tally, gnttab::op::COPY, &mut { copy });
    }
    let swap = SwapGrantRef { ref_a: Gref(CHANGING), ref_b: Gref(CHANGING + 7), ..Default::default() };
    op(tally, gnttab::op::SWAP_GRANT_REF, &mut { swap });
    op(tally, gnttab::op::SWAP_GRANT_REF, &mut { swap });
}

/// What the other vCPU does: changes the entry, all of it, all the time.
fn flip() {
    let entry = ENTRY.load(Ordering::Acquire);
    let (page, table) = (FRAMES[0].load(Ordering::Acquire) as u32, FRAMES[1].load(Ordering::Acquire) as u32);
    let me = edge::read(entry) & 0xffff_0000;
    let frames = [page, table, (layout::GICC_BASE >> 12) as u32, 0, u32::MAX];
    let words = [me | 1, me | 5, 1, 0x7ff0_0001, me | 0x19, me | 2, me | 3, u32::MAX, 0];
    let mut n = 0;
    while !DONE.load(Ordering::Acquire) {
        edge::write(entry + 4, frames[n % frames.len()]);
        edge::write(entry, words[n % words.len()]);
        n += 1;
    }
    STOPPED.store(true, Ordering::Release);
}

/// Many uses of one entry, of which each has to be ended.
fn many(tally: &mut Tally, me: Domid) {
    let handles: Vec<_> = core::iter::from_fn(|| map(tally, me, STEADY)).take(MOST).collect();
    for handle in handles {
        // All of them at one address: only one can be ended by it.
        unmap(tally, handle);
    }
}
