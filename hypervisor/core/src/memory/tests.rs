use alloc::{sync::Arc, vec, vec::Vec};

use xen_abi::{
    Domid, Errno, Gfn, GuestHandle, Mfn,
    memory::{
        AcquireResource, AddToPhysmap, AddToPhysmapBatch, MemoryDomain, MemoryReservation, PodTarget,
        RemoveFromPhysmap, ReservedDeviceMemoryMap, mapspace, memf, op, resource,
    },
};

use super::memory_op;
use crate::{
    Hypervisor,
    domain::{Domain, DomainConfig, Piece},
    fake::{FakeMachine, GUEST_RAM, as_guest, control_config, domain, guest_config, hypervisor},
    hypercall::{HypercallResult, Stop},
    p2m::P2mType,
    regs::Arm32Regs,
};

type Hv = Hypervisor<FakeMachine<Arm32Regs>>;
type Dom = Arc<Domain<FakeMachine<Arm32Regs>>>;

/// Where the tests keep an operation's structure, and a list for it.
const AT: u64 = GUEST_RAM.0 << 12;
const LIST: u64 = AT + 0x1000;
const FAR: u64 = 0x8_0000;

struct World {
    hv: Hv,
    dom0: Dom,
    guest: Dom,
}

/// Dom0, and a domain 1 that has 4 pages and may have 1100.
fn world() -> World {
    let hv: Hv = hypervisor(4096, 1);
    let dom0 = domain(&hv, 0, control_config(), 8);
    let guest = domain(&hv, 1, guest_config(), 4);
    guest.account.set_limit(1100);
    World { hv, dom0, guest }
}

impl World {
    fn call<T>(&self, caller: &Dom, command: u32, op: &T) -> HypercallResult
    where
        T: zerocopy::IntoBytes + zerocopy::Immutable,
    {
        as_guest(&self.hv, caller, |cur| {
            cur.write(AT, op).unwrap();
            memory_op(cur, [command.into(), AT, 0, 0, 0])
        })
    }

    fn list<T>(&self, caller: &Dom, items: &[T])
    where
        T: zerocopy::IntoBytes + zerocopy::Immutable,
    {
        as_guest(&self.hv, caller, |cur| {
            for (index, item) in (0..).zip(items) {
                cur.write_item(GuestHandle::new(LIST), index, item).unwrap();
            }
        });
    }

    fn reserve(&self, caller: &Dom, command: u32, op: MemoryReservation, gfns: &[u64]) -> HypercallResult {
        self.list(caller, gfns);
        self.call(caller, command, &MemoryReservation { extent_start: GuestHandle::new(LIST), ..op })
    }

    fn lookup(&self, domain: &Dom, gfn: u64) -> Option<(Mfn, P2mType)> {
        domain.p2m(self.hv.mem()).lookup(Gfn(gfn)).map(|mapping| (mapping.mfn, mapping.kind))
    }
}

fn extents(domid: Domid, nr_extents: u64, extent_order: u32) -> MemoryReservation {
    MemoryReservation { domid, nr_extents, extent_order, ..Default::default() }
}

fn fails(errno: Errno) -> HypercallResult {
    Err(Stop::Failed(errno))
}

#[test]
fn memory_is_populated_and_given_back() {
    let world = world();
    let tables = || world.guest.p2m(world.hv.mem()).pool().used();
    let free = world.hv.frames.free() + tables();
    let op = extents(Domid(1), 2, 9);
    assert_eq!(world.reserve(&world.dom0, op::POPULATE_PHYSMAP, op, &[FAR, FAR + 512]), Ok(2));
    assert_eq!(world.guest.account.owned(), 4 + 1024);
    assert_eq!(world.lookup(&world.guest, FAR + 1023).unwrap().1, P2mType::RamRw);
    let op = extents(Domid::SELF, 3, 0);
    let gone = [FAR, FAR + 5, FAR + 1023];
    assert_eq!(world.reserve(&world.guest, op::DECREASE_RESERVATION, op, &gone), Ok(3));
    assert_eq!(world.guest.account.owned(), 4 + 1021);
    assert!(gone.iter().all(|gfn| world.lookup(&world.guest, *gfn).is_none()));
    assert!(world.lookup(&world.guest, FAR + 1).is_some());
    let op = extents(Domid(1), 1, 9);
    assert_eq!(world.reserve(&world.dom0, op::DECREASE_RESERVATION, op, &[FAR]), Ok(0));
    assert_eq!(world.reserve(&world.dom0, op::DECREASE_RESERVATION, op, &[FAR + 4]), Ok(0));
    assert_eq!(world.guest.account.owned(), 4 + 1020, "up to the hole");
    let rest: Vec<u64> = (FAR..FAR + 1024).filter(|gfn| *gfn != FAR + 4 && !gone.contains(gfn)).collect();
    for chunk in rest.chunks(400) {
        let op = extents(Domid::SELF, chunk.len() as u64, 0);
        let done = world.reserve(&world.guest, op::DECREASE_RESERVATION, op, chunk).unwrap();
        assert!(done <= chunk.len() as u64);
    }
    assert_eq!(world.guest.account.owned(), 4);
    // Only tables are left of it.
    assert_eq!(world.hv.frames.free() + tables(), free);
}

