use alloc::{sync::Arc, vec::Vec};

use xen_abi::{Domid, Errno, Gfn, Gref, GuestHandle, Mfn, PAGE_SIZE, grant_table::*};

use super::*;
use crate::{
    Hypervisor,
    domain::Domain,
    fake::{FakeMachine, GUEST_RAM, as_guest, control_config, domain, guest_config, hypervisor},
    machine::CacheOp,
    p2m::{P2mType, Ram},
    regs::Arm32Regs,
};

type Hv = Hypervisor<FakeMachine<Arm32Regs>>;
type Dom = Arc<Domain<FakeMachine<Arm32Regs>>>;

/// Where the tests keep the lists of an operation, and where they map.
const LIST: u64 = GUEST_RAM.0 << 12;
const AT: Gfn = Gfn(0x9_0000);
const HOST_MAP: u32 = gntmap::HOST_MAP;

struct World {
    hv: Hv,
    dom0: Dom,
    granter: Dom,
}

/// Dom0, and a domain 1 whose second page is to be granted.
fn world() -> World {
    let hv: Hv = hypervisor(2048, 1);
    let dom0 = domain(&hv, 0, control_config(), 8);
    let granter = domain(&hv, 1, guest_config(), 8);
    World { hv, dom0, granter }
}

impl World {
    fn granted(&self) -> (Gfn, Mfn) {
        let gfn = Gfn(GUEST_RAM.0 + 1);
        (gfn, self.granter.p2m(self.hv.mem()).lookup(gfn).unwrap().mfn)
    }

    /// Domain 1 grants its second page to dom0.
    fn grant(&self, gref: u32, flags: u16) {
        self.write_entry(gref, EntryV1 { flags, domid: Domid(0), frame: self.granted().0.0 as u32 });
    }

    fn write_entry(&self, gref: u32, entry: EntryV1) {
        let place = self.granter.grants.lock().place(Gref(gref)).unwrap();
        let word = u32::from(entry.flags) | u32::from(entry.domid.0) << 16;
        self.hv.machine.store32(place.mfn, place.offset, word);
        self.hv.machine.store32(place.mfn, place.offset + 4, entry.frame);
    }

    fn flags(&self, gref: u32) -> u16 {
        let place = self.granter.grants.lock().place(Gref(gref)).unwrap();
        self.hv.machine.load32(place.mfn, place.offset) as u16
    }

    fn references(&self) -> u32 {
        self.hv.frames.references(self.granted().1)
    }

    fn mapped(&self, gfn: Gfn) -> Option<(Mfn, P2mType)> {
        self.dom0.p2m(self.hv.mem()).lookup(gfn).map(|mapping| (mapping.mfn, mapping.kind))
    }

    fn map(&self, gref: u32, at: Gfn, flags: u32) -> MapGrantRef {
        map(&self.hv, &self.dom0, Domid(1), gref, at, flags)
    }

    fn unmap(&self, handle: GrantHandle, at: u64) -> GrantStatus {
        let op = UnmapGrantRef { host_addr: at, handle, ..Default::default() };
        let (result, op) = run(&self.hv, &self.dom0, op::UNMAP_GRANT_REF, op);
        assert_eq!(result, Ok(0));
        op.status
    }
}

/// Runs an operation on one element; gives the result and what became of the element.
fn run<T>(hv: &Hv, caller: &Dom, command: u32, op: T) -> (HypercallResult, T)
where
    T: zerocopy::FromBytes + zerocopy::IntoBytes + zerocopy::Immutable,
{
    as_guest(hv, caller, |cur| {
        cur.write(LIST, &op).unwrap();
        let result = grant_table_op(cur, [command.into(), LIST, 1, 0, 0]);
        (result, cur.read(LIST).unwrap())
    })
}

fn map(hv: &Hv, mapper: &Dom, dom: Domid, gref: u32, at: Gfn, flags: u32) -> MapGrantRef {
    let op = MapGrantRef { host_addr: at.0 << 12, flags, gref: Gref(gref), dom, ..Default::default() };
    let (result, op) = run(hv, mapper, op::MAP_GRANT_REF, op);
    assert_eq!(result, Ok(0));
    op
}

#[test]
fn a_grant_is_mapped_and_unmapped_and_nothing_is_left() {
    let world = world();
    world.grant(8, gtf::PERMIT_ACCESS);
    let op = world.map(8, AT, HOST_MAP);
    let (_, mfn) = world.granted();
    assert_eq!(op.status, GrantStatus::OKAY);
    assert_eq!(op.dev_bus_addr, mfn.0 << 12);
    assert_eq!(world.mapped(AT), Some((mfn, P2mType::GrantRw)));
    assert_eq!(world.flags(8), gtf::PERMIT_ACCESS | gtf::READING | gtf::WRITING);
    assert_eq!(world.references(), 2);

    assert_eq!(world.unmap(op.handle, AT.0 << 12), GrantStatus::OKAY);
    assert_eq!(world.mapped(AT), None);
    assert_eq!(world.flags(8), gtf::PERMIT_ACCESS);
    assert_eq!(world.references(), 1);
    assert_eq!(world.dom0.maptrack.lock().used(), 0);
    assert_eq!(world.unmap(op.handle, AT.0 << 12), GrantStatus::BAD_HANDLE);
}

