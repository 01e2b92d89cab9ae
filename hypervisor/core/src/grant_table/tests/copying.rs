//! Bytes are copied from and to grants.

use super::*;

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
