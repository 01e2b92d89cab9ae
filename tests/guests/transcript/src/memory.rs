//! memory_op.

use alloc::vec::Vec;

use guest_sdk::abi::{
    Domid, Gfn, GuestHandle,
    hypercall::MEMORY_OP,
    memory::{
        AcquireResource, AddToPhysmap, AddToPhysmapBatch, MemoryDomain, MemoryReservation, PodTarget,
        RemoveFromPhysmap, mapspace, op, resource,
    },
};
use zerocopy::IntoBytes;

use crate::{
    calls::Call,
    field,
    scratch::{HOLE, MEMORY},
    transcript::Transcript,
    values::{DOMIDS, FEW, FRAMES, WORDS},
};

/// Makes all calls.
pub fn walk(t: &mut Transcript) {
    numbers(t);
    sizes(t);
    reservations(t);
    physmap(t);
    batch(t);
    resources(t);
}

fn call(command: u32) -> impl Fn(usize) -> Call + 'static {
    move |at| Call(MEMORY_OP, [command as usize, at, 0, 0, 0])
}

/// Commands that there are not, and those that are not for ARM.
fn numbers(t: &mut Transcript) {
    for command in (0..64).chain([64, 128, 0x7fff_ffff, 0xffff_ffff]) {
        // The rest with arguments that mean something.
        let known = [op::MAXIMUM_RAM_PAGE, op::GET_SHARING_FREED_PAGES, op::GET_SHARING_SHARED_PAGES];
        if command != op::MAXIMUM_RAM_PAGE {
            t.call("memory_op null", MEMORY_OP, [command as usize, 0, 0, 0, 0]);
        }
        if !known.contains(&command) {
            t.call("memory_op nowhere", MEMORY_OP, [command as usize, 0x1000, 0, 0, 0]);
        }
    }
}

fn sizes(t: &mut Transcript) {
    let operations = [
        ("current_reservation", op::CURRENT_RESERVATION),
        ("maximum_reservation", op::MAXIMUM_RESERVATION),
        ("maximum_gpfn", op::MAXIMUM_GPFN),
    ];
    for (name, command) in operations {
        let base = MemoryDomain { domid: Domid::SELF };
        t.operation(name, call(command)).field(field!(MemoryDomain, domid), DOMIDS).run_with_pointers(&base);
    }
    for (name, command) in [("set_pod_target", op::SET_POD_TARGET), ("get_pod_target", op::GET_POD_TARGET)] {
        let base = PodTarget { domid: Domid::SELF, target_pages: 1, ..Default::default() };
        t.operation(name, call(command)).field(field!(PodTarget, domid), DOMIDS).run_with_pointers(&base);
    }
}

/// Frames beyond the memory of any board that this runs on.
const BEYOND: u64 = 0x9_0000;

