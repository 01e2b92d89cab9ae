//! Where a vCPU is told, and waits.

use super::*;

#[test]
fn a_registered_area_takes_over_what_was_pending() {
    let world = world();
    let (hv, one) = (&world.hv, &world.one);
    let references = || hv.frames.references(frame(hv, one, AREA));
    let before = references();
    assert_eq!(register_area(hv, one, 0, 0, AREA, 4096 - 47), -6, "beyond the page");
    assert_eq!(register_area(hv, one, 0, 0, AREA, 12), -6, "not aligned");
    assert_eq!(register_area(hv, one, 0, 0, AREA, u32::MAX - 7), -6);
    assert_eq!(register_area(hv, one, 0, 0, 0x999, 0), -22, "no such page");
    assert_eq!(register_area(hv, one, 0, 7, AREA, 0), -2);
    assert_eq!(references(), before);
    assert_eq!(register_area(hv, one, 0, 0, AREA, 128), 0);
    assert_eq!(references(), before + 1);
    let mfn = frame(hv, one, AREA);
    assert_eq!(hv.machine.load64(mfn, 128 + 8), u64::MAX);
    assert_eq!(hv.machine.swap8(mfn, 128, 0), 1);
    assert_eq!(register_area(hv, one, 0, 0, AREA, 0), -22, "only once");
    let (ours, theirs) = pair(&world);
    clear_mask(hv, one, theirs);
    hv.machine.store64(mfn, 128 + 8, 0);
    send(hv, &world.dom0, ours).expect("sent");
    assert_eq!((hv.machine.swap8(mfn, 128, 0), hv.machine.load64(mfn, 128 + 8)), (1, 1));
    assert_eq!(upcall(hv, one), (0, 0), "the old area is left alone");
}

#[test]
fn an_event_for_a_vcpu_without_an_area_waits_in_the_bitmap() {
    let world = world();
    let (hv, one) = (&world.hv, &world.one);
    let (ours, theirs) = pair(&world);
    clear_mask(hv, one, theirs);
    bind_vcpu(hv, one, theirs, 1).expect("bound");
    send(hv, &world.dom0, ours).expect("sent");
    assert!(is_pending(hv, one, theirs));
    assert_eq!(register_area(hv, one, 0, 1, AREA, 0), 0, "another one that is off");
    assert_eq!(hv.machine.load64(frame(hv, one, AREA), 8), u64::MAX);
}

#[test]
fn a_poll_ends_with_its_port_masked_or_not() {
    let world = world();
    let (hv, dom0, one) = (&world.hv, &world.dom0, &world.one);
    let (ours, theirs) = pair(&world);
    let vcpu = &one.vcpus()[0];
    let poll = |ports: &[u32], nr: u32| {
        as_guest(hv, one, |cur| {
            for (n, port) in ports.iter().enumerate() {
                cur.write(ARG + 64 + n as u64 * 4, port).expect("RAM");
            }
            let poll =
                Poll { ports: xen_abi::GuestHandle::new(ARG + 64), nr_ports: nr, ..Default::default() };
            cur.write(ARG, &poll).expect("RAM");
            cur.regs.r[0] = 3;
            cur.regs.r[1] = ARG as u32;
            cur.regs.r[12] = SCHED_OP;
            cur.hypercall();
            cur.regs.r[0] as i32
        })
    };
    assert_eq!(poll(&[theirs], 1), 0);
    assert!(vcpu.sched.is_blocked());
    send(hv, dom0, ours).expect("sent");
    assert!(!vcpu.sched.is_blocked());
    assert_eq!(poll(&[theirs], 1), 0);
    assert!(!vcpu.sched.is_blocked(), "pending already");
    assert_eq!(poll(&[theirs], 129), -22);
    for bad in [0, theirs + 1, 5000, u32::MAX] {
        assert_eq!(poll(&[bad], 1), -22, "port {bad}");
        assert!(!vcpu.sched.is_blocked());
    }
}
