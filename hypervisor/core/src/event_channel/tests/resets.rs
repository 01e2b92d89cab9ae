//! Everything ends.

use super::*;

fn reset(hv: &Hv, caller: &Dom, command: u32, dom: Domid) -> Result<u64, Stop> {
    as_guest(hv, caller, |cur| {
        cur.write(ARG, &Reset { dom }).expect("RAM");
        event_channel_op(cur, command.into(), ARG)
    })
}

#[test]
fn a_reset_closes_everything_and_goes_back_to_two_levels() {
    let world = world();
    let (hv, dom0, one) = (&world.hv, &world.dom0, &world.one);
    use_fifo(hv, one);
    let free = hv.frames.references(frame(hv, one, ARRAY));
    let (ours, theirs) = pair(&world);
    assert_eq!(reset(hv, one, op::RESET_CONT, Domid::SELF), Err(Stop::Failed(Errno::EBUSY)));
    assert_eq!(reset(hv, one, op::RESET, Domid(2)), Err(Stop::Failed(Errno::EPERM)));
    assert_eq!(reset(hv, one, op::RESET, Domid::SELF), Ok(0));
    assert_eq!(hv.frames.references(frame(hv, one, ARRAY)), free - 1);
    assert_eq!(port_status(hv, dom0, Domid(0), ours).expect("a status").status, status::UNBOUND);
    assert_eq!(port_status(hv, one, Domid(1), theirs).expect("a status").status, status::CLOSED);
    assert_eq!(expand(hv, one, ARRAY), Err(Errno::EOPNOTSUPP));
    assert_eq!(pair(&world).1, theirs);
    use_fifo(hv, one);
}

#[test]
fn ports_beyond_the_bitmaps_are_refused_after_a_reset() {
    let world = world();
    let (hv, dom0) = (&world.hv, &world.dom0);
    assert_eq!(init_control(hv, dom0, 0, CONTROL, 0), Ok(17));
    let last = (0..5000).map(|_| bind_ipi(hv, dom0, 0).expect("a port")).last().expect("ports");
    assert_eq!(last, 5000);
    send(hv, dom0, last).expect("sent");
    assert_eq!(reset(hv, dom0, op::RESET, Domid::SELF), Ok(0));
    assert_eq!(unmask(hv, dom0, last), Err(Errno::EINVAL));
    assert!(!hv.is_pollable(dom0, last));
    assert_eq!(send(hv, dom0, last), Err(Errno::EINVAL));
    assert_eq!(port_status(hv, dom0, Domid(0), last).expect("a status").status, status::CLOSED);
}

#[test]
fn a_long_reset_is_continued_and_another_cannot_begin_meanwhile() {
    let world = world();
    let (hv, one) = (&world.hv, &world.one);
    for _ in 0..300 {
        bind_ipi(hv, one, 0).expect("a port");
    }
    hv.machine.set_interrupt_waiting(true);
    let again = [op::RESET_CONT.into(), ARG, 0, 0, 0];
    assert_eq!(reset(hv, one, op::RESET, Domid::SELF), Err(Stop::Preempted(again)));
    assert_eq!(reset(hv, one, op::RESET, Domid::SELF), Err(Stop::Failed(Errno::EBUSY)));
    let mut rounds = 1;
    while reset(hv, one, op::RESET_CONT, Domid::SELF) == Err(Stop::Preempted(again)) {
        rounds += 1;
        assert!(rounds < 10);
    }
    assert!(rounds > 2);
    assert_eq!(bind_ipi(hv, one, 0), Ok(1));
}

#[test]
fn a_reset_during_which_ports_are_made_says_so() {
    let world = world();
    let (hv, one) = (&world.hv, &world.one);
    for _ in 0..100 {
        bind_ipi(hv, one, 0).expect("a port");
    }
    hv.machine.set_interrupt_waiting(true);
    assert!(matches!(reset(hv, one, op::RESET, Domid::SELF), Err(Stop::Preempted(_))));
    bind_ipi(hv, one, 0).expect("a port");
    hv.machine.set_interrupt_waiting(false);
    assert_eq!(reset(hv, one, op::RESET_CONT, Domid::SELF), Err(Stop::Failed(Errno::EAGAIN)));
    assert_eq!(reset(hv, one, op::RESET, Domid::SELF), Ok(0));
}

