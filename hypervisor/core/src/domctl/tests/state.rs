//! Paused, shut down, destroyed; and single settings.

use super::*;

#[test]
fn pauses_nest_and_the_first_run_ends_creation() {
    let world = world();
    let guest = world.guest();
    let pauses = || world.info(1).flags & dominf::PAUSED != 0;
    assert!(pauses() && !guest.life().is_created());
    assert_eq!(world.plain(op::PAUSEDOMAIN, 1), Ok(0));
    assert_eq!(world.plain(op::UNPAUSEDOMAIN, 1), Ok(0));
    assert!(pauses() && !guest.life().is_created());
    assert_eq!(world.plain(op::UNPAUSEDOMAIN, 1), Ok(0));
    assert!(!pauses() && guest.life().is_created());
    assert_eq!(world.plain(op::UNPAUSEDOMAIN, 1), fails(Errno::EINVAL));
    for cmd in [op::PAUSEDOMAIN, op::DESTROYDOMAIN, op::RESUMEDOMAIN, op::SETDEBUGGING, op::SOFT_RESET] {
        assert_eq!(world.plain(cmd, 0), fails(Errno::EINVAL), "{cmd} on oneself");
    }
}

#[test]
fn information_is_of_the_next_domain_when_there_is_none() {
    let world = world();
    world.hv.create_domain(Domid(9), guest_config()).unwrap();
    assert_eq!(world.info(1).domain, Domid(9));
    assert_eq!(world.info(0).domain, Domid(0));
    assert_eq!(world.plain(op::GETDOMAININFO, 10), fails(Errno::ESRCH));
    for id in [0x7ff0, 0xffff] {
        assert_eq!(world.plain(op::GETDOMAININFO, id), fails(Errno::EINVAL));
    }
}

#[test]
fn single_settings_are_kept() {
    let world = world();
    let guest = world.guest();
    let handle = SetDomainHandle { handle: [7; 16] };
    assert_eq!(world.call(op::SETDOMAINHANDLE, 1, &handle).0, Ok(0));
    assert_eq!(world.call(op::SETDEBUGGING, 1, &SetDebugging { enable: 1 }).0, Ok(0));
    let info = world.info(1);
    assert_eq!((info.handle, info.flags & dominf::DEBUGGED), ([7; 16], dominf::DEBUGGED));
    assert_eq!(world.call(op::SETTIMEOFFSET, 1, &SetTimeOffset { time_offset_seconds: -3 }).0, Ok(0));
    let shared = guest.shared_info;
    let at = core::mem::offset_of!(xen_abi::xen::SharedInfo, wc_sec);
    use crate::machine::Machine;
    assert_eq!(world.hv.machine.load32(shared, at), -3i32 as u32);
    assert_eq!(world.call(op::SUBSCRIBE, 1, &Subscribe { port: 1 }).0, Ok(0));
    assert_eq!(world.call(op::SET_VIRQ_HANDLER, 1, &SetVirqHandler { virq: 3 }).0, Ok(0));
    assert_eq!(world.call(op::SET_VIRQ_HANDLER, 1, &SetVirqHandler { virq: 24 }).0, fails(Errno::EINVAL));
    let serve = |target| world.call(op::SET_TARGET, 1, &SetTarget { target: Domid(target) }).0;
    assert_eq!(serve(9), fails(Errno::ESRCH));
    assert_eq!(serve(1), fails(Errno::EINVAL));
    world.create();
    assert_eq!(serve(2), Ok(0));
    assert_eq!(serve(2), fails(Errno::EINVAL));
    assert_eq!(guest.serves(), Some(Domid(2)));
}

#[test]
fn a_domain_that_shut_down_says_why_and_can_go_on() {
    let world = world();
    let guest = world.guest();
    world.hv.shutdown_domain(&guest, 2);
    world.hv.shutdown_domain(&guest, 3);
    let info = world.info(1);
    assert_eq!(info.flags & dominf::SHUTDOWN, dominf::SHUTDOWN);
    assert_eq!(info.flags >> dominf::SHUTDOWN_SHIFT, 2, "the first reason counts");
    assert_eq!(world.plain(op::RESUMEDOMAIN, 1), Ok(0));
    assert_eq!(world.info(1).flags & dominf::SHUTDOWN, 0);
    assert_eq!(world.info(1).flags >> dominf::SHUTDOWN_SHIFT, 0xffff);
}

#[test]
fn destruction_takes_any_number_of_calls_and_leaves_nothing() {
    let world = world();
    let free = world.hv.frames.free();
    for stops in [false, true] {
        let guest = world.guest();
        let id = guest.id.0;
        for page in 0..100 {
            let wanted = crate::frames::Wanted::order(0);
            let mfn = world.hv.frames.alloc_for(&world.hv.machine, &guest.account, &wanted).unwrap();
            if page % 3 != 0 {
                guest.p2m(world.hv.mem()).map(Gfn(page * 200), mfn, 1, P2mType::RamRw).unwrap();
            }
        }
        world.hv.machine.set_interrupt_waiting(stops);
        assert_eq!(world.plain(op::DESTROYDOMAIN, id), Ok(0));
        assert_eq!(world.plain(op::DESTROYDOMAIN, id), fails(Errno::ESRCH));
        assert_eq!(guest.life().dying, Dying::Dead);
        drop(guest);
        world.hv.machine.set_interrupt_waiting(false);
        assert_eq!(world.hv.frames.free(), free);
    }
}

#[test]
fn a_zombie_stays_until_its_last_page_comes_back() {
    let world = world();
    let guest = domain(&world.hv, 4, guest_config(), 8);
    let mfn = guest.p2m(world.hv.mem()).lookup(GUEST_RAM).unwrap().mfn;
    assert!(world.hv.frames.get(mfn, Domid(4)));
    world.dom0.p2m(world.hv.mem()).map(Gfn(0x9_0000), mfn, 1, P2mType::ForeignRw).unwrap();
    assert_eq!(world.plain(op::DESTROYDOMAIN, 4), Ok(0));
    assert_eq!(world.plain(op::DESTROYDOMAIN, 4), Ok(0), "dead already");
    let info = world.info(4);
    assert_eq!((info.flags & dominf::DYING, info.tot_pages), (dominf::DYING, 1));
    let twin = CreateDomain { max_vcpus: 1, ..asked() };
    assert_eq!(world.call(op::CREATEDOMAIN, 4, &twin).0, fails(Errno::EEXIST));
    world.dom0.p2m(world.hv.mem()).unmap(Gfn(0x9_0000), crate::p2m::Ram::Keep).unwrap();
    world.hv.bury_dead();
    assert_eq!(world.plain(op::DESTROYDOMAIN, 4), fails(Errno::ESRCH));
    assert_eq!(world.call(op::CREATEDOMAIN, 4, &twin).0, Ok(0));
}
