//! Lists of operations, in pieces.

use super::*;

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
