//! What ports are, and how they become so.

use super::*;

#[test]
fn the_lowest_free_port_is_given_out_and_none_above_the_limit() {
    let world = world();
    let hv = &world.hv;
    let config = DomainConfig { max_evtchn_port: 70, ..guest_config() };
    let small = domain(hv, 7, config, PAGES);
    for expected in 1..=70 {
        assert_eq!(unbound(hv, &small, Domid::SELF, Domid(0)), Ok(expected));
    }
    assert_eq!(unbound(hv, &small, Domid::SELF, Domid(0)), Err(Errno::ENOSPC));
    assert_eq!(bind_ipi(hv, &small, 0), Err(Errno::ENOSPC));
    close(hv, &small, 66).expect("closed");
    close(hv, &small, 5).expect("closed");
    assert_eq!(bind_ipi(hv, &small, 0), Ok(5));
    assert_eq!(bind_ipi(hv, &small, 0), Ok(66));
}

#[test]
fn two_level_ends_at_4096_ports_whatever_the_limit() {
    let world = world();
    let hv = &world.hv;
    for _ in 1..4096 {
        bind_ipi(hv, &world.dom0, 0).expect("a port");
    }
    assert_eq!(bind_ipi(hv, &world.dom0, 0), Err(Errno::ENOSPC));
}

#[test]
fn closing_one_end_leaves_the_other_waiting_for_the_same_domain() {
    let world = world();
    let (hv, dom0, one) = (&world.hv, &world.dom0, &world.one);
    let (ours, theirs) = pair(&world);
    send(hv, dom0, ours).expect("sent");
    assert_eq!(close(hv, one, theirs), Ok(()));
    assert!(!is_pending(hv, one, theirs));
    let state = port_status(hv, dom0, Domid::SELF, ours).expect("a status");
    assert_eq!((state.status, state.remote_dom()), (status::UNBOUND, Domid(1)));
    assert_eq!(send(hv, dom0, ours), Ok(()), "dropped");
    assert_eq!(close(hv, one, theirs), Err(Errno::EINVAL));
    assert_eq!(send(hv, one, theirs), Err(Errno::EINVAL));
    assert_eq!(connect(hv, one, Domid(0), ours), Ok(theirs), "connected again");
}

#[test]
fn ports_chosen_before_the_domains_run_are_as_those_that_they_make() {
    let world = world();
    let (hv, dom0, one) = (&world.hv, &world.dom0, &world.one);
    assert_eq!(hv.connect((dom0, 200), (one, 100)), Ok(()));
    assert!(is_pending(hv, one, 100) && !is_pending(hv, dom0, 200), "the second end is told");
    let at = |domain, port| {
        let state = port_status(hv, domain, Domid::SELF, port).expect("a status");
        (state.status, state.remote_dom(), state.remote_port())
    };
    assert_eq!(at(dom0, 200), (status::INTERDOMAIN, Domid(1), EvtchnPort(100)));
    assert_eq!(at(one, 100), (status::INTERDOMAIN, Domid(0), EvtchnPort(200)));
    assert_eq!(at(dom0, 70).0, status::CLOSED, "ports below are there");
    clear_pending(hv, one, 100);
    assert_eq!(hv.connect((dom0, 200), (one, 100)), Ok(()), "they are connected");
    assert!(!is_pending(hv, one, 100));
    send(hv, one, 100).expect("sent");
    assert!(is_pending(hv, dom0, 200));
    assert_eq!(bind_ipi(hv, one, 0), Ok(1), "the lowest free one");
    close(hv, dom0, 200).expect("closed");
    assert_eq!(at(one, 100).0, status::UNBOUND);
    assert_eq!(close(hv, one, 100), Ok(()));
    assert_eq!(bind_ipi(hv, one, 0), Ok(2));
}

#[test]
fn chosen_ports_have_to_be_free_and_within_the_limit() {
    let world = world();
    let (hv, one, two) = (&world.hv, &world.one, &world.two);
    let small = domain(hv, 7, DomainConfig { max_evtchn_port: 70, ..guest_config() }, PAGES);
    bind_ipi(hv, one, 0).expect("port 1");
    for (one, other, error) in [
        ((one, 1), (two, 5), Errno::EBUSY),
        ((two, 5), (one, 1), Errno::EBUSY),
        ((one, 0), (two, 5), Errno::EBUSY),
        ((two, 5), (&small, 71), Errno::ENOSPC),
        ((&small, u32::MAX), (two, 5), Errno::ENOSPC),
        ((&world.dom0, 4096), (two, 5), Errno::ENOSPC),
        ((two, 5), (two, 5), Errno::EBUSY),
    ] {
        assert_eq!(hv.connect(one, other), Err(error));
    }
    assert_eq!(hv.connect((&world.dom0, 4095), (two, 5)), Ok(()), "nothing was left taken");
    assert_eq!(hv.connect((one, 6), (one, 7)), Ok(()), "with itself");
    send(hv, one, 6).expect("sent");
    close(hv, one, 6).expect("closed");
    close(hv, one, 7).expect("closed");
}