#[test]
fn the_tlb_is_flushed_before_the_frame_is_let_go() {
    let world = world();
    world.grant(8, gtf::PERMIT_ACCESS);
    let op = world.map(8, AT, HOST_MAP);
    let (gfn, mfn) = world.granted();
    world.granter.p2m(world.hv.mem()).unmap(gfn, Ram::Free).unwrap();
    assert_eq!(world.hv.frames.owner(mfn), Some(Domid(1)), "kept by the mapping alone");
    world.hv.machine.log(|log| log.flushed.clear());
    world.unmap(op.handle, AT.0 << 12);
    let vmid = world.dom0.p2m(world.hv.mem()).vmid();
    assert_eq!(world.hv.machine.log(|log| log.flushed.clone()), [(vmid, Some(AT))]);
    assert_eq!(world.hv.frames.owner(mfn), None);
}

#[test]
fn a_read_only_grant_is_not_mapped_for_writing() {
    let world = world();
    world.grant(8, gtf::PERMIT_ACCESS | gtf::READONLY);
    assert_eq!(world.map(8, AT, HOST_MAP).status, GrantStatus::GENERAL_ERROR);
    assert_eq!(world.flags(8), gtf::PERMIT_ACCESS | gtf::READONLY);
    let op = world.map(8, AT, HOST_MAP | gntmap::READONLY);
    assert_eq!(op.status, GrantStatus::OKAY);
    assert_eq!(world.mapped(AT).unwrap().1, P2mType::GrantRo);
    assert_eq!(world.flags(8), gtf::PERMIT_ACCESS | gtf::READONLY | gtf::READING);
    // Nor may a hypercall write there in the caller's name.
    as_guest(&world.hv, &world.dom0, |cur| {
        assert_eq!(cur.write(AT.0 << 12, &1u32), Err(Errno::EFAULT));
        assert!(cur.read::<u32>(AT.0 << 12).is_ok());
    });
}

#[test]
fn a_read_only_page_is_not_granted_for_writing() {
    let world = world();
    let (gfn, mfn) = world.granted();
    world.granter.p2m(world.hv.mem()).map(gfn, mfn, 1, P2mType::RamRo).unwrap();
    world.grant(8, gtf::PERMIT_ACCESS);
    assert_eq!(world.map(8, AT, HOST_MAP).status, GrantStatus::BAD_PAGE);
    assert_eq!(world.flags(8), gtf::PERMIT_ACCESS);
    assert_eq!(world.map(8, AT, HOST_MAP | gntmap::READONLY).status, GrantStatus::OKAY);
}

#[test]
fn each_wrong_argument_has_its_status() {
    let world = world();
    world.grant(8, gtf::PERMIT_ACCESS);
    world.grant(9, gtf::INVALID);
    world.grant(10, gtf::PERMIT_ACCESS | gtf::SUB_PAGE);
    world.grant(11, gtf::ACCEPT_TRANSFER);
    let frame = world.granted().0.0 as u32;
    world.write_entry(12, EntryV1 { flags: gtf::PERMIT_ACCESS, domid: Domid(7), frame });
    world.write_entry(13, EntryV1 { flags: gtf::PERMIT_ACCESS, domid: Domid(0), frame: 0xdead });
    world.write_entry(14, EntryV1 { flags: gtf::PERMIT_ACCESS, domid: Domid(0), frame: u32::MAX });
    let status = |gref, flags| world.map(gref, AT, flags).status;
    assert_eq!(status(8, 0), GrantStatus::BAD_GNTREF);
    assert_eq!(status(8, gntmap::READONLY), GrantStatus::BAD_GNTREF);
    for bad in [gntmap::DEVICE_MAP, gntmap::APPLICATION_MAP, gntmap::CONTAINS_PTE, 1 << 16, 1 << 31] {
        assert_eq!(status(8, HOST_MAP | bad), GrantStatus::GENERAL_ERROR);
    }
    for gref in [512, 513, 1 << 20, u32::MAX] {
        assert_eq!(status(gref, HOST_MAP), GrantStatus::BAD_GNTREF);
    }
    for gref in [9, 10, 11, 12] {
        assert_eq!(status(gref, HOST_MAP), GrantStatus::GENERAL_ERROR, "{gref}");
    }
    for gref in [13, 14] {
        assert_eq!(status(gref, HOST_MAP), GrantStatus::BAD_PAGE, "{gref}");
    }
    for dom in [Domid::SELF, Domid(2), Domid::XEN, Domid::IO, Domid::INVALID, Domid(0xffff)] {
        let op = map(&world.hv, &world.dom0, dom, 8, AT, HOST_MAP);
        assert_eq!(op.status, GrantStatus::BAD_DOMAIN);
    }
    assert_eq!(world.map(8, Gfn(1 << 28), HOST_MAP).status, GrantStatus::GENERAL_ERROR);
    assert_eq!(world.map(8, Gfn(u64::MAX >> 12), HOST_MAP).status, GrantStatus::GENERAL_ERROR);
    assert_eq!(world.flags(8), gtf::PERMIT_ACCESS);
    assert_eq!((world.references(), world.dom0.maptrack.lock().used()), (1, 0));
}

