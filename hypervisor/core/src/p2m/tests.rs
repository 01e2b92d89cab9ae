use super::*;
use crate::{
    Hypervisor,
    domain::Domain,
    fake::{FakeMachine, GUEST_RAM, domain, guest_config, hypervisor},
    frames::Wanted,
    regs::Arm32Regs,
};
use alloc::vec::Vec;
use xen_abi::Domid;

type Hv = Hypervisor<FakeMachine<Arm32Regs>>;
type Dom = Arc<Domain<FakeMachine<Arm32Regs>>>;

const FAR: Gfn = Gfn(0x8_0000);

/// A guest that may own `pages` pages and has `tables` for its tables.
fn guest(hv: &Hv, id: u16, pages: u32, tables: u32) -> Dom {
    let mut config = guest_config();
    config.table_pages = Some(tables);
    let domain = domain(hv, id, config, 0);
    domain.account.set_limit(pages);
    domain
}

fn alloc(hv: &Hv, domain: &Dom, order: u32) -> Mfn {
    hv.frames.alloc_for(&hv.machine, &domain.account, &Wanted::order(order)).unwrap()
}

fn populate(hv: &Hv, domain: &Dom, gfn: Gfn, order: u32) -> Mfn {
    let mfn = alloc(hv, domain, order);
    domain.p2m(hv.mem()).map(gfn, mfn, 1 << order, P2mType::RamRw).unwrap();
    mfn
}

fn lookup(hv: &Hv, domain: &Dom, gfn: Gfn) -> Option<Mapping> {
    domain.p2m(hv.mem()).lookup(gfn)
}

fn flushes(hv: &Hv) -> Vec<(Vmid, Option<Gfn>)> {
    hv.machine.log(|log| core::mem::take(&mut log.flushed))
}

#[test]
fn blocks_are_used_where_they_fit() {
    let hv: Hv = hypervisor(4096, 1);
    let domain = guest(&hv, 1, 4096, 16);
    let mfn = populate(&hv, &domain, GUEST_RAM, 10);
    for offset in [0, 1, 511, 512, 1023] {
        let mapping = lookup(&hv, &domain, Gfn(GUEST_RAM.0 + offset)).unwrap();
        assert_eq!(mapping, Mapping { mfn: Mfn(mfn.0 + offset), kind: P2mType::RamRw, order: 9 });
    }
    assert_eq!(lookup(&hv, &domain, Gfn(GUEST_RAM.0 + 1024)), None);
    assert_eq!(domain.p2m(hv.mem()).pool().used(), 1);
    assert_eq!(domain.p2m(hv.mem()).highest(), Some(Gfn(GUEST_RAM.0 + 1023)));
}

#[test]
fn a_page_mapped_into_a_block_shatters_it_and_changes_nothing_else() {
    let hv: Hv = hypervisor(4096, 1);
    let domain = guest(&hv, 1, 4096, 16);
    let mfn = populate(&hv, &domain, GUEST_RAM, 9);
    let other = alloc(&hv, &domain, 0);
    flushes(&hv);
    domain.p2m(hv.mem()).map(Gfn(GUEST_RAM.0 + 7), other, 1, P2mType::RamRo).unwrap();
    assert!(!flushes(&hv).is_empty(), "a live block was replaced without a flush");
    for offset in 0..512 {
        let mapping = lookup(&hv, &domain, Gfn(GUEST_RAM.0 + offset)).unwrap();
        let expected =
            if offset == 7 { (other, P2mType::RamRo) } else { (Mfn(mfn.0 + offset), P2mType::RamRw) };
        assert_eq!((mapping.mfn, mapping.kind, mapping.order), (expected.0, expected.1, 0));
    }
}