#[test]
fn no_frame_number_is_too_large_for_giving_back() {
    let world = world();
    for gfn in [(1 << 28) - 1, 1 << 28, u64::MAX - 512, u64::MAX - 511, u64::MAX - 1, u64::MAX] {
        for order in [0, 9] {
            let op = extents(Domid::SELF, 1, order);
            let done = world.reserve(&world.guest, op::DECREASE_RESERVATION, op, &[gfn]);
            assert_eq!(done, Ok(0), "{gfn:#x} {order}");
        }
    }
    assert_eq!(world.guest.account.owned(), 4);
}

#[test]
fn the_answer_is_how_many_extents_were_done() {
    let world = world();
    let populate = |op, gfns: &[u64]| world.reserve(&world.guest, op::POPULATE_PHYSMAP, op, gfns);
    // The limit of 1100 pages, the class's order, a frame beyond the address space, a list that ends.
    assert_eq!(populate(extents(Domid::SELF, 3, 9), &[FAR, FAR + 512, FAR + 1024]), Ok(2));
    assert_eq!(populate(extents(Domid::SELF, 1, 10), &[FAR]), Ok(0));
    assert_eq!(populate(extents(Domid::SELF, 2, 0), &[FAR + 2000, 1 << 28]), Ok(1));
    assert_eq!(world.guest.account.owned(), 4 + 1024 + 1, "what could not be mapped was not kept");
    let op =
        MemoryReservation { extent_start: GuestHandle::new(AT + 4 * 4096 - 8), ..extents(Domid::SELF, 2, 0) };
    assert_eq!(world.call(&world.guest, op::POPULATE_PHYSMAP, &op), Ok(1));
    for op in [
        extents(Domid::SELF, 1, 19),
        extents(Domid::SELF, 1, u32::MAX),
        extents(Domid::SELF, 0, 0),
        extents(Domid::SELF, u64::MAX, 0),
        extents(Domid(0), 1, 0),
        extents(Domid(77), 1, 0),
        extents(Domid::XEN, 1, 0),
        MemoryReservation { mem_flags: memf::POPULATE_ON_DEMAND, ..extents(Domid::SELF, 1, 0) },
        MemoryReservation {
            mem_flags: 2 << memf::NODE_SHIFT | memf::EXACT_NODE_REQUEST,
            ..extents(Domid::SELF, 1, 0)
        },
        MemoryReservation { mem_flags: 12, ..extents(Domid::SELF, 1, 0) },
    ] {
        let owned = world.guest.account.owned();
        assert_eq!(populate(op, &[FAR + 3000]), Ok(0), "{op:?}");
        assert_eq!(world.guest.account.owned(), owned);
    }
    let op = MemoryReservation { mem_flags: 1 << memf::NODE_SHIFT | 40, ..extents(Domid::SELF, 1, 0) };
    assert_eq!(populate(op, &[FAR + 3000]), Ok(1));
}

#[test]
fn a_bad_pointer_does_nothing() {
    let world = world();
    as_guest(&world.hv, &world.guest, |cur| {
        for at in [0, 0xffff_fff0, u64::MAX] {
            for command in [op::INCREASE_RESERVATION, op::DECREASE_RESERVATION, op::POPULATE_PHYSMAP] {
                assert_eq!(memory_op(cur, [command.into(), at, 0, 0, 0]), Ok(0));
            }
            for command in [
                op::CURRENT_RESERVATION,
                op::ADD_TO_PHYSMAP,
                op::ADD_TO_PHYSMAP_BATCH,
                op::REMOVE_FROM_PHYSMAP,
                op::ACQUIRE_RESOURCE,
                op::CLAIM_PAGES,
                op::SET_POD_TARGET,
                op::GET_VNUMAINFO,
            ] {
                assert_eq!(memory_op(cur, [command.into(), at, 0, 0, 0]), fails(Errno::EFAULT), "{command}");
            }
        }
    });
}

