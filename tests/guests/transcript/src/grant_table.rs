//! grant_table_op.

use guest_sdk::abi::{
    Domid, Gref,
    grant_table::{
        CacheFlush, Copy, CopyPtr, EntryV1, GetStatusFrames, GetVersion, GrantHandle, MapGrantRef, QuerySize,
        SetVersion, SetupTable, SwapGrantRef, Transfer, UnmapAndReplace, UnmapGrantRef, cache, gntcopy,
        gntmap, gtf, op,
    },
    hypercall::{GRANT_TABLE_OP, MEMORY_OP},
    memory::{AddToPhysmap, mapspace},
};
use zerocopy::IntoBytes;

use crate::{
    calls::{self, Call},
    field,
    scratch::{HOLE, MEMORY, Scratch},
    transcript::Transcript,
    values::{DOMIDS, FEW, FRAMES, WORDS},
};

/// Where the table is seen.
const TABLE: usize = HOLE + 20;
/// Where grants are mapped.
const MAPPED: usize = HOLE + 2;

/// Makes all calls.
pub fn walk(t: &mut Transcript) {
    numbers(t);
    table(t);
    entries(t.scratch, t.me);
    map(t);
    copy(t);
    rest(t);
}

fn call(command: u32) -> impl Fn(usize) -> Call + 'static {
    move |at| Call(GRANT_TABLE_OP, [command as usize, at, 1, 0, 0])
}

fn numbers(t: &mut Transcript) {
    for command in (0..20).chain([0x1000, 0x1001, 0x7fff_ffff, 0xffff_ffff]) {
        t.call("gnttab none", GRANT_TABLE_OP, [command, 0x1000, 0, 0, 0]);
        t.call("gnttab null", GRANT_TABLE_OP, [command, 0, 1, 0, 0]);
        t.call("gnttab nowhere", GRANT_TABLE_OP, [command, 0x1000, 1, 0, 0]);
        t.call("gnttab many", GRANT_TABLE_OP, [command, 0x1000, 0x8000_0000, 0, 0]);
    }
}

fn table(t: &mut Transcript) {
    let scratch = t.scratch;
    let me = Domid::SELF;
    let lists = [0, 0x1000, scratch.page(3) as u64 - 4, u64::MAX, 1 << 32];
    t.operation("setup_table", call(op::SETUP_TABLE))
        .field(field!(SetupTable, dom), DOMIDS)
        .field(field!(SetupTable, nr_frames), WORDS)
        .field(field!(SetupTable, frame_list), &lists)
        .run_with_pointers(&SetupTable {
            dom: me,
            nr_frames: 1,
            frame_list: scratch.handle(),
            ..Default::default()
        });
    t.operation("query_size", call(op::QUERY_SIZE))
        .field(field!(QuerySize, dom), DOMIDS)
        .run_with_pointers(&QuerySize { dom: me, ..Default::default() });
    t.operation("set_version", call(op::SET_VERSION))
        .field(field!(SetVersion, version), FEW)
        .run_with_pointers(&SetVersion { version: 1 });
    t.operation("get_version", call(op::GET_VERSION))
        .field(field!(GetVersion, dom), DOMIDS)
        .run_with_pointers(&GetVersion { dom: me, version: 9, ..Default::default() });
    t.operation("get_status_frames", call(op::GET_STATUS_FRAMES))
        .field(field!(GetStatusFrames, dom), DOMIDS)
        .field(field!(GetStatusFrames, nr_frames), WORDS)
        .field(field!(GetStatusFrames, frame_list), &lists)
        .run_with_pointers(&GetStatusFrames {
            dom: me,
            nr_frames: 1,
            frame_list: scratch.handle(),
            ..Default::default()
        });
    let add = AddToPhysmap {
        domid: me,
        space: mapspace::GRANT_TABLE,
        gpfn: scratch.gfn(TABLE),
        ..Default::default()
    };
    t.operation("add_to_physmap grant_table", move |at| Call(MEMORY_OP, [7, at, 0, 0, 0])).run(&add);
    t.operation("setup_table mapped", call(op::SETUP_TABLE)).run(&SetupTable {
        dom: me,
        nr_frames: 2,
        frame_list: scratch.handle(),
        ..Default::default()
    });
}

/// Entries of each kind.
const ENTRIES: core::ops::RangeInclusive<u64> = 8..=18;