#[test]
fn a_hole_needs_no_flush_and_a_removal_one_before_the_frame_is_free() {
    let hv: Hv = hypervisor(4096, 1);
    let domain = guest(&hv, 1, 4096, 16);
    let mfn = populate(&hv, &domain, FAR, 0);
    flushes(&hv);
    let second = populate(&hv, &domain, Gfn(FAR.0 + 1), 0);
    assert_eq!(flushes(&hv), []);
    let mut p2m = domain.p2m(hv.mem());
    p2m.unmap(FAR, Ram::Free).unwrap();
    assert_eq!(hv.frames.owner(mfn), Some(Domid(1)), "freed before the flush");
    drop(p2m);
    assert_eq!(flushes(&hv), [(domain.p2m(hv.mem()).vmid(), Some(FAR))]);
    assert_eq!(hv.frames.owner(mfn), None);
    assert_eq!(hv.frames.owner(second), Some(Domid(1)));
    assert_eq!(domain.account.owned(), 1);
}

#[test]
fn what_is_removed_is_zero_in_the_tables() {
    let hv: Hv = hypervisor(4096, 1);
    let domain = guest(&hv, 1, 4096, 16);
    populate(&hv, &domain, FAR, 0);
    let flushed = domain.p2m(hv.mem()).flush_accessed(Gfn(0), || false);
    assert_eq!(flushed, None);
    domain.p2m(hv.mem()).unmap(FAR, Ram::Free).unwrap();
    let p2m = domain.p2m(hv.mem());
    let (slot, _) = walk::find(&hv.machine, p2m.root(), FAR.0 as u32, LAST_LEVEL);
    assert_eq!(slot.load(&hv.machine), 0);
}

#[test]
fn frames_beyond_the_address_space_are_refused_and_never_found() {
    let hv: Hv = hypervisor(4096, 1);
    let domain = guest(&hv, 1, 4096, 16);
    let mfn = alloc(&hv, &domain, 0);
    let mut p2m = domain.p2m(hv.mem());
    for gfn in [GFN_END, GFN_END + 1, 1 << 32, 1 << 52, u64::MAX] {
        assert_eq!(p2m.map(Gfn(gfn), mfn, 1, P2mType::RamRw), Err(Errno::EINVAL));
        assert_eq!(p2m.lookup(Gfn(gfn)), None);
        assert_eq!(p2m.unmap(Gfn(gfn), Ram::Free), Err(Errno::ENOENT));
        assert!(!p2m.resolve_fault(Gfn(gfn), false));
    }
    assert_eq!(p2m.map(Gfn(GFN_END - 1), mfn, 2, P2mType::RamRw), Err(Errno::EINVAL));
    assert_eq!(p2m.map(Gfn(u64::MAX), mfn, 2, P2mType::RamRw), Err(Errno::EINVAL));
    p2m.map(Gfn(GFN_END - 1), mfn, 1, P2mType::RamRw).unwrap();
    assert_eq!(p2m.lookup(Gfn(GFN_END - 1)).unwrap().mfn, mfn);
    assert_eq!(p2m.highest(), Some(Gfn(GFN_END - 1)));
}

#[test]
fn tables_never_take_more_than_the_pool_and_return_it() {
    let hv: Hv = hypervisor(4096, 1);
    let domain = guest(&hv, 1, 4096, 3);
    let mfn = alloc(&hv, &domain, 0);
    let mut p2m = domain.p2m(hv.mem());
    p2m.map(Gfn(0), mfn, 1, P2mType::RamRw).unwrap();
    assert_eq!(p2m.pool().used(), 2);
    assert_eq!(p2m.map(Gfn(1 << 18), mfn, 1, P2mType::RamRw), Err(Errno::ENOMEM));
    assert_eq!(p2m.pool().used(), 3);
    assert!(!p2m.pool().set_limit(2));
    assert!(p2m.pool().set_limit(4));
    p2m.map(Gfn(1 << 18), mfn, 1, P2mType::RamRw).unwrap();
    drop(p2m);
    assert!(domain.p2m(hv.mem()).tear_down(|| false));
    assert_eq!(domain.p2m(hv.mem()).pool().used(), 0);
}