#[test]
fn long_lists_stop_and_go_on() {
    let world = world();
    world.hv.machine.set_interrupt_waiting(true);
    let op = extents(Domid::SELF, 3, 0);
    let first = world.reserve(&world.guest, op::POPULATE_PHYSMAP, op, &[FAR, FAR + 1, FAR + 2]);
    let command = u64::from(op::POPULATE_PHYSMAP | 1 << op::EXTENT_SHIFT);
    assert_eq!(first, Err(Stop::Preempted([command, AT, 0, 0, 0])));
    as_guest(&world.hv, &world.guest, |cur| {
        let mut args = [command, AT, 0, 0, 0];
        while let Err(Stop::Preempted(again)) = memory_op(cur, args) {
            args = again;
        }
        assert_eq!(args[0], u64::from(op::POPULATE_PHYSMAP | 2 << op::EXTENT_SHIFT));
        // Progress that cannot be is answered as it came.
        let forged = u64::from(op::POPULATE_PHYSMAP) | 99 << op::EXTENT_SHIFT;
        assert_eq!(memory_op(cur, [forged, AT, 0, 0, 0]), Ok(99));
        for command in [op::MAXIMUM_RAM_PAGE, op::CURRENT_RESERVATION, op::CLAIM_PAGES, op::EXCHANGE] {
            let forged = u64::from(command) | 1 << op::EXTENT_SHIFT;
            assert_eq!(memory_op(cur, [forged, AT, 0, 0, 0]), fails(Errno::EINVAL));
        }
        for command in [op::ADD_TO_PHYSMAP, op::ADD_TO_PHYSMAP_BATCH] {
            let forged = u64::from(command) | 0x1_0000 << op::EXTENT_SHIFT;
            assert_eq!(memory_op(cur, [forged, AT, 0, 0, 0]), fails(Errno::EDOM));
        }
    });
    assert_eq!(world.guest.account.owned(), 7);
}

#[test]
fn a_direct_mapped_domain_gets_its_own_frames_back() {
    let hv: Hv = hypervisor(1024, 1);
    let mut config = control_config();
    config.direct_mapped = true;
    let dom0 = domain(&hv, 0, config, 8);
    let guest = domain(&hv, 1, guest_config(), 4);
    let world = World { hv, dom0, guest };
    let (mfn, _) = world.lookup(&world.dom0, GUEST_RAM.0 + 5).unwrap();
    let foreign = world.lookup(&world.guest, GUEST_RAM.0).unwrap().0;
    let one = extents(Domid::SELF, 1, 0);
    let populate = |gfn| world.reserve(&world.dom0, op::POPULATE_PHYSMAP, one, &[gfn]);
    assert_eq!(populate(mfn.0), Ok(1));
    assert_eq!(world.reserve(&world.dom0, op::DECREASE_RESERVATION, one, &[mfn.0]), Ok(1));
    assert_eq!(world.lookup(&world.dom0, mfn.0), None);
    assert_eq!((world.hv.frames.owner(mfn), world.dom0.account.owned()), (Some(Domid(0)), 8));
    assert_eq!(populate(mfn.0), Ok(1));
    assert_eq!(world.lookup(&world.dom0, mfn.0), Some((mfn, P2mType::RamRw)));
    for other in [foreign.0, world.hv.frames.end().0, 5, u64::MAX] {
        assert_eq!(populate(other), Ok(0), "{other:#x}");
    }
}