#[test]
fn what_is_not_the_granters_own_ram_is_a_bad_page() {
    let world = world();
    let (gfn, _) = world.granted();
    let other = domain(&world.hv, 2, guest_config(), 1);
    let foreign = other.p2m(world.hv.mem()).lookup(GUEST_RAM).unwrap().mfn;
    for (mfn, kind) in
        [(foreign, P2mType::GrantRw), (foreign, P2mType::RamRw), (Mfn(0x9000), P2mType::MmioCacheable)]
    {
        world.granter.p2m(world.hv.mem()).map(gfn, mfn, 1, kind).unwrap();
        world.grant(8, gtf::PERMIT_ACCESS);
        assert_eq!(world.map(8, AT, HOST_MAP).status, GrantStatus::BAD_PAGE, "{kind:?}");
    }
}

#[test]
fn an_entry_serves_one_domain_at_a_time_and_flags_follow_all_uses() {
    let world = world();
    world.grant(8, gtf::PERMIT_ACCESS);
    let read = world.map(8, AT, HOST_MAP | gntmap::READONLY);
    let write = world.map(8, Gfn(AT.0 + 1), HOST_MAP);
    assert_eq!((read.status, write.status), (GrantStatus::OKAY, GrantStatus::OKAY));
    assert_eq!(world.references(), 3);
    // The guest breaks the rules and passes the entry on while it is used.
    let frame = world.granted().0.0 as u32;
    world.write_entry(8, EntryV1 { flags: gtf::PERMIT_ACCESS, domid: Domid(1), frame });
    let op = map(&world.hv, &world.granter, Domid(1), 8, AT, HOST_MAP);
    assert_eq!(op.status, GrantStatus::GENERAL_ERROR);
    world.grant(8, gtf::PERMIT_ACCESS | gtf::READING | gtf::WRITING);
    assert_eq!(world.unmap(write.handle, (AT.0 + 1) << 12), GrantStatus::OKAY);
    assert_eq!(world.flags(8), gtf::PERMIT_ACCESS | gtf::READING);
    assert_eq!(world.unmap(read.handle, AT.0 << 12), GrantStatus::OKAY);
    assert_eq!(world.flags(8), gtf::PERMIT_ACCESS);
    assert_eq!(world.references(), 1);
}

#[test]
fn a_frame_is_looked_up_once_for_all_mappings_of_an_entry() {
    let world = world();
    world.grant(8, gtf::PERMIT_ACCESS);
    world.map(8, AT, HOST_MAP);
    let (_, mfn) = world.granted();
    world.write_entry(8, EntryV1 { flags: gtf::PERMIT_ACCESS, domid: Domid(0), frame: GUEST_RAM.0 as u32 });
    let second = world.map(8, Gfn(AT.0 + 1), HOST_MAP);
    assert_eq!(second.dev_bus_addr, mfn.0 << 12);
}

#[test]
fn unmapping_needs_the_place_that_maps_the_grant() {
    let world = world();
    world.grant(8, gtf::PERMIT_ACCESS);
    world.grant(9, gtf::PERMIT_ACCESS);
    let op = world.map(8, AT, HOST_MAP);
    for at in [(AT.0 + 1) << 12, GUEST_RAM.0 << 12, 1 << 40, u64::MAX] {
        assert_eq!(world.unmap(op.handle, at), GrantStatus::GENERAL_ERROR, "{at:#x}");
    }
    assert_eq!(world.references(), 2);
    // Without a place nothing is unmapped and the handle stays.
    assert_eq!(world.unmap(op.handle, 0), GrantStatus::OKAY);
    assert_eq!(world.references(), 2);
    assert_eq!(world.unmap(op.handle, AT.0 << 12 | 0x123), GrantStatus::OKAY);
    for handle in [op.handle.0, 1, 100_000, u32::MAX] {
        assert_eq!(world.unmap(GrantHandle(handle), AT.0 << 12), GrantStatus::BAD_HANDLE);
    }
}

#[test]
fn a_handle_of_another_domain_is_nothing() {
    let world = world();
    world.grant(8, gtf::PERMIT_ACCESS);
    let op = world.map(8, AT, HOST_MAP);
    let unmap = UnmapGrantRef { host_addr: AT.0 << 12, handle: op.handle, ..Default::default() };
    let (_, answer) = run(&world.hv, &world.granter, op::UNMAP_GRANT_REF, unmap);
    assert_eq!(answer.status, GrantStatus::BAD_HANDLE);
    assert_eq!(world.references(), 2);
}

#[test]
fn mapping_over_a_mapping_keeps_both_alive_until_unmapped() {
    let world = world();
    world.grant(8, gtf::PERMIT_ACCESS);
    let first = world.map(8, AT, HOST_MAP);
    let second = world.map(8, AT, HOST_MAP);
    assert_eq!(world.references(), 3);
    assert_eq!(world.unmap(first.handle, AT.0 << 12), GrantStatus::OKAY);
    assert_eq!(world.unmap(second.handle, AT.0 << 12), GrantStatus::GENERAL_ERROR);
    assert_eq!(world.references(), 2);
}

#[test]
fn an_entry_that_changes_all_the_time_is_given_up() {
    let world = world();
    world.grant(8, gtf::PERMIT_ACCESS);
    world.hv.machine.fail_atomics(4);
    assert_eq!(world.map(8, AT, HOST_MAP).status, GrantStatus::OKAY);
    world.hv.machine.fail_atomics(5);
    world.grant(9, gtf::PERMIT_ACCESS);
    assert_eq!(world.map(9, Gfn(AT.0 + 1), HOST_MAP).status, GrantStatus::GENERAL_ERROR);
}

