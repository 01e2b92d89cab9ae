use super::*;
use crate::{
    Hypervisor,
    fake::{FakeMachine, RAM_START, hypervisor},
    regs::Arm32Regs,
};
use alloc::vec;

type Hv = Hypervisor<FakeMachine<Arm32Regs>>;

fn open(hv: &Hv, id: u16, limit: u32) -> Arc<Account> {
    let account = Arc::new(Account::new(Domid(id)));
    account.set_limit(limit);
    hv.frames.open(&account).unwrap();
    account
}

fn alloc(hv: &Hv, account: &Account, order: u32) -> Option<Mfn> {
    hv.frames.alloc_for(&hv.machine, account, &Wanted::order(order))
}

fn bytes(hv: &Hv, mfn: Mfn) -> vec::Vec<u8> {
    let mut bytes = vec![0; PAGE_SIZE];
    hv.machine.read_frame(mfn, 0, &mut bytes);
    bytes
}

#[test]
fn a_domain_never_sees_what_was_in_its_frames() {
    let hv: Hv = hypervisor(64, 1);
    for frame in 0..64 {
        hv.machine.write_frame(Mfn(RAM_START.0 + frame), 0, b"firmware's secret");
    }
    let account = open(&hv, 1, 64);
    let mfn = alloc(&hv, &account, 6).unwrap();
    for frame in 0..64 {
        assert_eq!(bytes(&hv, Mfn(mfn.0 + frame)), [0; PAGE_SIZE]);
        hv.machine.write_frame(Mfn(mfn.0 + frame), 0, b"domain 1's secret");
    }
    hv.machine.log(|log| log.cache.clear());
    hv.frames.give_up_run(&hv.machine, mfn, 64, &account);
    assert_eq!(bytes(&hv, mfn), [0; PAGE_SIZE]);
    let cleaned = hv.machine.log(|log| log.cache.len());
    assert_eq!(cleaned, 64, "a frame was freed with its zeroes in the cache only");
    assert_eq!((hv.frames.free(), hv.frames.dirty()), (64, 0));
}

#[test]
fn what_is_set_aside_is_for_nobody_else_even_afterwards() {
    let mut hv: Hv = hypervisor(64, 1);
    let block = hv.frames.alloc(&hv.machine, 4).unwrap();
    let mut ranges = Ranges::default();
    ranges.add(block.0 << 12..(block.0 + 16) << 12).unwrap();
    hv.frames.set_aside(&ranges);
    hv.frames.release(&hv.machine, block, 4);
    assert_eq!(hv.frames.free(), 48);
    hv.machine.write_frame(block, 0, b"firmware's secret");

    let account = open(&hv, 1, 8);
    let take = |account: &Account, from: u64, to: u64| {
        hv.frames.take_set_aside(&hv.machine, account, block.0 + from..block.0 + to)
    };
    assert!(!take(&account, 0, 9), "more than the limit");
    assert!(!take(&account, 15, 17) && !take(&account, 16, 17), "that is not set aside");
    assert_eq!(account.owned(), 0);
    assert!(take(&account, 0, 8));
    let other = open(&hv, 2, 64);
    assert!(!take(&other, 7, 9), "another has it");
    assert!(take(&other, 8, 16));
    assert_eq!(core::iter::from_fn(|| alloc(&hv, &other, 0)).count(), 48, "nobody finds it by chance");
    assert_eq!((hv.frames.owner(block), account.owned()), (Some(Domid(1)), 8));

    hv.machine.write_frame(block, 0, b"domain 1's secret");
    account.close();
    hv.frames.give_up_run(&hv.machine, block, 7, &account);
    assert!(hv.frames.give_up(&hv.machine, Mfn(block.0 + 7), &account));
    assert_eq!((account.owned(), hv.frames.free()), (0, 0));
    while hv.frames.scrub_one(&hv.machine) {}
    assert_eq!(bytes(&hv, block), [0; PAGE_SIZE]);
    assert_eq!(alloc(&hv, &other, 0), None);
}

/// A dead domain's 64 frames with secrets in them, all the RAM there is.
fn dead(hv: &Hv) -> Mfn {
    let account = open(hv, 1, 64);
    let mfn = alloc(hv, &account, 6).unwrap();
    for frame in 0..64 {
        hv.machine.write_frame(Mfn(mfn.0 + frame), 0, b"domain 1's secret");
    }
    account.close();
    hv.frames.give_up_run(&hv.machine, mfn, 63, &account);
    assert!(hv.frames.give_up(&hv.machine, Mfn(mfn.0 + 63), &account));
    assert_eq!((hv.frames.free(), hv.frames.dirty(), account.owned()), (64, 64, 0));
    mfn
}