#[test]
fn a_domain_keeps_what_was_set_aside_for_it() {
    let world_with = |set_aside| {
        let hv: Hv = hypervisor(1024, 1);
        let dom0 = domain(&hv, 0, control_config(), 8);
        let guest = domain(&hv, 2, DomainConfig { set_aside, ..guest_config() }, 4);
        World { hv, dom0, guest }
    };
    // Its frames, each as if it had been set aside.
    let world = world_with(vec![]);
    let piece = |gfn| Piece { gfn, mfn: world.lookup(&world.guest, gfn).unwrap().0.0, frames: 1 };
    let world = world_with((GUEST_RAM.0..GUEST_RAM.0 + 4).map(piece).collect());
    assert!(world.guest.keeps_memory() && !world.guest.is_direct_mapped());
    let gfn = GUEST_RAM.0 + 3;
    let (mfn, _) = world.lookup(&world.guest, gfn).unwrap();
    let (one, two) = (extents(Domid::SELF, 1, 0), extents(Domid::SELF, 1, 1));
    assert_eq!(world.reserve(&world.guest, op::DECREASE_RESERVATION, one, &[gfn]), Ok(1));
    assert_eq!(world.lookup(&world.guest, gfn), None);
    assert_eq!((world.hv.frames.owner(mfn), world.guest.account.owned()), (Some(Domid(2)), 4));
    for (extents, at) in [(one, gfn + 1), (one, mfn.0), (one, u64::MAX), (two, gfn), (two, gfn - 2)] {
        assert_eq!(world.reserve(&world.guest, op::POPULATE_PHYSMAP, extents, &[at]), Ok(0), "{at:#x}");
    }
    assert_eq!(world.reserve(&world.guest, op::POPULATE_PHYSMAP, one, &[gfn]), Ok(1));
    assert_eq!(world.lookup(&world.guest, gfn), Some((mfn, P2mType::RamRw)));
}

#[test]
fn reservations_are_told_to_those_who_may_know() {
    let world = world();
    let ask = |caller: &Dom, command, domid| world.call(caller, command, &MemoryDomain { domid });
    assert_eq!(ask(&world.guest, op::CURRENT_RESERVATION, Domid::SELF), Ok(4));
    assert_eq!(ask(&world.dom0, op::MAXIMUM_RESERVATION, Domid(1)), Ok(1100));
    assert_eq!(ask(&world.guest, op::MAXIMUM_GPFN, Domid(1)), Ok(GUEST_RAM.0 + 3));
    for command in [op::CURRENT_RESERVATION, op::MAXIMUM_RESERVATION, op::MAXIMUM_GPFN] {
        assert_eq!(ask(&world.guest, command, Domid(0)), fails(Errno::EPERM));
        assert_eq!(ask(&world.dom0, command, Domid(9)), fails(Errno::ESRCH));
    }
    assert_eq!(world.call(&world.guest, op::MAXIMUM_RAM_PAGE, &0u64), Ok(world.hv.frames.end().0));
}

#[test]
fn memory_beyond_the_limit_is_not_had_by_any_way() {
    let world = world();
    world.guest.account.set_limit(6);
    let op = MemoryReservation { extent_start: GuestHandle::NULL, ..extents(Domid::SELF, 100, 0) };
    assert_eq!(world.call(&world.guest, op::INCREASE_RESERVATION, &op), Ok(2));
    assert_eq!(world.call(&world.guest, op::INCREASE_RESERVATION, &op), Ok(0));
    assert_eq!(world.guest.account.owned(), 6);
}

#[test]
fn the_shared_page_is_in_one_place_at_a_time() {
    let world = world();
    let add = |idx, gpfn| {
        let op =
            AddToPhysmap { domid: Domid::SELF, space: mapspace::SHARED_INFO, idx, gpfn: Gfn(gpfn), size: 0 };
        world.call(&world.guest, op::ADD_TO_PHYSMAP, &op)
    };
    let remove = |gpfn| {
        let op = RemoveFromPhysmap { domid: Domid::SELF, gpfn: Gfn(gpfn), ..Default::default() };
        world.call(&world.guest, op::REMOVE_FROM_PHYSMAP, &op)
    };
    let shared = Some((world.guest.shared_info, P2mType::RamRw));
    assert_eq!(add(1, FAR), fails(Errno::EINVAL));
    assert_eq!(add(0, u64::MAX), fails(Errno::EINVAL));
    assert_eq!(add(0, 1 << 28), fails(Errno::EINVAL));
    assert_eq!(add(0, FAR), Ok(0));
    assert_eq!(world.lookup(&world.guest, FAR), shared);
    assert_eq!(add(0, FAR + 1), fails(Errno::EBUSY));
    assert_eq!(add(0, FAR), fails(Errno::EBUSY));
    assert_eq!(remove(FAR), Ok(0));
    assert_eq!(remove(FAR), fails(Errno::ENOENT));
    // Over RAM, whose page stays the domain's and comes back in no way.
    assert_eq!(add(0, GUEST_RAM.0 + 3), Ok(0));
    assert_eq!(world.lookup(&world.guest, GUEST_RAM.0 + 3), shared);
    assert_eq!(world.guest.account.owned(), 4);
    let one = extents(Domid::SELF, 1, 0);
    assert_eq!(world.reserve(&world.guest, op::DECREASE_RESERVATION, one, &[GUEST_RAM.0 + 3]), Ok(1));
    assert_eq!(world.hv.frames.references(world.guest.shared_info), 1);
    assert_eq!(add(0, FAR), Ok(0));
}