#[test]
fn two_guests_cannot_share_under_silo() {
    let world = world();
    let other = domain(&world.hv, 2, guest_config(), 8);
    let frame = world.granted().0.0 as u32;
    world.write_entry(8, EntryV1 { flags: gtf::PERMIT_ACCESS, domid: Domid(2), frame });
    let op = map(&world.hv, &other, Domid(1), 8, AT, HOST_MAP);
    assert_eq!(op.status, GrantStatus::PERMISSION_DENIED);
    let copy = Copy {
        source: CopyPtr { u: 8, domid: Domid(1), ..Default::default() },
        dest: CopyPtr { u: GUEST_RAM.0 + 1, domid: Domid::SELF, ..Default::default() },
        len: 4,
        flags: gntcopy::SOURCE_GREF,
        ..Default::default()
    };
    let (_, copy) = run(&world.hv, &other, op::COPY, copy);
    assert_eq!(copy.status, GrantStatus::PERMISSION_DENIED);
}

#[test]
fn handles_run_out_before_memory_does() {
    let world = world();
    world.grant(8, gtf::PERMIT_ACCESS);
    let limit = 4 * 256;
    for _ in 0..limit {
        assert_eq!(world.map(8, AT, HOST_MAP).status, GrantStatus::OKAY);
    }
    assert_eq!(world.map(8, AT, HOST_MAP).status, GrantStatus::NO_SPACE);
    assert_eq!(world.references(), 1 + limit);
}

#[test]
fn a_mapping_that_lacks_memory_for_tables_leaves_nothing() {
    let world = world();
    let mapper = domain(&world.hv, 2, guest_config(), 8);
    world.dom0.p2m(world.hv.mem()).pool();
    mapper.p2m(world.hv.mem()).pool().set_limit(2);
    let frame = GUEST_RAM.0 as u32;
    let place = world.dom0.grants.lock().place(Gref(8)).unwrap();
    world.hv.machine.store32(place.mfn, place.offset, u32::from(gtf::PERMIT_ACCESS) | 2 << 16);
    world.hv.machine.store32(place.mfn, place.offset + 4, frame);
    let op = map(&world.hv, &mapper, Domid(0), 8, Gfn(1 << 20), HOST_MAP);
    assert_eq!(op.status, GrantStatus::GENERAL_ERROR);
    assert_eq!(world.hv.machine.load32(place.mfn, place.offset) as u16, gtf::PERMIT_ACCESS);
    assert_eq!(mapper.maptrack.lock().used(), 0);
}

#[test]
fn lists_are_checked_and_continued() {
    let world = world();
    world.grant(8, gtf::PERMIT_ACCESS);
    as_guest(&world.hv, &world.dom0, |cur| {
        let call = |cur: &mut Current<'_, _>, command: u32, list, count: u64| {
            grant_table_op(cur, [command.into(), list, count, 0, 0])
        };
        let fails = |errno: Errno| Err(Stop::Failed(errno));
        assert_eq!(call(cur, op::MAP_GRANT_REF, LIST, 0x8000_0000), fails(Errno::EINVAL));
        assert_eq!(call(cur, op::MAP_GRANT_REF | 1 << 12, LIST, 1), fails(Errno::EINVAL));
        assert_eq!(call(cur, op::MAP_GRANT_REF, 0, 0), Ok(0));
        assert_eq!(call(cur, op::MAP_GRANT_REF, 0, 1), fails(Errno::EFAULT));
        for command in [op::MAP_GRANT_REF, op::UNMAP_GRANT_REF, op::COPY, op::CACHE_FLUSH, op::SWAP_GRANT_REF]
        {
            assert_eq!(call(cur, command, u64::MAX - 3, 1), fails(Errno::EFAULT));
            assert_eq!(call(cur, command, 0xffff_fff8, 2), fails(Errno::EFAULT));
        }
        assert_eq!(call(cur, op::DUMP_TABLE, LIST, 1), fails(Errno::ENOSYS));
        assert_eq!(call(cur, op::TRANSFER, LIST, 1), fails(Errno::EOPNOTSUPP));
        assert_eq!(call(cur, 13, LIST, 1), fails(Errno::ENOSYS));
        assert_eq!(call(cur, 0xfff, LIST, 1), fails(Errno::ENOSYS));

        for index in 0..3 {
            let op = MapGrantRef {
                host_addr: (AT.0 + index) << 12,
                flags: HOST_MAP,
                gref: Gref(8),
                dom: Domid(1),
                ..Default::default()
            };
            cur.write(LIST + index * map::SIZE, &op).unwrap();
        }
        cur.hv.machine.set_interrupt_waiting(true);
        let again = [op::MAP_GRANT_REF.into(), LIST + map::SIZE, 2, 0, 0];
        assert_eq!(call(cur, op::MAP_GRANT_REF, LIST, 3), Err(Stop::Preempted(again)));
        cur.hv.machine.set_interrupt_waiting(false);
        assert_eq!(grant_table_op(cur, again), Ok(0));
    });
    assert_eq!(world.references(), 4);
}