fn reservations(t: &mut Transcript) {
    let scratch = t.scratch;
    let near: [Gfn; 4] = core::array::from_fn(|i| scratch.gfn(HOLE + i));
    let base = MemoryReservation {
        extent_start: scratch.handle(),
        nr_extents: 1,
        domid: Domid::SELF,
        ..Default::default()
    };
    let handles = [0, 1, 0x1000, scratch.data() as u64 + 4, scratch.page(3) as u64 - 8, u64::MAX, 1 << 32];
    let extents = [0, 1, 2, 4, 5, 1 << 26, (1 << 26) + 1, 1 << 31, 1 << 32, u64::MAX];
    let orders = [0, 1, 2, 9, 10, 11, 18, 19, 20, 31, 32, 33, 63, 64, 0xff, 0xffff_ffff];
    let flags = [
        0,
        1,
        31,
        32,
        33,
        40,
        63,
        64,
        0xff,
        0x100,
        0x200,
        0xff00,
        1 << 16,
        1 << 17,
        1 << 18,
        1 << 19,
        1 << 31,
    ];
    for (name, command) in [
        ("populate_physmap", op::POPULATE_PHYSMAP),
        ("decrease_reservation", op::DECREASE_RESERVATION),
        ("increase_reservation", op::INCREASE_RESERVATION),
    ] {
        t.data = near.as_bytes().to_vec();
        let give_back = move |_: &Transcript| (HOLE..HOLE + 4).for_each(|page| scratch.give_back(page));
        let mut operation = t
            .operation(name, call(command))
            .field(field!(MemoryReservation, extent_start), &handles)
            .field(field!(MemoryReservation, nr_extents), &extents)
            .field(field!(MemoryReservation, domid), DOMIDS)
            .undo(give_back);
        if command == op::INCREASE_RESERVATION {
            // Frames wherever there were some.
            operation = operation.hide_data();
        }
        operation.run_with_pointers(&base);
        // Begun at a later extent.
        t.operation(name, call(command | 1 << op::EXTENT_SHIFT)).undo(give_back).hide_data().run(&base);
        t.operation(name, call(command | 2 << op::EXTENT_SHIFT)).undo(give_back).hide_data().run(&base);

        t.data = Gfn(BEYOND).as_bytes().to_vec();
        let operation = t
            .operation(name, call(command))
            .field(field!(MemoryReservation, extent_order), &orders)
            .field(field!(MemoryReservation, mem_flags), &flags)
            .hide_data()
            .undo(move |_| scratch.give_back_from(BEYOND));
        operation.run_with_pointers(&base);
    }
    t.data.clear();
    t.operation("claim_pages", call(op::CLAIM_PAGES))
        .field(field!(MemoryReservation, extent_start), &handles)
        .field(field!(MemoryReservation, nr_extents), &[0, 1, 1 << 20, 1 << 26, 1 << 31, 1 << 32, u64::MAX])
        .field(field!(MemoryReservation, domid), DOMIDS)
        .field(field!(MemoryReservation, extent_order), &orders)
        .field(field!(MemoryReservation, mem_flags), &flags)
        .undo(move |_| {
            [Domid::SELF, Domid(0), Domid(1)].into_iter().for_each(|dom| scratch.claim_nothing(dom))
        })
        .run_with_pointers(&MemoryReservation { extent_start: GuestHandle::NULL, ..base });
}

fn physmap(t: &mut Transcript) {
    let scratch = t.scratch;
    let frames = [scratch.gfn(HOLE + 1).0, scratch.gfn(MEMORY).0];
    let frames = [&frames[..], FRAMES].concat();
    let base = AddToPhysmap {
        domid: Domid::SELF,
        space: mapspace::SHARED_INFO,
        gpfn: scratch.gfn(HOLE),
        ..Default::default()
    };
    let remove = move |_: &Transcript| (HOLE..HOLE + 2).for_each(|page| scratch.unmap(page));
    let indexes =
        [0, 1, 2, 31, 32, 63, 64, 0x7fff_ffff, 0x8000_0000, 0x8000_0001, 0xffff_ffff, 1 << 32, u64::MAX];
    for (name, space) in [
        ("add_to_physmap grant_table", mapspace::GRANT_TABLE),
        ("add_to_physmap gmfn", mapspace::GMFN),
        ("add_to_physmap gmfn_range", mapspace::GMFN_RANGE),
        ("add_to_physmap foreign", mapspace::GMFN_FOREIGN),
        ("add_to_physmap dev_mmio", mapspace::DEV_MMIO),
        ("add_to_physmap 6", 6),
        ("add_to_physmap ffffffff", u32::MAX),
    ] {
        t.operation(name, call(op::ADD_TO_PHYSMAP))
            .field(field!(AddToPhysmap, domid), DOMIDS)
            .field(field!(AddToPhysmap, idx), &indexes)
            .field(field!(AddToPhysmap, size), &[0, 1, 0xffff])
            .undo(remove)
            .run_with_pointers(&AddToPhysmap { space, ..base });
    }
    t.operation("remove_from_physmap", call(op::REMOVE_FROM_PHYSMAP))
        .field(field!(RemoveFromPhysmap, domid), DOMIDS)
        .field(field!(RemoveFromPhysmap, gpfn), &frames)
        .undo(move |_| scratch.populate(MEMORY))
        .run_with_pointers(&RemoveFromPhysmap {
            domid: Domid::SELF,
            gpfn: scratch.gfn(HOLE),
            ..Default::default()
        });
}