#[test]
fn grant_frames_are_mapped_by_number_and_grow_the_table() {
    let world = world();
    let add = |idx, gpfn| {
        let op =
            AddToPhysmap { domid: Domid::SELF, space: mapspace::GRANT_TABLE, idx, gpfn: Gfn(gpfn), size: 0 };
        world.call(&world.guest, op::ADD_TO_PHYSMAP, &op)
    };
    assert_eq!(add(0, FAR), Ok(0));
    assert_eq!(add(3, FAR + 3), Ok(0));
    assert_eq!(world.guest.grants.lock().len(), 4);
    let third = world.guest.grants.lock().frame(3).unwrap();
    assert_eq!(world.lookup(&world.guest, FAR + 3), Some((third, P2mType::RamRw)));
    assert_eq!(add(0, FAR + 9), fails(Errno::EBUSY));
    for idx in [4, u64::from(u32::MAX), 1 << 32, u64::MAX, mapspace::GRANT_TABLE_STATUS] {
        assert_eq!(add(idx, FAR + 9), fails(Errno::EINVAL), "{idx:#x}");
    }
    let batch = AddToPhysmapBatch { domid: Domid(1), space: 99, size: 1, ..Default::default() };
    assert_eq!(world.call(&world.guest, op::ADD_TO_PHYSMAP_BATCH, &batch), fails(Errno::EFAULT));
}

#[test]
fn spaces_that_arm_lacks_are_refused() {
    let world = world();
    for (space, errno) in [
        (mapspace::GMFN, Errno::ENOSYS),
        (mapspace::GMFN_FOREIGN, Errno::ENOSYS),
        (mapspace::DEV_MMIO, Errno::EACCES),
        (77, Errno::ENOSYS),
    ] {
        let op = AddToPhysmap { domid: Domid::SELF, space, gpfn: Gfn(FAR), ..Default::default() };
        assert_eq!(world.call(&world.guest, op::ADD_TO_PHYSMAP, &op), fails(errno), "{space}");
    }
    let range = |size, idx| {
        let op = AddToPhysmap { domid: Domid::SELF, space: 3, size, idx, gpfn: Gfn(FAR) };
        world.call(&world.guest, op::ADD_TO_PHYSMAP, &op)
    };
    assert_eq!(range(0, 0), Ok(0), "none of them");
    assert_eq!(range(1, 0), fails(Errno::ENOSYS));
    assert_eq!(range(1, u64::MAX), fails(Errno::EOVERFLOW));
    let range = AddToPhysmapBatch { domid: Domid::SELF, space: 3, size: 1, ..Default::default() };
    assert_eq!(world.call(&world.guest, op::ADD_TO_PHYSMAP_BATCH, &range), fails(Errno::EOPNOTSUPP));
}

/// Runs a batch; gives the result and the errors of the elements.
fn batch(
    world: &World,
    caller: &Dom,
    space: u32,
    foreign: Domid,
    pairs: &[(u64, u64)],
) -> (HypercallResult, Vec<i32>) {
    let (idxs, gpfns, errs) = (LIST, LIST + 0x400, LIST + 0x800);
    as_guest(&world.hv, caller, |cur| {
        for (index, (idx, gpfn)) in (0..).zip(pairs) {
            cur.write(idxs + index * 8, idx).unwrap();
            cur.write(gpfns + index * 8, gpfn).unwrap();
            cur.write(errs + index * 4, &1i32).unwrap();
        }
    });
    let op = AddToPhysmapBatch {
        domid: Domid::SELF,
        space: space as u16,
        size: pairs.len() as u16,
        foreign_domid: foreign,
        idxs: GuestHandle::new(idxs),
        gpfns: GuestHandle::new(gpfns),
        errs: GuestHandle::new(errs),
    };
    let result = world.call(caller, op::ADD_TO_PHYSMAP_BATCH, &op);
    let errors = as_guest(&world.hv, caller, |cur| {
        (0..pairs.len() as u64).map(|index| cur.read(errs + index * 4).unwrap()).collect()
    });
    (result, errors)
}