#[test]
fn a_domain_can_be_connected_to_itself() {
    let world = world();
    let (hv, one) = (&world.hv, &world.one);
    let first = unbound(hv, one, Domid::SELF, Domid::SELF).expect("a port");
    let second = connect(hv, one, Domid::SELF, first).expect("a connection");
    send(hv, one, second).expect("sent");
    assert!(is_pending(hv, one, first));
    close(hv, one, second).expect("closed");
    assert_eq!(port_status(hv, one, Domid::SELF, first).expect("a status").status, status::UNBOUND);
}

#[test]
fn only_the_domain_that_a_port_waits_for_connects() {
    let world = world();
    let (hv, one) = (&world.hv, &world.one);
    let port = unbound(hv, one, Domid::SELF, Domid(0)).expect("a port");
    assert_eq!(connect(hv, &world.two, Domid(1), port), Err(Errno::EINVAL));
    assert_eq!(connect(hv, &world.dom0, Domid(1), 0), Err(Errno::EINVAL));
    assert_eq!(connect(hv, &world.dom0, Domid(1), port + 1), Err(Errno::EINVAL));
    assert_eq!(connect(hv, &world.dom0, Domid(1), u32::MAX), Err(Errno::EINVAL));
    assert_eq!(connect(hv, &world.dom0, Domid(9), port), Err(Errno::ESRCH));
    assert_eq!(connect(hv, &world.dom0, Domid::INVALID, port), Err(Errno::ESRCH));
    // None of these used a port up.
    assert_eq!(bind_ipi(hv, &world.dom0, 0), Ok(1));
}

#[test]
fn guests_are_kept_apart_unless_they_are_the_control_domain() {
    let world = world();
    let hv = &world.hv;
    assert_eq!(unbound(hv, &world.one, Domid::SELF, Domid(2)), Err(Errno::EPERM));
    assert_eq!(unbound(hv, &world.one, Domid(2), Domid(1)), Err(Errno::EPERM));
    assert_eq!(unbound(hv, &world.dom0, Domid(1), Domid(2)), Err(Errno::EPERM), "not even by dom0");
    assert_eq!(unbound(hv, &world.dom0, Domid(1), Domid(0)), Ok(1));
    assert_eq!(unbound(hv, &world.dom0, Domid(9), Domid(0)), Err(Errno::ESRCH));
    assert_eq!(unbound(hv, &world.one, Domid::SELF, Domid(9)), Err(Errno::ESRCH));
}

#[test]
fn virtual_interrupts_are_bound_once_and_where_they_belong() {
    let world = world();
    let (hv, dom0, one) = (&world.hv, &world.dom0, &world.one);
    assert_eq!(bind_virq(hv, one, virq::COUNT, 0), Err(Errno::EINVAL));
    assert_eq!(bind_virq(hv, one, u32::MAX, 0), Err(Errno::EINVAL));
    assert_eq!(bind_virq(hv, one, virq::CONSOLE, 1), Err(Errno::EINVAL));
    assert_eq!(bind_virq(hv, one, virq::DEBUG, 2), Err(Errno::ENOENT));
    let first = bind_virq(hv, one, virq::DEBUG, 0).expect("a port");
    assert_eq!(bind_virq(hv, one, virq::DEBUG, 0), Err(Errno::EEXIST));
    let second = bind_virq(hv, one, virq::DEBUG, 1).expect("a port");
    assert_ne!(first, second);
    assert_eq!(send(hv, one, first), Err(Errno::EINVAL), "a guest does not raise it");
    hv.send_vcpu_virq(one, &one.vcpus()[1], virq::DEBUG);
    assert!(is_pending(hv, one, second) && !is_pending(hv, one, first));
    close(hv, one, first).expect("closed");
    assert_eq!(bind_virq(hv, one, virq::DEBUG, 0), Ok(first));
    let console = bind_virq(hv, dom0, virq::CONSOLE, 0).expect("a port");
    hv.send_global_virq(virq::CONSOLE);
    assert!(is_pending(hv, dom0, console));
}