#[test]
fn a_long_list_is_unmapped_in_batches() {
    let world = world();
    world.grant(8, gtf::PERMIT_ACCESS);
    let handles: Vec<_> = (0..40).map(|n| world.map(8, Gfn(AT.0 + n), HOST_MAP).handle).collect();
    as_guest(&world.hv, &world.dom0, |cur| {
        for (index, handle) in (0..).zip(&handles) {
            let op = UnmapGrantRef { host_addr: (AT.0 + index) << 12, handle: *handle, ..Default::default() };
            cur.write(LIST + index * unmap::SIZE, &op).unwrap();
        }
        cur.hv.machine.log(|log| log.flushed.clear());
        cur.hv.machine.set_interrupt_waiting(true);
        let again = [op::UNMAP_GRANT_REF.into(), LIST + 32 * unmap::SIZE, 8, 0, 0];
        let first = grant_table_op(cur, [op::UNMAP_GRANT_REF.into(), LIST, 40, 0, 0]);
        assert_eq!(first, Err(Stop::Preempted(again)));
        assert_eq!(cur.hv.machine.log(|log| log.flushed.len()), 1);
        assert_eq!(grant_table_op(cur, again), Ok(0));
    });
    assert_eq!(world.references(), 1);
    assert_eq!(world.flags(8), gtf::PERMIT_ACCESS);
}

#[test]
fn a_list_that_ends_in_nothing_still_finishes_what_was_begun() {
    let world = world();
    world.grant(8, gtf::PERMIT_ACCESS);
    let op = world.map(8, AT, HOST_MAP);
    as_guest(&world.hv, &world.dom0, |cur| {
        let last = (GUEST_RAM.0 + 8) << 12;
        let at = last - unmap::SIZE;
        let unmap = UnmapGrantRef { host_addr: AT.0 << 12, handle: op.handle, ..Default::default() };
        cur.write(at, &unmap).unwrap();
        let result = grant_table_op(cur, [op::UNMAP_GRANT_REF.into(), at, 2, 0, 0]);
        assert_eq!(result, Err(Stop::Failed(Errno::EFAULT)));
    });
    assert_eq!(world.references(), 1);
    assert_eq!(world.dom0.maptrack.lock().used(), 0);
}

#[test]
fn unmap_and_replace_cannot_replace() {
    let world = world();
    world.grant(8, gtf::PERMIT_ACCESS);
    let handle = world.map(8, AT, HOST_MAP).handle;
    let mut op = UnmapAndReplace { host_addr: AT.0 << 12, new_addr: 0x5000, handle, ..Default::default() };
    let (_, answer) = run(&world.hv, &world.dom0, op::UNMAP_AND_REPLACE, op);
    assert_eq!(answer.status, GrantStatus::GENERAL_ERROR);
    op.new_addr = 0;
    let (_, answer) = run(&world.hv, &world.dom0, op::UNMAP_AND_REPLACE, op);
    assert_eq!(answer.status, GrantStatus::OKAY);
    assert_eq!(world.references(), 1);
}

fn copy(source: (u64, Domid, u16), dest: (u64, Domid, u16), len: u16, flags: u16) -> Copy {
    Copy {
        source: CopyPtr { u: source.0, domid: source.1, offset: source.2, pad: 0 },
        dest: CopyPtr { u: dest.0, domid: dest.1, offset: dest.2, pad: 0 },
        len,
        flags,
        ..Default::default()
    }
}

#[test]
fn bytes_are_copied_from_and_to_grants() {
    let world = world();
    world.grant(8, gtf::PERMIT_ACCESS);
    let (_, mfn) = world.granted();
    world.hv.machine.write_frame(mfn, 100, b"from domain 1");
    let own = GUEST_RAM.0 + 2;
    let (_, op) = run(
        &world.hv,
        &world.dom0,
        op::COPY,
        copy((8, Domid(1), 100), (own, Domid::SELF, 200), 13, gntcopy::SOURCE_GREF),
    );
    assert_eq!(op.status, GrantStatus::OKAY);
    let mut bytes = [0; 13];
    as_guest(&world.hv, &world.dom0, |cur| cur.copy_from_guest((own << 12) + 200, &mut bytes).unwrap());
    assert_eq!(&bytes, b"from domain 1");
    let back = copy((own, Domid::SELF, 200), (8, Domid(1), 4096 - 4), 4, gntcopy::DEST_GREF);
    let (_, op) = run(&world.hv, &world.dom0, op::COPY, back);
    assert_eq!(op.status, GrantStatus::OKAY);
    let mut bytes = [0; 4];
    world.hv.machine.read_frame(mfn, PAGE_SIZE - 4, &mut bytes);
    assert_eq!(&bytes, b"from");
    assert_eq!((world.flags(8), world.references()), (gtf::PERMIT_ACCESS, 1));
}

