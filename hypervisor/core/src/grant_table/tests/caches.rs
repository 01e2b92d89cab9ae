//! Caches are flushed by frame.

use super::*;

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