#[test]
fn what_a_dead_domain_left_is_scrubbed_by_whoever_has_time() {
    let hv: Hv = hypervisor(64, 1);
    let mfn = dead(&hv);
    assert_eq!(&bytes(&hv, mfn)[..8], b"domain 1");
    hv.machine.log(|log| log.cache.clear());
    for left in (0..64).rev() {
        assert!(hv.frames.scrub_one(&hv.machine));
        assert_eq!(hv.frames.dirty(), left);
    }
    assert!(!hv.frames.scrub_one(&hv.machine), "there is nothing left");
    assert!((0..64).all(|frame| bytes(&hv, Mfn(mfn.0 + frame)) == [0; PAGE_SIZE]));
    assert_eq!(hv.machine.log(|log| log.cache.len()), 64);
}

#[test]
fn what_a_dead_domain_left_is_not_for_the_next() {
    let hv: Hv = hypervisor(64, 1);
    let mfn = dead(&hv);
    assert!(hv.frames.scrub_one(&hv.machine));
    let account = open(&hv, 2, 64);
    assert_eq!(alloc(&hv, &account, 5), Some(mfn));
    assert_eq!(hv.frames.dirty(), 32);
    assert!(hv.frames.alloc(&hv.machine, 5).is_some());
    assert!((0..64).all(|frame| bytes(&hv, Mfn(mfn.0 + frame)) == [0; PAGE_SIZE]));
    hv.machine.write_frame(mfn, 0, b"domain 2's work");
    assert_eq!((hv.frames.dirty(), hv.frames.scrub_one(&hv.machine)), (0, false));
    assert_eq!(&bytes(&hv, mfn)[..8], b"domain 2");
}

#[test]
fn ram_that_nobody_had_is_scrubbed_by_nobody() {
    let hv: Hv = hypervisor(64, 1);
    hv.machine.write_frame(RAM_START, 0, b"a boot module");
    assert!(!hv.frames.scrub_one(&hv.machine));
    let account = open(&hv, 1, 2);
    let mfn = hv.frames.alloc_for(&hv.machine, &account, &Wanted { lowest: true, ..Wanted::order(0) });
    account.close();
    assert!(hv.frames.give_up(&hv.machine, mfn.unwrap(), &account));
    while hv.frames.scrub_one(&hv.machine) {}
    assert_eq!(hv.frames.dirty(), 63);
}

#[test]
fn dom0_may_have_ram_as_it_is() {
    let hv: Hv = hypervisor(4, 1);
    hv.machine.write_frame(RAM_START, 0, b"as it is");
    let account = open(&hv, 0, 4);
    let wanted = Wanted { unscrubbed: true, ..Wanted::order(2) };
    let mfn = hv.frames.alloc_for(&hv.machine, &account, &wanted).unwrap();
    assert_eq!(&bytes(&hv, mfn)[..8], b"as it is");
    hv.frames.give_up_run(&hv.machine, mfn, 4, &account);
    assert_eq!(bytes(&hv, mfn), [0; PAGE_SIZE]);
}

#[test]
fn the_limit_of_an_account_is_kept() {
    let hv: Hv = hypervisor(64, 1);
    let account = open(&hv, 1, 3);
    assert!(alloc(&hv, &account, 2).is_none());
    assert!(alloc(&hv, &account, 1).is_some());
    assert!(alloc(&hv, &account, 0).is_some());
    assert!(alloc(&hv, &account, 0).is_none());
    assert_eq!((account.owned(), hv.frames.free()), (3, 61));
}

#[test]
fn impossible_orders_are_refused() {
    let hv: Hv = hypervisor(64, 1);
    let account = open(&hv, 1, u32::MAX);
    for order in [7, MAX_ORDER, MAX_ORDER + 1, 31, 32, 63, u32::MAX] {
        assert!(alloc(&hv, &account, order).is_none());
        assert!(hv.frames.alloc(&hv.machine, order.min(40)).is_none());
    }
    assert_eq!((account.owned(), hv.frames.free()), (0, 64));
}