#[test]
fn a_removal_that_cannot_split_a_block_fails_and_leaves_it() {
    let hv: Hv = hypervisor(4096, 1);
    let domain = guest(&hv, 1, 4096, 1);
    let mfn = populate(&hv, &domain, GUEST_RAM, 9);
    assert_eq!(domain.p2m(hv.mem()).unmap(GUEST_RAM, Ram::Free), Err(Errno::ENOMEM));
    assert_eq!(lookup(&hv, &domain, GUEST_RAM).unwrap().mfn, mfn);
    assert_eq!(domain.account.owned(), 512);
}

#[test]
fn an_empty_table_gives_way_to_a_block() {
    let hv: Hv = hypervisor(4096, 1);
    let domain = guest(&hv, 1, 4096, 16);
    populate(&hv, &domain, GUEST_RAM, 0);
    assert_eq!(domain.p2m(hv.mem()).pool().used(), 2);
    domain.p2m(hv.mem()).unmap(GUEST_RAM, Ram::Free).unwrap();
    populate(&hv, &domain, GUEST_RAM, 9);
    assert_eq!(domain.p2m(hv.mem()).pool().used(), 1);
    assert_eq!(lookup(&hv, &domain, GUEST_RAM).unwrap().order, 9);
}

#[test]
fn a_foreign_mapping_holds_its_frame_until_it_is_replaced() {
    let hv: Hv = hypervisor(4096, 1);
    let (owner, mapper) = (guest(&hv, 1, 10, 16), guest(&hv, 2, 10, 16));
    let mfn = populate(&hv, &owner, GUEST_RAM, 0);
    let held = owner.p2m(hv.mem()).hold_own(GUEST_RAM, Access::Write).unwrap().keep();
    mapper.p2m(hv.mem()).map(FAR, held, 1, P2mType::ForeignRw).unwrap();
    owner.p2m(hv.mem()).unmap(GUEST_RAM, Ram::Free).unwrap();
    assert_eq!((hv.frames.owner(mfn), owner.account.owned()), (Some(Domid(1)), 1));
    populate(&hv, &mapper, FAR, 0);
    assert_eq!((hv.frames.owner(mfn), owner.account.owned()), (None, 0));
}

#[test]
fn what_was_looked_up_and_held_is_nobody_elses_although_it_is_unmapped() {
    let hv: Hv = hypervisor(64, 1);
    let domain = guest(&hv, 1, 64, 16);
    let mfn = populate(&hv, &domain, GUEST_RAM, 0);
    let (held, _) = domain.p2m(hv.mem()).hold(GUEST_RAM, Access::Write).unwrap();
    domain.p2m(hv.mem()).unmap(GUEST_RAM, Ram::Free).unwrap();
    hv.machine.write_frame(held.mfn(), 0, b"ours");
    let others: Vec<Mfn> = core::iter::from_fn(|| hv.frames.alloc(&hv.machine, 0)).collect();
    assert!(!others.contains(&mfn));
    assert_eq!(hv.machine.load32(mfn, 0), u32::from_le_bytes(*b"ours"));
    drop(held);
    assert_eq!((hv.frames.alloc(&hv.machine, 0), hv.machine.load32(mfn, 0)), (Some(mfn), 0));
}