#[test]
fn a_copy_looks_at_its_entry_although_the_last_element_did() {
    let world = world();
    world.grant(8, gtf::PERMIT_ACCESS);
    let (_, mfn) = world.granted();
    world.hv.machine.write_frame(mfn, 0, b"one");
    let other = GUEST_RAM.0 + 2;
    let other_mfn = world.granter.p2m(world.hv.mem()).lookup(Gfn(other)).unwrap().mfn;
    world.hv.machine.write_frame(other_mfn, 0, b"two");
    // Dom0 may write to the table itself, by a grant: between two copies it has the entry name another
    // frame, then none.
    let table = world.granter.grants.lock().frame(0).unwrap();
    world.granter.p2m(world.hv.mem()).map(AT, table, 1, P2mType::RamRw).unwrap();
    world.write_entry(9, EntryV1 { flags: gtf::PERMIT_ACCESS, domid: Domid(0), frame: AT.0 as u32 });
    let entry = |frame: u32| EntryV1 { flags: gtf::PERMIT_ACCESS, domid: Domid(0), frame };
    let entries = [entry(other as u32), entry(0xdead)];
    let own = GUEST_RAM.0 + 3;
    let read = |at| copy((8, Domid(1), 0), (own, Domid::SELF, at), 3, gntcopy::SOURCE_GREF);
    let change = |at| copy((own, Domid::SELF, at), (9, Domid(1), 8 * 8), 8, gntcopy::DEST_GREF);
    let list = [read(0), change(100), read(3), change(108), read(6)];
    as_guest(&world.hv, &world.dom0, |cur| {
        cur.write((own << 12) + 100, &entries).unwrap();
        cur.write(LIST, &list).unwrap();
        assert_eq!(grant_table_op(cur, [op::COPY.into(), LIST, list.len() as u64, 0, 0]), Ok(0));
        let status = |n: u64| cur.read::<Copy>(LIST + n * copy::SIZE).unwrap().status;
        assert_eq!([0, 1, 2, 3].map(status), [GrantStatus::OKAY; 4]);
        assert_eq!(status(4), GrantStatus::BAD_PAGE);
        let copied: [u8; 9] = cur.read(own << 12).unwrap();
        assert_eq!(&copied, b"onetwo\0\0\0");
    });
    assert_eq!((world.references(), world.hv.frames.references(other_mfn)), (1, 1));
}

#[test]
fn each_wrong_copy_has_its_status_and_leaves_nothing() {
    let world = world();
    world.grant(8, gtf::PERMIT_ACCESS | gtf::READONLY);
    let own = GUEST_RAM.0 + 2;
    let status = |op: Copy| run(&world.hv, &world.dom0, op::COPY, op).1.status;
    let (from, to) = (gntcopy::SOURCE_GREF, gntcopy::DEST_GREF);
    let (dom1, me) = (Domid(1), Domid::SELF);
    let cases = [
        (copy((8, dom1, 0), (own, me, 0), 0, from), GrantStatus::OKAY),
        (copy((8, dom1, 4096), (own, me, 4096), 0, from), GrantStatus::OKAY),
        (copy((8, dom1, 0), (0x1234, me, 0), 0, from), GrantStatus::BAD_PAGE),
        (copy((8, dom1, 0), (own, me, 0), 4, 0), GrantStatus::PERMISSION_DENIED),
        (copy((8, dom1, 0), (own, Domid(0), 0), 4, from), GrantStatus::PERMISSION_DENIED),
        (copy((8, Domid(9), 0), (own, me, 0), 4, from), GrantStatus::BAD_DOMAIN),
        (copy((512, dom1, 0), (own, me, 0), 4, from), GrantStatus::BAD_GNTREF),
        (copy((9, dom1, 0), (own, me, 0), 4, from), GrantStatus::GENERAL_ERROR),
        (copy((own, me, 0), (8, dom1, 0), 4, to), GrantStatus::GENERAL_ERROR),
        (copy((8, dom1, 0), (0x1234, me, 0), 4, from), GrantStatus::BAD_PAGE),
        (copy((8, dom1, 0), (u64::MAX, me, 0), 4, from), GrantStatus::BAD_PAGE),
        (copy((8, dom1, 4093), (own, me, 0), 4, from), GrantStatus::BAD_COPY_ARG),
        (copy((8, dom1, 0), (own, me, 4093), 4, from), GrantStatus::BAD_COPY_ARG),
        (copy((8, dom1, 0xffff), (own, me, 0xffff), 0xffff, from), GrantStatus::BAD_COPY_ARG),
        (copy((8, dom1, 0), (own, me, 0), 4096, from), GrantStatus::OKAY),
    ];
    for (op, expected) in cases {
        assert_eq!(status(op), expected, "{op:?}");
        assert_eq!(world.flags(8), gtf::PERMIT_ACCESS | gtf::READONLY);
        assert_eq!(world.references(), 1);
    }
}

#[test]
fn overlapping_copies_within_a_page_move_bytes() {
    let world = world();
    let own = GUEST_RAM.0 + 3;
    let pattern: Vec<u8> = (0..1000).map(|n| n as u8).collect();
    for (source, dest) in [(100u16, 150u16), (150, 100), (10, 10)] {
        as_guest(&world.hv, &world.dom0, |cur| {
            cur.copy_to_guest((own << 12) + u64::from(source), &pattern).unwrap();
        });
        let op = copy((own, Domid::SELF, source), (own, Domid::SELF, dest), 1000, 0);
        assert_eq!(run(&world.hv, &world.dom0, op::COPY, op).1.status, GrantStatus::OKAY);
        let mut moved = alloc::vec![0; 1000];
        as_guest(&world.hv, &world.dom0, |cur| {
            cur.copy_from_guest((own << 12) + u64::from(dest), &mut moved).unwrap();
        });
        assert_eq!(moved, pattern);
    }
}