#[test]
fn a_frame_goes_back_when_its_last_reference_does() {
    let hv: Hv = hypervisor(8, 1);
    let account = open(&hv, 1, 8);
    let mfn = alloc(&hv, &account, 0).unwrap();
    let held = hv.frames.hold(&hv.machine, mfn, Domid(1)).unwrap();
    assert!(hv.frames.give_up(&hv.machine, mfn, &account));
    assert!(!hv.frames.give_up(&hv.machine, mfn, &account), "given up twice");
    assert_eq!((account.owned(), account.allocated(), hv.frames.free()), (1, 0, 7));
    assert!(hv.frames.hold(&hv.machine, mfn, Domid(2)).is_none());
    drop(held);
    assert_eq!((account.owned(), hv.frames.free()), (0, 8));
    assert!(hv.frames.hold(&hv.machine, mfn, Domid(1)).is_none());
}

#[test]
fn giving_up_a_run_skips_what_is_not_the_owners() {
    let hv: Hv = hypervisor(16, 1);
    let (account, other) = (open(&hv, 1, 16), open(&hv, 2, 16));
    let mfn = alloc(&hv, &account, 3).unwrap();
    let foreign = alloc(&hv, &other, 3).unwrap();
    let kept = hv.frames.hold(&hv.machine, Mfn(mfn.0 + 3), Domid(1)).unwrap();
    hv.frames.give_up_run(&hv.machine, mfn.min(foreign), 16, &account);
    assert_eq!((account.owned(), other.owned(), hv.frames.free()), (1, 8, 7));
    hv.frames.give_up_run(&hv.machine, mfn, 8, &account);
    drop(kept);
    assert_eq!((account.owned(), hv.frames.free()), (0, 8));
}

#[test]
fn the_reserve_is_for_those_who_cannot_fail() {
    let hv: Hv = hypervisor(8, 1);
    hv.frames.set_reserve(2);
    let account = open(&hv, 1, 8);
    let taken = core::iter::from_fn(|| alloc(&hv, &account, 0)).count();
    assert_eq!(taken, 6);
    assert!(hv.frames.is_low());
    assert!(hv.frames.alloc(&hv.machine, 0).is_none());
    assert!(hv.frames.alloc_reserved(&hv.machine, 0).is_some());
}

#[test]
fn claimed_memory_is_left_to_the_claimant() {
    let hv: Hv = hypervisor(16, 1);
    let (one, two) = (open(&hv, 1, 12), open(&hv, 2, 16));
    assert_eq!(hv.frames.claim(&one, 13), Err(Errno::EINVAL));
    hv.frames.claim(&one, 12).unwrap();
    assert_eq!(hv.frames.claim(&one, 12), Err(Errno::EINVAL));
    assert_eq!(hv.frames.claim(&two, 5), Err(Errno::ENOMEM));
    assert!(alloc(&hv, &two, 3).is_none());
    assert!(alloc(&hv, &two, 2).is_some());
    assert!(hv.frames.alloc(&hv.machine, 0).is_none());
    assert!(alloc(&hv, &one, 3).is_some());
    assert_eq!((one.claimed(), hv.frames.claimed()), (4, 4));
    hv.frames.claim(&one, 0).unwrap();
    assert!(hv.frames.alloc(&hv.machine, 0).is_some());
}

#[test]
fn memory_on_its_way_into_a_closed_account_is_noticed() {
    let hv: Hv = hypervisor(16, 1);
    let account = open(&hv, 1, 8);
    alloc(&hv, &account, 1).unwrap();
    account.close();
    assert!(alloc(&hv, &account, 0).is_none());
    assert_eq!(account.allocated(), 2);
    let mut from = Some(0);
    while let Some(at) = from {
        from = hv.frames.sweep(&hv.machine, &account, at, 3);
    }
    assert_eq!((account.allocated(), account.owned(), hv.frames.free()), (0, 0, 16));
    assert!(hv.frames.take_emptied());
    assert!(!hv.frames.take_emptied());
}

#[test]
fn large_blocks_that_need_much_scrubbing_are_not_handed_out_at_once() {
    let hv: Hv = hypervisor(8192, 1);
    let account = open(&hv, 1, 8192);
    assert!(alloc(&hv, &account, LARGEST_SCRUB + 1).is_none());
    let small: vec::Vec<_> = core::iter::from_fn(|| alloc(&hv, &account, 9)).collect();
    assert_eq!(small.len(), 16);
    for mfn in small {
        hv.frames.give_up_run(&hv.machine, mfn, 512, &account);
    }
    assert!(alloc(&hv, &account, 13).is_some());
}

#[test]
fn two_accounts_of_one_id_are_refused() {
    let hv: Hv = hypervisor(8, 1);
    open(&hv, 5, 1);
    assert_eq!(hv.frames.open(&Arc::new(Account::new(Domid(5)))), Err(Errno::EEXIST));
    hv.frames.forget(Domid(5));
    open(&hv, 5, 1);
}
