//! Limits, tables, caches.

use super::*;

#[test]
fn the_memory_limit_takes_any_number() {
    let world = world();
    let guest = world.guest();
    for (kib, pages) in [(0, 0), (4097, 1024), (1 << 40, u32::MAX - 1), (u64::MAX, u32::MAX - 1)] {
        assert_eq!(world.call(op::MAX_MEM, 1, &MaxMem { max_memkb: kib }).0, Ok(0));
        assert_eq!(guest.account.limit(), pages, "{kib}");
    }
}

#[test]
fn the_table_pool_is_a_limit_that_has_to_be_there() {
    let world = world();
    let guest = world.create();
    let set = |size| world.call(op::SET_PAGING_MEMPOOL_SIZE, 1, &PagingMempool { size }).0;
    let get = || world.call(op::GET_PAGING_MEMPOOL_SIZE, 1, &0u64).1.u.get::<PagingMempool>().size;
    assert_eq!(get(), 16 << 12);
    let free = world.hv.frames.free();
    assert_eq!(set(1000 << 12), Ok(0));
    assert_eq!((get(), world.hv.frames.free()), (1000 << 12, free), "taken only when needed");
    assert_eq!(set(4095), fails(Errno::EINVAL));
    assert_eq!(set(u64::MAX), fails(Errno::EINVAL));
    for more in [1 << 30, 1 << 43, 1 << 44, 1 << 50, u64::MAX << 12] {
        assert_eq!(set(more), fails(Errno::ENOMEM), "{more:#x}");
    }
    assert_eq!(set(0), fails(Errno::ENOMEM), "less than is in use");
    let used = guest.p2m(world.hv.mem()).pool().used();
    assert_eq!(set(u64::from(used) << 12), Ok(0));
    assert_eq!(world.call(op::SET_PAGING_MEMPOOL_SIZE, 0, &PagingMempool { size: 0 }).0, Ok(0));
}

#[test]
fn cleaning_reaches_every_page_and_goes_on_where_it_stopped() {
    let world = world();
    let guest = domain(&world.hv, 3, guest_config(), 8);
    let flush = |start_pfn, nr_pfns| world.call(op::CACHEFLUSH, 3, &CacheFlush { start_pfn, nr_pfns }).0;
    for stops in [false, true] {
        world.hv.machine.set_interrupt_waiting(stops);
        world.hv.machine.log(|log| log.cache.clear());
        assert_eq!(flush(GUEST_RAM.0 - 1, 7), Ok(0));
        let cleaned: Vec<_> = world.hv.machine.log(|log| log.cache.clone());
        let expected: Vec<_> = (0..6)
            .map(|n| guest.p2m(world.hv.mem()).lookup(Gfn(GUEST_RAM.0 + n)).unwrap().mfn)
            .map(|mfn| (mfn, CacheOp::CleanInvalidate))
            .collect();
        assert_eq!(cleaned, expected);
    }
    assert_eq!(flush(0, (1 << 18) + 1), fails(Errno::EINVAL));
    assert_eq!(flush(u64::MAX, 2), fails(Errno::EINVAL));
    assert_eq!(flush(u64::MAX, 0), Ok(0));
    assert_eq!(flush((1 << 28) - 1, 1 << 18), Ok(0));
}