#[test]
fn a_table_grows_up_to_its_limit_and_tells_where_it_is_mapped() {
    let world = world();
    let list = LIST + 0x800;
    let setup = |dom, nr_frames| {
        let op = SetupTable { dom, nr_frames, frame_list: GuestHandle::new(list), ..Default::default() };
        run(&world.hv, &world.granter, op::SETUP_TABLE, op)
    };
    let frame = world.granter.grants.lock().frame(0).unwrap();
    world.granter.p2m(world.hv.mem()).map(AT, frame, 1, P2mType::RamRw).unwrap();
    world.granter.grants.lock().set_mapped_at(0, AT);
    let (result, op) = setup(Domid::SELF, 3);
    assert_eq!((result, op.status), (Ok(0), GrantStatus::OKAY));
    let gfns: [Gfn; 3] = as_guest(&world.hv, &world.granter, |cur| cur.read(list).unwrap());
    assert_eq!(gfns, [AT, Gfn::INVALID, Gfn::INVALID]);
    let query = QuerySize { dom: Domid::SELF, ..Default::default() };
    let (_, size) = run(&world.hv, &world.granter, op::QUERY_SIZE, query);
    assert_eq!((size.nr_frames, size.max_nr_frames, size.status), (3, 4, GrantStatus::OKAY));
    assert_eq!(setup(Domid::SELF, 5).1.status, GrantStatus::GENERAL_ERROR);
    assert_eq!(setup(Domid::SELF, u32::MAX).1.status, GrantStatus::GENERAL_ERROR);
    assert_eq!(setup(Domid(0), 1).1.status, GrantStatus::PERMISSION_DENIED);
    assert_eq!(setup(Domid(77), 1).1.status, GrantStatus::BAD_DOMAIN);
    let query = QuerySize { dom: Domid(0), ..Default::default() };
    let denied = run(&world.hv, &world.granter, op::QUERY_SIZE, query).1.status;
    assert_eq!(denied, GrantStatus::PERMISSION_DENIED);
}

#[test]
fn there_is_one_version() {
    let world = world();
    let set = |version| run(&world.hv, &world.granter, op::SET_VERSION, SetVersion { version });
    assert_eq!(set(1), (Ok(0), SetVersion { version: 1 }));
    assert_eq!(set(2), (Err(Stop::Failed(Errno::ENOSYS)), SetVersion { version: 1 }));
    assert_eq!(set(3).0, Err(Stop::Failed(Errno::EINVAL)));
    let get = |dom| run(&world.hv, &world.granter, op::GET_VERSION, GetVersion { dom, ..Default::default() });
    assert_eq!(get(Domid::SELF).1.version, 1);
    assert_eq!(get(Domid(0)).0, Err(Stop::Failed(Errno::EPERM)));
    assert_eq!(get(Domid(9)).0, Err(Stop::Failed(Errno::ESRCH)));
    let frames = GetStatusFrames { nr_frames: 1, dom: Domid::SELF, ..Default::default() };
    let answer = run(&world.hv, &world.granter, op::GET_STATUS_FRAMES, frames);
    assert_eq!((answer.0, answer.1.status), (Ok(0), GrantStatus::GENERAL_ERROR));
}

#[test]
fn only_idle_entries_are_swapped() {
    let world = world();
    world.grant(8, gtf::PERMIT_ACCESS);
    let swap = |a, b| {
        let op = SwapGrantRef { ref_a: Gref(a), ref_b: Gref(b), ..Default::default() };
        run(&world.hv, &world.granter, op::SWAP_GRANT_REF, op).1.status
    };
    assert_eq!(swap(8, 20), GrantStatus::OKAY);
    assert_eq!((world.flags(8), world.flags(20)), (0, gtf::PERMIT_ACCESS));
    assert_eq!(swap(20, 20), GrantStatus::OKAY);
    assert_eq!(swap(512, 20), GrantStatus::BAD_GNTREF);
    assert_eq!(swap(20, u32::MAX), GrantStatus::BAD_GNTREF);
    world.map(20, AT, HOST_MAP);
    assert_eq!(swap(20, 8), GrantStatus::EAGAIN);
    assert_eq!(swap(8, 20), GrantStatus::EAGAIN);
}

#[test]
fn caches_are_flushed_for_owners_and_grantees_only() {
    let world = world();
    world.grant(500, gtf::PERMIT_ACCESS);
    let (_, mfn) = world.granted();
    let flush = |caller: &Dom, mfn: u64, offset, length, op| {
        let op = CacheFlush { a: mfn << 12, offset, length, op };
        run(&world.hv, caller, op::CACHE_FLUSH, op).0
    };
    let fails = |errno: Errno| Err(Stop::Failed(errno));
    let (dom0, dom1) = (&world.dom0, &world.granter);
    // The probe by which Linux finds the operation.
    assert_eq!(flush(dom0, 0, 0, 0, 0), Ok(0));
    assert_eq!(flush(dom1, mfn.0, 0, 4096, cache::CLEAN), Ok(0));
    assert_eq!(flush(dom0, mfn.0, 0, 64, cache::CLEAN), fails(Errno::EINVAL));
    world.map(500, AT, HOST_MAP);
    world.hv.machine.log(|log| log.cache.clear());
    assert_eq!(flush(dom0, mfn.0, 64, 64, cache::CLEAN | cache::INVAL), Ok(0));
    assert_eq!(world.hv.machine.log(|log| log.cache.clone()), [(mfn, CacheOp::CleanInvalidate)]);
    assert_eq!(flush(dom0, 0x1234, 0, 64, cache::CLEAN), fails(Errno::EINVAL));
    assert_eq!(flush(dom0, u64::MAX >> 12, 0, 64, cache::CLEAN), fails(Errno::EINVAL));
    for (offset, length, op) in
        [(4096, 1, 1), (0, 4097, 1), (4095, 2, 1), (0, 64, 4), (0, 64, cache::SOURCE_GREF)]
    {
        assert_eq!(flush(dom0, mfn.0, offset, length, op), fails(Errno::EINVAL));
    }
    // A frame of the hypervisor's own.
    let own = world.hv.frames.alloc(&world.hv.machine, 0).unwrap();
    assert_eq!(flush(dom0, own.0, 0, 64, cache::INVAL), fails(Errno::EPERM));
    let free = world.hv.frames.end().0 - 1;
    assert_eq!(flush(dom0, free, 0, 64, cache::INVAL), fails(Errno::EPERM));
}