#[test]
fn frames_of_another_domain_are_mapped_with_a_reference() {
    let world = world();
    let (mfn, _) = world.lookup(&world.guest, GUEST_RAM.0 + 1).unwrap();
    world.guest.p2m(world.hv.mem()).map(Gfn(FAR + 50), mfn, 1, P2mType::RamRo).unwrap();
    let pairs = [
        (GUEST_RAM.0 + 1, FAR),
        (FAR + 50, FAR + 1),
        (0x1234, FAR + 2),
        (GUEST_RAM.0, u64::MAX),
        (u64::MAX, FAR),
    ];
    let (result, errors) = batch(&world, &world.dom0, mapspace::GMFN_FOREIGN, Domid(1), &pairs);
    let invalid = -(Errno::EINVAL.number() as i32);
    assert_eq!((result, &errors[..]), (Ok(0), &[0, 0, invalid, invalid, invalid][..]));
    assert_eq!(world.lookup(&world.dom0, FAR), Some((mfn, P2mType::ForeignRw)));
    assert_eq!(world.lookup(&world.dom0, FAR + 1), Some((mfn, P2mType::ForeignRo)));
    assert_eq!(world.hv.frames.references(mfn), 3);
    for gpfn in [FAR, FAR + 1] {
        let op = RemoveFromPhysmap { domid: Domid::SELF, gpfn: Gfn(gpfn), ..Default::default() };
        assert_eq!(world.call(&world.dom0, op::REMOVE_FROM_PHYSMAP, &op), Ok(0));
    }
    assert_eq!(world.hv.frames.references(mfn), 1);
}

#[test]
fn only_those_in_control_map_others_memory() {
    let world = world();
    let other = domain(&world.hv, 2, guest_config(), 2);
    let error = |caller: &Dom, foreign| {
        let (result, errors) = batch(&world, caller, mapspace::GMFN_FOREIGN, foreign, &[(GUEST_RAM.0, FAR)]);
        assert_eq!(result, Ok(0));
        -errors[0] as u32
    };
    assert_eq!(error(&other, Domid(1)), Errno::EPERM.number());
    assert_eq!(error(&other, Domid(0)), Errno::EPERM.number());
    assert_eq!(error(&world.dom0, Domid(0)), Errno::ESRCH.number(), "by its number");
    assert_eq!(error(&world.dom0, Domid::SELF), Errno::EINVAL.number(), "its own");
    assert_eq!(error(&world.dom0, Domid(5)), Errno::ESRCH.number());
    for nobody in [Domid::XEN, Domid::IO] {
        assert_eq!(error(&world.dom0, nobody), Errno::EINVAL.number());
        assert_eq!(error(&other, nobody), Errno::EPERM.number());
    }
    // What is not the other's own RAM is not to be had through it.
    let (mfn, _) = world.lookup(&world.guest, GUEST_RAM.0).unwrap();
    other.p2m(world.hv.mem()).map(GUEST_RAM, mfn, 1, P2mType::GrantRw).unwrap();
    assert_eq!(error(&world.dom0, Domid(2)), Errno::EINVAL.number());
}

#[test]
fn device_memory_is_mapped_where_it_is_allowed_and_passed_over_elsewhere() {
    let world = world();
    world.dom0.resources.lock().iomem.insert(0x9000, 0x9010).unwrap();
    let ram = world.lookup(&world.guest, GUEST_RAM.0).unwrap().0;
    world.dom0.resources.lock().iomem.insert(ram.0, ram.0 + 1).unwrap();
    let pairs = [(0x9001, FAR), (0x9010, FAR + 1), (u64::MAX, FAR + 2), (ram.0, FAR + 3)];
    let (result, errors) = batch(&world, &world.dom0, mapspace::DEV_MMIO, Domid(0), &pairs);
    assert_eq!((result, &errors[..]), (Ok(0), &[0; 4][..]));
    assert_eq!(world.lookup(&world.dom0, FAR), Some((Mfn(0x9001), P2mType::MmioCacheable)));
    assert!((1..4).all(|n| world.lookup(&world.dom0, FAR + n).is_none()));
    let (result, _) = batch(&world, &world.dom0, mapspace::DEV_MMIO, Domid(1), &pairs);
    assert_eq!(result, fails(Errno::EOPNOTSUPP));
    let (result, _) = batch(&world, &world.guest, mapspace::DEV_MMIO, Domid(0), &pairs);
    assert_eq!(result, fails(Errno::EACCES));
}

