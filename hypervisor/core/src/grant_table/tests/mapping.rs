//! Grants are mapped.

use super::*;

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