fn entries(scratch: Scratch, me: Domid) {
    let frame = |page| scratch.gfn(page).0 as u32;
    let entry = |flags, domid, frame| EntryV1 { flags, domid, frame };
    let list = [
        entry(gtf::PERMIT_ACCESS, me, frame(MEMORY)),
        entry(gtf::PERMIT_ACCESS | gtf::READONLY, me, frame(MEMORY)),
        entry(gtf::PERMIT_ACCESS, Domid(5), frame(MEMORY)),
        // No memory there.
        entry(gtf::PERMIT_ACCESS, me, frame(HOLE)),
        entry(gtf::PERMIT_ACCESS, me, u32::MAX),
        entry(gtf::ACCEPT_TRANSFER, me, frame(MEMORY)),
        entry(gtf::TRANSITIVE, me, frame(MEMORY)),
        entry(gtf::PERMIT_ACCESS, Domid::SELF, frame(MEMORY)),
        entry(gtf::PERMIT_ACCESS | gtf::SUB_PAGE, me, frame(MEMORY)),
        entry(gtf::PERMIT_ACCESS | gtf::PWT | gtf::PCD | gtf::PAT, me, frame(MEMORY)),
        entry(gtf::PERMIT_ACCESS, me, frame(MEMORY + 1)),
    ];
    calls::store(scratch.page(TABLE) + 8 * *ENTRIES.start() as usize, list.as_bytes());
}

fn references() -> alloc::vec::Vec<u64> {
    [0, 1, 7]
        .into_iter()
        .chain(ENTRIES)
        .chain([19, 511, 512, 1023, 1024, 32767, 32768, 0x7fff_ffff, 0xffff_ffff])
        .collect()
}

/// Unmaps what the structure says was mapped.
fn unmap(t: &Transcript) {
    let word = |offset: usize| calls::load(t.scratch.argument() + offset);
    let at = core::mem::offset_of!(MapGrantRef, host_addr);
    let unmap = UnmapGrantRef {
        host_addr: u64::from(word(at)) | u64::from(word(at + 4)) << 32,
        handle: GrantHandle(word(core::mem::offset_of!(MapGrantRef, handle))),
        ..Default::default()
    };
    calls::store(t.scratch.argument(), unmap.as_bytes());
    t.quiet(call(op::UNMAP_GRANT_REF)(t.scratch.argument()));
    entries(t.scratch, t.me);
}

fn map(t: &mut Transcript) {
    let (scratch, me) = (t.scratch, t.me);
    let at = scratch.page(MAPPED) as u64;
    let base = MapGrantRef {
        host_addr: at,
        flags: gntmap::HOST_MAP,
        gref: Gref(8),
        dom: me,
        handle: GrantHandle(0x77),
        ..Default::default()
    };
    let flags: alloc::vec::Vec<u64> =
        (0..32).chain([1 << 16, 1 << 31, 0xffff_fffe, 2 | 1 << 5, 2 | 1 << 6]).collect();
    let places = [0, at + 1, at + 4, scratch.page(MEMORY + 2) as u64, 1 << 40, u64::MAX];
    for (name, flags_) in
        [("map_grant_ref", gntmap::HOST_MAP), ("map_grant_ref readonly", gntmap::HOST_MAP | gntmap::READONLY)]
    {
        t.operation(name, call(op::MAP_GRANT_REF))
            .field(field!(MapGrantRef, flags), &flags)
            .field(field!(MapGrantRef, gref), &references())
            .field(field!(MapGrantRef, dom), DOMIDS)
            .field(field!(MapGrantRef, host_addr), &places[..3])
            .hide(field!(MapGrantRef, dev_bus_addr))
            .hide(field!(MapGrantRef, handle))
            .undo(unmap)
            .run_with_pointers(&MapGrantRef { flags: flags_, ..base });
    }
    t.operation("map_grant_ref", call(op::MAP_GRANT_REF))
        .field(field!(MapGrantRef, host_addr), &places[4..])
        .hide(field!(MapGrantRef, dev_bus_addr))
        .hide(field!(MapGrantRef, handle))
        .undo(unmap)
        .run(&base);

    let mapping = t
        .operation("map to be unmapped", call(op::MAP_GRANT_REF))
        .hide(field!(MapGrantRef, dev_bus_addr))
        .hide(field!(MapGrantRef, handle));
    mapping.run(&base);
    let handle = GrantHandle(calls::load(scratch.argument() + core::mem::offset_of!(MapGrantRef, handle)));
    for name in ["unmap_grant_ref bad", "unmap_and_replace bad"] {
        let command = if name.starts_with("unmap_and") { op::UNMAP_AND_REPLACE } else { op::UNMAP_GRANT_REF };
        t.operation(name, call(command))
            .field(field!(UnmapGrantRef, handle), &[999, 1000, 0x7fff_ffff, 0xffff_ffff])
            .field(field!(UnmapGrantRef, host_addr), &[1, at + 1, at + 4096, u64::MAX])
            .field(field!(UnmapGrantRef, dev_bus_addr), &[1, u64::MAX])
            .run_with_pointers(&UnmapGrantRef { host_addr: 4, handle, ..Default::default() });
    }
    let replace = UnmapAndReplace { host_addr: at, handle, ..Default::default() };
    t.operation("unmap_and_replace", call(op::UNMAP_AND_REPLACE))
        .field(field!(UnmapAndReplace, new_addr), &[1, at])
        .run(&replace);
    let good = UnmapGrantRef { host_addr: at, handle, ..Default::default() };
    t.operation("unmap_grant_ref without address", call(op::UNMAP_GRANT_REF))
        .run(&UnmapGrantRef { host_addr: 0, ..good });
    for name in ["unmap_grant_ref", "unmap_grant_ref again"] {
        t.operation(name, call(op::UNMAP_GRANT_REF)).run(&good);
    }
}