#[test]
fn nothing_is_mapped_from_or_into_a_dying_domain() {
    let world = world();
    assert!(!world.hv.destroy_domain(&world.guest, &mut || true));
    while world.guest.p2m(world.hv.mem()).lookup(GUEST_RAM).is_some() {
        assert!(!world.hv.destroy_domain(&world.guest, &mut || true));
    }
    let (_, errors) = batch(&world, &world.dom0, mapspace::GMFN_FOREIGN, Domid(1), &[(GUEST_RAM.0, FAR)]);
    assert_eq!(errors, [-(Errno::EINVAL.number() as i32)]);
    let op = extents(Domid(1), 1, 0);
    assert_eq!(world.reserve(&world.dom0, op::POPULATE_PHYSMAP, op, &[FAR]), Ok(0));
    let op =
        AddToPhysmap { domid: Domid(1), space: mapspace::SHARED_INFO, gpfn: Gfn(FAR), ..Default::default() };
    assert_eq!(world.call(&world.dom0, op::ADD_TO_PHYSMAP, &op), fails(Errno::EINVAL));
}

fn acquire(world: &World, caller: &Dom, op: AcquireResource) -> (HypercallResult, AcquireResource) {
    let result = world.call(caller, op::ACQUIRE_RESOURCE, &op);
    (result, as_guest(&world.hv, caller, |cur| cur.read(AT).unwrap()))
}

#[test]
fn a_grant_table_is_acquired_before_the_guest_runs() {
    let world = world();
    let all = AcquireResource { domid: Domid(1), kind: resource::GRANT_TABLE, ..Default::default() };
    let (result, op) = acquire(&world, &world.dom0, all);
    assert_eq!((result, op.nr_frames), (Ok(0), 4));
    let list = GuestHandle::new(LIST);
    world.list(&world.dom0, &[FAR, FAR + 1]);
    let some = AcquireResource { nr_frames: 2, frame: 1, frame_list: list, ..all };
    assert_eq!(acquire(&world, &world.dom0, some).0, Ok(0));
    assert_eq!(world.guest.grants.lock().len(), 3);
    let mfn = world.guest.grants.lock().frame(2).unwrap();
    assert_eq!(world.lookup(&world.dom0, FAR + 1), Some((mfn, P2mType::ForeignRw)));
    assert_eq!(world.hv.frames.references(mfn), 2);
    // The mapping outlives the domain.
    assert!(world.hv.destroy_domain(&world.guest, &mut || false));
    assert!(world.hv.domains.get(Domid(1)).is_none());
    assert_eq!(world.hv.frames.references(mfn), 1);
    let free = world.hv.frames.free();
    let op = RemoveFromPhysmap { domid: Domid::SELF, gpfn: Gfn(FAR + 1), ..Default::default() };
    assert_eq!(world.call(&world.dom0, op::REMOVE_FROM_PHYSMAP, &op), Ok(0));
    assert_eq!(world.hv.frames.free(), free + 1);
}