fn batch(t: &mut Transcript) {
    let scratch = t.scratch;
    const IDXS: usize = 0;
    const GPFNS: usize = 64;
    const ERRS: usize = 128;
    let mut data = vec_of(&[0_u64, 1, 2, 3, u64::MAX, 1 << 32, 0, 0]);
    data.extend_from_slice((0..8).map(|i| scratch.gfn(HOLE + i)).collect::<Vec<_>>().as_bytes());
    t.data = data;
    let at = |offset: usize| GuestHandle::new((scratch.data() + offset) as u64);
    let at32 = |offset: usize| GuestHandle::new((scratch.data() + offset) as u64);
    let gfns = |offset: usize| GuestHandle::new((scratch.data() + offset) as u64);
    let handles = [0, 1, 0x1000, scratch.page(3) as u64 - 4, u64::MAX, 1 << 32];
    for (name, space) in [
        ("batch shared_info", mapspace::SHARED_INFO),
        ("batch grant_table", mapspace::GRANT_TABLE),
        ("batch gmfn", mapspace::GMFN),
        ("batch gmfn_range", mapspace::GMFN_RANGE),
        ("batch foreign", mapspace::GMFN_FOREIGN),
        ("batch dev_mmio", mapspace::DEV_MMIO),
        ("batch 6", 6),
    ] {
        let base = AddToPhysmapBatch {
            domid: Domid::SELF,
            space: space as u16,
            size: 2,
            foreign_domid: Domid(0),
            idxs: at(IDXS),
            gpfns: gfns(GPFNS),
            errs: at32(ERRS),
        };
        // Debian's Xen for 64-bit ARM walks the tables of DOMID_IO, which has none, and that is its end.
        let fatal = t.on_arm64 && t.me == Domid(0) && space == mapspace::GMFN_FOREIGN;
        let owners: Vec<u64> =
            DOMIDS.iter().copied().filter(|&id| !(fatal && id == Domid::IO.0.into())).collect();
        t.operation(name, call(op::ADD_TO_PHYSMAP_BATCH))
            .field(field!(AddToPhysmapBatch, domid), DOMIDS)
            .field(field!(AddToPhysmapBatch, size), &[0, 1, 5, 8])
            .field(field!(AddToPhysmapBatch, foreign_domid), &owners)
            .field(field!(AddToPhysmapBatch, idxs), &handles)
            .field(field!(AddToPhysmapBatch, gpfns), &handles)
            .field(field!(AddToPhysmapBatch, errs), &handles)
            .undo(move |_| (HOLE..HOLE + 8).for_each(|page| scratch.unmap(page)))
            .run_with_pointers(&base);
        t.operation(name, call(op::ADD_TO_PHYSMAP_BATCH | 1 << op::EXTENT_SHIFT))
            .undo(move |_| (HOLE..HOLE + 8).for_each(|page| scratch.unmap(page)))
            .run(&base);
    }
    t.data.clear();
}

fn vec_of<T: IntoBytes + zerocopy::Immutable>(list: &[T]) -> Vec<u8> {
    list.as_bytes().to_vec()
}

fn resources(t: &mut Transcript) {
    let scratch = t.scratch;
    t.data = (0..8).map(|i| scratch.gfn(HOLE + i)).collect::<Vec<_>>().as_bytes().to_vec();
    let base = AcquireResource {
        domid: Domid::SELF,
        kind: resource::GRANT_TABLE,
        nr_frames: 1,
        frame_list: scratch.handle(),
        ..Default::default()
    };
    let lists = [0, 1, 0x1000, scratch.page(3) as u64 - 4, u64::MAX, 1 << 32];
    for (name, base) in [
        ("acquire_resource", base),
        ("acquire_resource size", AcquireResource { frame_list: GuestHandle::NULL, nr_frames: 0, ..base }),
        ("acquire_resource of 1", AcquireResource { domid: Domid(1), ..base }),
        (
            "acquire_resource size of 1",
            AcquireResource { domid: Domid(1), frame_list: GuestHandle::NULL, nr_frames: 0, ..base },
        ),
    ] {
        t.operation(name, call(op::ACQUIRE_RESOURCE))
            .field(field!(AcquireResource, domid), DOMIDS)
            .field(field!(AcquireResource, kind), &[0, 1, 2, 3, 0xffff])
            .field(field!(AcquireResource, id), FEW)
            .field(field!(AcquireResource, nr_frames), WORDS)
            .field(field!(AcquireResource, pad), &[1])
            .field(
                field!(AcquireResource, frame),
                &[0, 1, 2, 31, 32, 63, 64, 65, 0xffff_ffff, 1 << 32, u64::MAX],
            )
            .field(field!(AcquireResource, frame_list), &lists)
            .undo(move |_| (HOLE..HOLE + 8).for_each(|page| scratch.unmap(page)))
            .run_with_pointers(&base);
    }
    t.data.clear();
}
