//! Mappings end, by their user or with a domain.

use super::*;

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