#[test]
fn another_domain_is_reset_only_while_it_is_paused() {
    let world = world();
    let hv = &world.hv;
    assert_eq!(reset(hv, &world.dom0, op::RESET, Domid(1)), Ok(0), "paused since its creation");
    hv.unpause_by_controller(&world.one).expect("it was paused");
    assert_eq!(reset(hv, &world.dom0, op::RESET, Domid(1)), Err(Stop::Failed(Errno::EINVAL)));
    assert_eq!(reset(hv, &world.dom0, op::RESET, Domid(9)), Err(Stop::Failed(Errno::ESRCH)));
}

#[test]
fn a_destroyed_domain_leaves_no_connection_and_no_reference() {
    let world = world();
    let (hv, dom0, one) = (&world.hv, &world.dom0, &world.one);
    use_fifo(hv, one);
    assert_eq!(register_area(hv, one, 0, 0, AREA, 0), 0);
    let (ours, _) = pair(&world);
    let references: Vec<_> = [CONTROL, ARRAY, AREA].map(|gfn| frame(hv, one, gfn)).to_vec();
    assert!(hv.destroy_events(one, &mut || false));
    for mfn in references {
        assert_eq!(hv.frames.references(mfn), 1, "the domain's own");
    }
    assert_eq!(send(hv, dom0, ours), Ok(()));
    assert_eq!(port_status(hv, dom0, Domid(0), ours).expect("a status").status, status::UNBOUND);
    assert_eq!(unbound(hv, one, Domid::SELF, Domid(0)), Err(Errno::EINVAL), "dying");
    assert_eq!(unbound(hv, dom0, Domid(1), Domid(0)), Err(Errno::EINVAL));
    assert_eq!(Arc::strong_count(one), 2, "the list's and this test's");
}

#[test]
fn a_port_of_the_hypervisors_is_out_of_its_domains_reach() {
    let world = world();
    let (hv, dom0, one) = (&world.hv, &world.dom0, &world.one);
    let gfn = xen_abi::Gfn(GUEST_RAM.0 + 5);
    let port = hv.connect_uart(one, gfn, Domid(0)).expect("a port");
    let refused = |result| assert_eq!(result, Err(Errno::EINVAL));
    let status_is = |expected| {
        let found = port_status(hv, one, Domid::SELF, port.0).expect("a status");
        assert_eq!((found.status, found.vcpu), (expected, 0));
    };
    for connected in [false, true] {
        if connected {
            assert_eq!(connect(hv, &world.two, Domid(1), port.0), Err(Errno::EINVAL));
            let theirs = connect(hv, dom0, Domid(1), port.0).expect("a connection");
            clear_mask(hv, dom0, theirs);
            upcall(hv, dom0);
            clear_pending(hv, dom0, theirs);
            hv.send_own(one, port);
            assert!(is_pending(hv, dom0, theirs));
            assert_eq!(send(hv, dom0, theirs), Ok(()));
            assert!(!is_pending(hv, one, port.0), "the hypervisor was told, not the guest");
        }
        refused(send(hv, one, port.0));
        refused(bind_vcpu(hv, one, port.0, 1));
        refused(close(hv, one, port.0));
        assert_eq!(reset(hv, one, op::RESET, Domid::SELF), Ok(0));
        status_is(if connected { status::INTERDOMAIN } else { status::UNBOUND });
    }
    assert_eq!(close(hv, dom0, 1), Ok(()));
    status_is(status::UNBOUND);
    assert_eq!(connect(hv, dom0, Domid(1), port.0), Ok(1), "a daemon that starts anew");
    assert!(hv.destroy_domain(one, &mut || false));
    assert_eq!(port_status(hv, dom0, Domid::SELF, 1).map(|found| found.status), Ok(status::UNBOUND));
}