#[test]
fn only_own_ram_can_be_held_as_own() {
    let hv: Hv = hypervisor(4096, 1);
    let domain = guest(&hv, 1, 10, 16);
    let kinds = [
        (P2mType::RamRw, true, true),
        (P2mType::RamRo, true, false),
        (P2mType::ForeignRw, false, false),
        (P2mType::GrantRw, false, false),
        (P2mType::MmioCacheable, false, false),
    ];
    let mfn = alloc(&hv, &domain, 0);
    let mut p2m = domain.p2m(hv.mem());
    for (kind, read, write) in kinds {
        if kind.is_foreign() {
            assert!(hv.frames.get(mfn, Domid(1)));
        }
        p2m.map(FAR, mfn, 1, kind).unwrap();
        assert_eq!(p2m.hold_own(FAR, Access::Read).is_some(), read, "{kind:?}");
        assert_eq!(p2m.hold_own(FAR, Access::Write).is_some(), write, "{kind:?}");
        assert_eq!(p2m.own(FAR, Access::Read).is_some(), read, "{kind:?}");
        assert_eq!(p2m.own(FAR, Access::Write).is_some(), write, "{kind:?}");
    }
}

#[test]
fn a_write_is_not_allowed_through_a_read_only_mapping() {
    let hv: Hv = hypervisor(4096, 1);
    let domain = guest(&hv, 1, 10, 16);
    let mfn = alloc(&hv, &domain, 0);
    let mut p2m = domain.p2m(hv.mem());
    for kind in [P2mType::RamRo, P2mType::GrantRo] {
        p2m.map(FAR, mfn, 1, kind).unwrap();
        assert!(p2m.hold(FAR, Access::Read).is_some());
        assert!(p2m.hold(FAR, Access::Write).is_none());
        assert!(p2m.resolve_fault(FAR, false));
        assert!(!p2m.resolve_fault(FAR, true));
    }
}

#[test]
fn accesses_are_tracked_for_set_and_way() {
    let hv: Hv = hypervisor(4096, 1);
    let domain = guest(&hv, 1, 600, 16);
    let mfn = populate(&hv, &domain, GUEST_RAM, 9);
    let page = populate(&hv, &domain, FAR, 0);
    let clean = |hv: &Hv| {
        hv.machine.log(|log| log.cache.clear());
        let mut from = Gfn(0);
        while let Some(next) = domain.p2m(hv.mem()).flush_accessed(from, || true) {
            assert!(next > from);
            from = next;
        }
        hv.machine.log(|log| core::mem::take(&mut log.cache))
    };
    let first = clean(&hv);
    assert_eq!(first.len(), 513);
    assert!(first.contains(&(mfn, CacheOp::CleanInvalidate)));
    assert_eq!(clean(&hv), []);
    assert!(domain.p2m(hv.mem()).resolve_fault(FAR, true));
    assert_eq!(clean(&hv), [(page, CacheOp::CleanInvalidate)]);
}

#[test]
fn a_block_is_cleaned_in_pieces_each_once() {
    let hv: Hv = hypervisor(4096, 1);
    let domain = guest(&hv, 1, 600, 16);
    let mfn = populate(&hv, &domain, GUEST_RAM, 9);
    for (cleaned, pauses) in [(512, 3), (0, 0)] {
        hv.machine.log(|log| log.cache.clear());
        let (mut from, mut paused) = (Gfn(0), 0);
        while let Some(next) = domain.p2m(hv.mem()).flush_accessed(from, || true) {
            (from, paused) = (next, paused + 1);
        }
        let frames = hv.machine.log(|log| log.cache.clone());
        assert_eq!((frames.len(), paused), (cleaned, pauses));
        assert!((mfn.0..).zip(&frames).all(|(expected, (mfn, _))| mfn.0 == expected));
    }
}

#[test]
fn a_block_that_is_split_while_it_is_cleaned_is_cleaned_to_its_end() {
    let hv: Hv = hypervisor(4096, 1);
    let domain = guest(&hv, 1, 600, 16);
    let mfn = populate(&hv, &domain, GUEST_RAM, 9);
    let removed = 300;
    hv.machine.log(|log| log.cache.clear());
    let mut from = domain.p2m(hv.mem()).flush_accessed(Gfn(0), || true);
    assert!(from.is_some_and(|from| from.0 < GUEST_RAM.0 + removed), "{from:?}");
    domain.p2m(hv.mem()).unmap(Gfn(GUEST_RAM.0 + removed), Ram::Free).unwrap();
    while let Some(next) = from {
        from = domain.p2m(hv.mem()).flush_accessed(next, || true);
    }
    let cleaned = hv.machine.log(|log| core::mem::take(&mut log.cache));
    let missing: Vec<_> =
        (0..512).filter(|frame| !cleaned.contains(&(Mfn(mfn.0 + frame), CacheOp::CleanInvalidate))).collect();
    assert_eq!(missing, [removed]);
}