fn copy(t: &mut Transcript) {
    let (scratch, me) = (t.scratch, t.me);
    let own = |page: usize| CopyPtr { u: scratch.gfn(page).0, domid: Domid::SELF, ..Default::default() };
    let granted = |entry| CopyPtr { u: entry, domid: me, ..Default::default() };
    let base = Copy { source: own(MEMORY), dest: own(MEMORY + 1), len: 16, ..Default::default() };
    let both = gntcopy::SOURCE_GREF | gntcopy::DEST_GREF;
    let offsets = [0, 1, 4079, 4080, 4081, 4095, 4096, 0xffff];
    let frames = [&[scratch.gfn(HOLE).0, scratch.gfn(1).0][..], FRAMES].concat();
    let bases = [
        ("copy", base, &frames),
        ("copy from", Copy { source: granted(8), flags: gntcopy::SOURCE_GREF, ..base }, &references()),
        ("copy to", Copy { dest: granted(18), flags: gntcopy::DEST_GREF, ..base }, &references()),
        ("copy between", Copy { source: granted(8), dest: granted(18), flags: both, ..base }, &references()),
    ];
    t.operation("copy nothing", call(op::COPY))
        .field(field!(Copy, source, CopyPtr, u), &frames)
        .field(field!(Copy, dest, CopyPtr, u), &frames)
        .run(&Copy { len: 0, ..base });
    for (name, base, places) in bases {
        t.operation(name, call(op::COPY))
            .field(field!(Copy, source, CopyPtr, u), places)
            .field(field!(Copy, source, CopyPtr, domid), DOMIDS)
            .field(field!(Copy, source, CopyPtr, offset), &offsets)
            .field(field!(Copy, dest, CopyPtr, u), places)
            .field(field!(Copy, dest, CopyPtr, domid), DOMIDS)
            .field(field!(Copy, dest, CopyPtr, offset), &offsets)
            .field(field!(Copy, len), &[0, 1, 4096, 4097, 0xffff])
            .field(field!(Copy, flags), FEW)
            .run_with_pointers(&base);
    }
}

fn rest(t: &mut Transcript) {
    let (scratch, me) = (t.scratch, t.me);
    t.operation("transfer", call(op::TRANSFER))
        .field(field!(Transfer, domid), DOMIDS)
        .field(field!(Transfer, gref), FEW)
        .run_with_pointers(&Transfer {
            mfn: scratch.gfn(MEMORY).0,
            domid: me,
            gref: Gref(13),
            ..Default::default()
        });
    t.operation("swap_grant_ref", call(op::SWAP_GRANT_REF))
        .field(field!(SwapGrantRef, ref_a), &references())
        .field(field!(SwapGrantRef, ref_b), &references())
        .undo(|t| entries(t.scratch, t.me))
        .run_with_pointers(&SwapGrantRef { ref_a: Gref(8), ref_b: Gref(9), ..Default::default() });
    let base =
        CacheFlush { a: scratch.page(MEMORY) as u64, length: 64, op: cache::CLEAN, ..Default::default() };
    t.operation("cache_flush by address", call(op::CACHE_FLUSH))
        .field(field!(CacheFlush, offset), &[0, 1, 4032, 4033, 4095, 4096, 0xffff])
        .field(field!(CacheFlush, length), &[0, 1, 4096, 4097, 0xffff])
        .field(field!(CacheFlush, op), &[0, 1, 2, 3, 4, 8, 1 << 30, 1 << 31, 1 << 31 | 1])
        .run_with_pointers(&base);
    t.operation("cache_flush by reference", call(op::CACHE_FLUSH))
        .field(field!(CacheFlush, a), &references())
        .run(&CacheFlush { a: 8, op: cache::CLEAN | cache::SOURCE_GREF, ..base });
    let beyond = [0, 0x1000, 1 << 40, u64::MAX];
    t.operation("cache_flush of nothing", call(op::CACHE_FLUSH))
        .field(field!(CacheFlush, a), &beyond)
        .run(&base);
}