#[test]
fn wrong_resources_are_refused() {
    let world = world();
    let list = GuestHandle::new(LIST);
    world.list(&world.dom0, &[FAR, FAR + 1]);
    world.list(&world.guest, &[FAR, FAR + 1]);
    let good = AcquireResource {
        domid: Domid(1),
        kind: resource::GRANT_TABLE,
        nr_frames: 2,
        frame_list: list,
        ..Default::default()
    };
    let answer = |op| acquire(&world, &world.dom0, op).0;
    assert_eq!(answer(AcquireResource { domid: Domid(0), ..good }), fails(Errno::EPERM));
    assert_eq!(answer(AcquireResource { domid: Domid::SELF, ..good }), fails(Errno::ESRCH));
    assert_eq!(answer(AcquireResource { pad: 1, ..good }), fails(Errno::EINVAL));
    assert_eq!(answer(AcquireResource { frame: 1 << 32, ..good }), fails(Errno::EINVAL));
    assert_eq!(answer(AcquireResource { frame: u64::MAX, ..good }), fails(Errno::EINVAL));
    assert_eq!(answer(AcquireResource { kind: resource::IOREQ_SERVER, ..good }), fails(Errno::EINVAL));
    assert_eq!(answer(AcquireResource { kind: resource::VMTRACE_BUF, ..good }), fails(Errno::EINVAL));
    assert_eq!(answer(AcquireResource { kind: 3, ..good }), fails(Errno::EOPNOTSUPP));
    assert_eq!(answer(AcquireResource { id: resource::GRANT_TABLE_ID_STATUS, ..good }), fails(Errno::EINVAL));
    assert_eq!(answer(AcquireResource { nr_frames: 0, ..good }), fails(Errno::EINVAL));
    assert_eq!(answer(AcquireResource { frame_list: GuestHandle::NULL, ..good }), fails(Errno::EINVAL));
    assert_eq!(answer(AcquireResource { frame: 4, ..good }), fails(Errno::EINVAL));
    assert_eq!(answer(AcquireResource { frame: 3, ..good }), fails(Errno::EIO), "the second is beyond");
    let unprivileged = AcquireResource { domid: Domid(0), ..good };
    assert_eq!(acquire(&world, &world.guest, unprivileged).0, fails(Errno::EPERM));
}

#[test]
fn claims_are_the_control_domains() {
    let world = world();
    let claim = |caller: &Dom, op| world.call(caller, op::CLAIM_PAGES, &op);
    assert_eq!(claim(&world.guest, extents(Domid(1), 100, 0)), fails(Errno::EPERM));
    assert_eq!(claim(&world.dom0, extents(Domid(1), 100, 1)), fails(Errno::EINVAL));
    assert_eq!(claim(&world.dom0, extents(Domid(9), 100, 0)), fails(Errno::EINVAL));
    assert_eq!(claim(&world.dom0, extents(Domid(1), 1 << 40, 0)), fails(Errno::EINVAL));
    assert_eq!(claim(&world.dom0, extents(Domid(1), 100, 0)), Ok(0));
    assert_eq!(world.hv.frames.claimed(), 96);
    assert_eq!(claim(&world.dom0, extents(Domid(1), 0, 0)), Ok(0));
    assert_eq!(world.hv.frames.claimed(), 0);
}

#[test]
fn a_memory_target_is_met_by_telling_what_there_is() {
    let world = world();
    let op = PodTarget { domid: Domid(1), target_pages: 2, ..Default::default() };
    assert_eq!(world.call(&world.guest, op::SET_POD_TARGET, &op), fails(Errno::EPERM));
    assert_eq!(world.call(&world.dom0, op::SET_POD_TARGET, &op), Ok(0));
    let answer: PodTarget = as_guest(&world.hv, &world.dom0, |cur| cur.read(AT).unwrap());
    assert_eq!((answer.tot_pages, answer.pod_entries), (4, 0));
}

#[test]
fn operations_that_arm_lacks_are_unknown() {
    let world = world();
    for command in [
        op::MACHPHYS_MFN_LIST,
        op::MEMORY_MAP,
        op::MACHINE_MEMORY_MAP,
        op::MACHPHYS_MAPPING,
        op::SET_MEMORY_MAP,
        op::PAGING_OP,
        op::ACCESS_OP,
        op::SHARING_OP,
        29,
        63,
    ] {
        assert_eq!(world.call(&world.dom0, command, &0u64), fails(Errno::ENOSYS), "{command}");
    }
    assert_eq!(world.call(&world.guest, op::GET_SHARING_FREED_PAGES, &0u64), Ok(0));
    assert_eq!(world.call(&world.guest, op::EXCHANGE, &0u64), fails(Errno::EINVAL));
    let map = |flags| ReservedDeviceMemoryMap { flags, nr_entries: 5, ..Default::default() };
    assert_eq!(world.call(&world.guest, op::RESERVED_DEVICE_MEMORY_MAP, &map(2)), fails(Errno::EINVAL));
    assert_eq!(world.call(&world.guest, op::RESERVED_DEVICE_MEMORY_MAP, &map(1)), Ok(0));
    assert_eq!(as_guest(&world.hv, &world.guest, |cur| cur.read::<[u32; 2]>(AT)), Ok([1, 0]), "none");
    assert_eq!(world.call(&world.guest, op::GET_VNUMAINFO, &0x7ff0u64), fails(Errno::EOPNOTSUPP));
}