#[test]
fn a_removal_that_waits_for_its_flush_is_flushed_before_the_place_is_used_again() {
    let hv: Hv = hypervisor(4096, 1);
    let domain = guest(&hv, 1, 600, 16);
    let mfn = alloc(&hv, &domain, 0);
    domain.p2m(hv.mem()).map(FAR, mfn, 1, P2mType::GrantRw).unwrap();
    for by_page in [true, false] {
        flushes(&hv);
        let mut p2m = domain.p2m(hv.mem());
        assert!(p2m.unmap_grant(FAR, mfn));
        p2m.defer();
        assert_eq!(flushes(&hv), []);
        let mut p2m = domain.p2m(hv.mem());
        let mapped = match by_page {
            true => p2m.map_page(FAR, mfn, P2mType::GrantRw),
            false => p2m.map(FAR, mfn, 1, P2mType::GrantRw),
        };
        assert_eq!((mapped, flushes(&hv).len()), (Ok(()), 1));
    }
}

#[test]
fn cleaning_a_range_ends_at_the_end_of_everything() {
    let hv: Hv = hypervisor(4096, 1);
    let domain = guest(&hv, 1, 600, 16);
    let page = populate(&hv, &domain, Gfn(GFN_END - 1), 0);
    hv.machine.log(|log| log.cache.clear());
    let mut p2m = domain.p2m(hv.mem());
    assert_eq!(p2m.cache_range(Gfn(GFN_END - 2), u64::MAX, CacheOp::Clean, || false), None);
    assert_eq!(p2m.cache_range(Gfn(u64::MAX), 5, CacheOp::Clean, || false), None);
    assert_eq!(hv.machine.log(|log| log.cache.clone()), [(page, CacheOp::Clean)]);
}

#[test]
fn teardown_in_the_smallest_steps_gives_everything_back() {
    let hv: Hv = hypervisor(8192, 1);
    let free = hv.frames.free();
    let (owner, domain) = (guest(&hv, 2, 10, 16), guest(&hv, 1, 4096, 64));
    let foreign = populate(&hv, &owner, GUEST_RAM, 0);
    assert!(hv.frames.get(foreign, Domid(2)));
    domain.p2m(hv.mem()).map(Gfn(5), foreign, 1, P2mType::ForeignRo).unwrap();
    for gfn in [0, 1, 511, 1 << 19, (1 << 27) + 77] {
        populate(&hv, &domain, Gfn(gfn), 0);
    }
    populate(&hv, &domain, GUEST_RAM, 10);
    domain.p2m(hv.mem()).map(Gfn(1 << 20), Mfn(1 << 20), 1 << 19, P2mType::MmioCacheable).unwrap();
    let mut steps = 0;
    while !domain.p2m(hv.mem()).tear_down(|| true) {
        steps += 1;
        assert_eq!(lookup(&hv, &domain, GUEST_RAM), None);
        let mfn = foreign;
        assert_eq!(domain.p2m(hv.mem()).map(FAR, mfn, 1, P2mType::RamRw), Err(Errno::EINVAL));
    }
    assert!(steps > 40, "{steps}");
    assert_eq!(hv.frames.references(foreign), 1);
    assert_eq!(domain.account.owned(), 0);
    let mut pause = || false;
    assert!(hv.destroy_domain(&domain, &mut pause) && hv.destroy_domain(&owner, &mut pause));
    assert_eq!(hv.frames.free(), free);
}