#[test]
fn a_long_search_for_a_grant_stops_and_goes_on() {
    let world = world();
    world.granter.grants.lock().grow(world.hv.mem(), 4).unwrap();
    world.grant(3 * 512 + 5, gtf::PERMIT_ACCESS);
    world.grant(1, gtf::PERMIT_ACCESS);
    let (_, mfn) = world.granted();
    let other = world.granter.p2m(world.hv.mem()).lookup(GUEST_RAM).unwrap().mfn;
    world.map(3 * 512 + 5, AT, HOST_MAP);
    world.hv.machine.set_interrupt_waiting(true);
    as_guest(&world.hv, &world.dom0, |cur| {
        let op = CacheFlush { a: mfn.0 << 12, offset: 0, length: 64, op: cache::CLEAN };
        cur.write(LIST, &op).unwrap();
        let mut args = [op::CACHE_FLUSH.into(), LIST, 1, 0, 0];
        let mut rounds = 0;
        while let Err(Stop::Preempted(again)) = grant_table_op(cur, args) {
            (args, rounds) = (again, rounds + 1);
        }
        assert_eq!(rounds, 3);
        let op = CacheFlush { a: other.0 << 12, ..op };
        cur.write(LIST, &op).unwrap();
        cur.hv.machine.set_interrupt_waiting(false);
        let missed = grant_table_op(cur, [op::CACHE_FLUSH.into(), LIST, 1, 0, 0]);
        assert_eq!(missed, Err(Stop::Failed(Errno::EINVAL)));
        // Somebody makes up progress for a request that needs none.
        cur.write(LIST, &CacheFlush::default()).unwrap();
        let forged = grant_table_op(cur, [(op::CACHE_FLUSH | 5 << 12).into(), LIST, 1, 0, 0]);
        assert_eq!(forged, Err(Stop::Failed(Errno::EILSEQ)));
    });
}

#[test]
fn a_mapping_outlives_the_domain_that_granted_it() {
    let world = world();
    let free = world.hv.frames.free();
    world.grant(8, gtf::PERMIT_ACCESS);
    let op = world.map(8, AT, HOST_MAP);
    let (_, mfn) = world.granted();
    assert!(world.hv.destroy_domain(&world.granter, &mut || false));
    assert_eq!(world.granter.account.owned(), 1);
    assert!(world.hv.domains.get(Domid(1)).is_some(), "a zombie, for the page that dom0 maps");
    assert_eq!(world.mapped(AT), Some((mfn, P2mType::GrantRw)));
    assert_eq!(map(&world.hv, &world.dom0, Domid(1), 8, Gfn(AT.0 + 1), HOST_MAP | 4).status.0, 0);
    let second = GrantHandle(1);
    assert_eq!(world.unmap(op.handle, AT.0 << 12), GrantStatus::OKAY);
    world.hv.bury_dead();
    assert!(world.hv.domains.get(Domid(1)).is_some());
    assert_eq!(world.unmap(second, (AT.0 + 1) << 12), GrantStatus::OKAY);
    world.hv.bury_dead();
    assert!(world.hv.domains.get(Domid(1)).is_none());
    assert!(world.hv.frames.free() > free);
}

#[test]
fn a_mapper_that_dies_lets_go_of_everything() {
    let world = world();
    let mapper = domain(&world.hv, 2, guest_config(), 4);
    let place = world.dom0.grants.lock().place(Gref(8)).unwrap();
    world.hv.machine.store32(place.mfn, place.offset, u32::from(gtf::PERMIT_ACCESS) | 2 << 16);
    world.hv.machine.store32(place.mfn, place.offset + 4, GUEST_RAM.0 as u32);
    let mfn = world.dom0.p2m(world.hv.mem()).lookup(GUEST_RAM).unwrap().mfn;
    for n in 0..100 {
        let op = map(&world.hv, &mapper, Domid(0), 8, Gfn(AT.0 + n), HOST_MAP);
        assert_eq!(op.status, GrantStatus::OKAY);
    }
    assert_eq!(world.hv.frames.references(mfn), 101);
    let mut rounds = 0;
    while !world.hv.destroy_domain(&mapper, &mut || true) {
        rounds += 1;
    }
    assert!(rounds > 100, "release does not pause: {rounds}");
    assert_eq!(world.hv.frames.references(mfn), 1);
    assert_eq!(world.hv.machine.load32(place.mfn, place.offset) as u16, gtf::PERMIT_ACCESS);
    assert!(world.hv.domains.get(Domid(2)).is_none());
}