#[test]
fn a_global_virtual_interrupt_goes_where_the_toolstack_sends_it() {
    let world = world();
    let (hv, one) = (&world.hv, &world.one);
    let port = bind_virq(hv, one, virq::DOM_EXC, 0).expect("a port");
    hv.send_global_virq(virq::DOM_EXC);
    assert!(!is_pending(hv, one, port));
    assert_eq!(hv.set_virq_handler(one, virq::DEBUG), Err(Errno::EINVAL));
    assert_eq!(hv.set_virq_handler(one, 99), Err(Errno::EINVAL));
    assert_eq!(hv.set_virq_handler(one, virq::DOM_EXC), Ok(()));
    hv.send_global_virq(virq::DOM_EXC);
    assert!(is_pending(hv, one, port));
}

#[test]
fn a_failed_binding_leaves_what_others_bound() {
    let world = world();
    let hv = &world.hv;
    let config = DomainConfig { max_evtchn_port: 2, ..guest_config() };
    let small = domain(hv, 7, config, PAGES);
    let port = bind_virq(hv, &small, virq::DEBUG, 0).expect("a port");
    bind_ipi(hv, &small, 0).expect("a port");
    assert_eq!(bind_virq(hv, &small, virq::CONSOLE, 0), Err(Errno::ENOSPC));
    assert_eq!(bind_virq(hv, &small, virq::DEBUG, 0), Err(Errno::EEXIST));
    hv.send_vcpu_virq(&small, &small.vcpus()[0], virq::DEBUG);
    assert!(is_pending(hv, &small, port));
    close(hv, &small, 2).expect("closed");
    assert_eq!(bind_virq(hv, &small, virq::CONSOLE, 0), Ok(2), "the failure bound nothing");
}

#[test]
fn what_a_port_is_can_be_asked_by_its_owner_and_the_control_domain() {
    let world = world();
    let (hv, dom0, one) = (&world.hv, &world.dom0, &world.one);
    let (ours, theirs) = pair(&world);
    let of = |caller, dom, port| port_status(hv, caller, Domid(dom), port);
    let state = of(dom0, 1, theirs).expect("a status");
    assert_eq!(
        (state.status, state.remote_dom(), state.remote_port().0),
        (status::INTERDOMAIN, Domid(0), ours)
    );
    assert_eq!(of(one, 0, ours), Err(Errno::EPERM));
    assert_eq!(of(one, 9, ours), Err(Errno::ESRCH));
    assert_eq!(of(one, 1, 5000), Err(Errno::EINVAL));
    assert_eq!(of(one, 1, 0).expect("a status").status, status::CLOSED);
    let virq = bind_virq(hv, one, virq::DEBUG, 1).expect("a port");
    let state = of(one, 1, virq).expect("a status");
    assert_eq!((state.status, state.vcpu, state.virq()), (status::VIRQ, 1, virq::DEBUG));
    let ipi = bind_ipi(hv, one, 1).expect("a port");
    assert_eq!(of(one, 1, ipi).map(|state| (state.status, state.vcpu)), Ok((status::IPI, 1)));
}

#[test]
fn only_ports_without_a_vcpu_of_their_own_are_moved() {
    let world = world();
    let (hv, one) = (&world.hv, &world.one);
    let (_, theirs) = pair(&world);
    assert_eq!(bind_vcpu(hv, one, theirs, 1), Ok(()));
    assert_eq!(bind_vcpu(hv, one, theirs, 2), Err(Errno::ENOENT));
    assert_eq!(bind_vcpu(hv, one, 900, 0), Err(Errno::EINVAL));
    assert_eq!(bind_vcpu(hv, one, theirs + 1, 0), Err(Errno::EINVAL), "free");
    let ipi = bind_ipi(hv, one, 0).expect("a port");
    let debug = bind_virq(hv, one, virq::DEBUG, 0).expect("a port");
    let console = bind_virq(hv, one, virq::CONSOLE, 0).expect("a port");
    assert_eq!(bind_vcpu(hv, one, ipi, 1), Err(Errno::EINVAL));
    assert_eq!(bind_vcpu(hv, one, debug, 1), Err(Errno::EINVAL));
    assert_eq!(bind_vcpu(hv, one, console, 1), Ok(()));
    assert_eq!(bind_ipi(hv, one, 2), Err(Errno::ENOENT));
}
