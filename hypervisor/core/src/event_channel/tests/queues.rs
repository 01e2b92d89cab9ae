//! The FIFO ABI.

use super::*;

fn word(hv: &Hv, domain: &Dom, port: u32) -> u32 {
    hv.machine.load32(frame(hv, domain, ARRAY), port as usize * 4)
}

fn set_word(hv: &Hv, domain: &Dom, port: u32, value: u32) {
    hv.machine.store32(frame(hv, domain, ARRAY), port as usize * 4, value);
}

const PENDING: u32 = 1 << words::PENDING;
const MASKED: u32 = 1 << words::MASKED;
const LINKED: u32 = 1 << words::LINKED;
const BUSY: u32 = 1 << words::BUSY;

/// Takes every event of a queue, as a guest does. Bounded: a queue is at most as long as it can be.
fn drain(hv: &Hv, domain: &Dom, block: usize, queue: u32) -> Vec<u32> {
    let control = frame(hv, domain, CONTROL);
    let ready = hv.machine.fetch_and32(control, block, !(1 << queue));
    let mut taken = Vec::new();
    if ready >> queue & 1 == 0 {
        return taken;
    }
    let mut port = hv.machine.load32(control, block + 8 + queue as usize * 4);
    while port != 0 && taken.len() < 1024 {
        let old = word(hv, domain, port);
        set_word(hv, domain, port, old & !(LINKED | PENDING | words::LINK_MASK));
        taken.push(port);
        port = old & words::LINK_MASK;
    }
    taken
}

#[test]
fn events_queue_in_the_order_they_were_sent() {
    let world = world();
    let (hv, dom0, one) = (&world.hv, &world.dom0, &world.one);
    use_fifo(hv, one);
    let pairs: Vec<_> = (0..5).map(|_| pair(&world)).collect();
    for n in [3, 1, 4, 0, 2, 1] {
        send(hv, dom0, pairs[n].0).expect("sent");
    }
    let expected: Vec<u32> = [3, 1, 4, 0, 2].map(|n| pairs[n as usize].1).to_vec();
    assert_eq!(upcall(hv, one).0, 1);
    assert_eq!(drain(hv, one, 0, 7), expected);
    send(hv, dom0, pairs[2].0).expect("sent");
    assert_eq!(upcall(hv, one).0, 1, "the queue was empty again");
    assert_eq!(drain(hv, one, 0, 7), [pairs[2].1]);
}

#[test]
fn an_event_in_a_masked_word_is_queued_by_unmasking() {
    let world = world();
    let (hv, dom0, one) = (&world.hv, &world.dom0, &world.one);
    use_fifo(hv, one);
    let (ours, theirs) = pair(&world);
    set_word(hv, one, theirs, MASKED);
    send(hv, dom0, ours).expect("sent");
    assert_eq!(word(hv, one, theirs), PENDING | MASKED);
    assert_eq!(upcall(hv, one).0, 0);
    unmask(hv, one, theirs).expect("unmasked");
    assert_eq!(word(hv, one, theirs), PENDING | LINKED);
    assert_eq!(drain(hv, one, 0, 7), [theirs]);
}

#[test]
fn a_changed_priority_holds_for_the_next_event() {
    let world = world();
    let (hv, dom0, one) = (&world.hv, &world.dom0, &world.one);
    let (ours, theirs) = pair(&world);
    assert_eq!(set_priority(hv, one, theirs, 3), Err(Errno::ENOSYS), "not in the 2-level ABI");
    use_fifo(hv, one);
    assert_eq!(set_priority(hv, one, theirs, 16), Err(Errno::EINVAL));
    assert_eq!(set_priority(hv, one, 900, 3), Err(Errno::EINVAL));
    assert_eq!(set_priority(hv, one, theirs + 1, 16), Err(Errno::EACCES), "not in use");
    send(hv, dom0, ours).expect("sent");
    assert_eq!(set_priority(hv, one, theirs, 3), Ok(()));
    assert_eq!(drain(hv, one, 0, 7), [theirs]);
    send(hv, dom0, ours).expect("sent");
    assert_eq!(drain(hv, one, 0, 3), [theirs]);
}

#[test]
fn a_tail_that_moves_to_another_queue_is_no_tail_of_the_old_one() {
    let world = world();
    let (hv, dom0, one) = (&world.hv, &world.dom0, &world.one);
    use_fifo(hv, one);
    let (first, second) = (pair(&world), pair(&world));
    send(hv, dom0, first.0).expect("sent");
    assert_eq!(drain(hv, one, 0, 7), [first.1]);
    set_priority(hv, one, first.1, 2).expect("set");
    send(hv, dom0, first.0).expect("sent");
    // Were the old tail still believed, this would be linked behind it, into the other queue.
    send(hv, dom0, second.0).expect("sent");
    assert_eq!(drain(hv, one, 0, 2), [first.1]);
    assert_eq!(drain(hv, one, 0, 7), [second.1]);
}

#[test]
fn what_is_pending_at_the_switch_is_raised_when_the_words_come() {
    let world = world();
    let (hv, dom0, one) = (&world.hv, &world.dom0, &world.one);
    let (ours, theirs) = pair(&world);
    send(hv, dom0, ours).expect("sent");
    assert_eq!(init_control(hv, one, 0, CONTROL, 0), Ok(17));
    let late = pair(&world);
    send(hv, dom0, late.0).expect("sent");
    assert_eq!(upcall(hv, one).0, 0);
    assert_eq!(expand(hv, one, ARRAY), Ok(()));
    assert_eq!(drain(hv, one, 0, 7), [theirs, late.1]);
}

#[test]
fn control_blocks_lie_in_own_pages_aligned_and_once() {
    let world = world();
    let (hv, one) = (&world.hv, &world.one);
    assert_eq!(expand(hv, one, ARRAY), Err(Errno::EOPNOTSUPP));
    let size = size_of::<FifoControlBlock>() as u32;
    assert_eq!(init_control(hv, one, 2, CONTROL, 0), Err(Errno::ENOENT));
    assert_eq!(init_control(hv, one, 0, CONTROL, 4), Err(Errno::EINVAL));
    assert_eq!(init_control(hv, one, 0, CONTROL, PAGE_SIZE as u32 - size + 8), Err(Errno::EINVAL));
    assert_eq!(init_control(hv, one, 0, 0x999, 0), Err(Errno::EINVAL));
    assert_eq!(expand(hv, one, ARRAY), Err(Errno::EOPNOTSUPP), "no failure switched");
    assert_eq!(init_control(hv, one, 0, CONTROL, PAGE_SIZE as u32 - size), Ok(17));
    assert_eq!(init_control(hv, one, 0, CONTROL, 0), Err(Errno::EINVAL));
    assert_eq!(init_control(hv, one, 1, CONTROL, 0), Ok(17));
    assert_eq!(expand(hv, one, 0x999), Err(Errno::EINVAL));
    for _ in 0..128 {
        assert_eq!(expand(hv, one, ARRAY), Ok(()));
    }
    assert_eq!(expand(hv, one, ARRAY), Err(Errno::ENOSPC));
}

#[test]
fn an_event_for_a_vcpu_without_a_block_is_dropped_not_lost_for_good() {
    let world = world();
    let (hv, dom0, one) = (&world.hv, &world.dom0, &world.one);
    use_fifo(hv, one);
    let (ours, theirs) = pair(&world);
    bind_vcpu(hv, one, theirs, 1).expect("bound");
    send(hv, dom0, ours).expect("sent");
    assert_eq!(word(hv, one, theirs), 0);
    assert_eq!(init_control(hv, one, 1, CONTROL, 128), Ok(17));
    assert_eq!(register_area(hv, one, 0, 1, AREA, 0), 0);
    send(hv, dom0, ours).expect("sent");
    assert_eq!(drain(hv, one, 128, 7), [theirs]);
}

#[test]
fn a_port_still_in_a_queue_is_not_given_out_again() {
    let world = world();
    let (hv, dom0, one) = (&world.hv, &world.dom0, &world.one);
    use_fifo(hv, one);
    let (ours, theirs) = pair(&world);
    send(hv, dom0, ours).expect("sent");
    close(hv, one, theirs).expect("closed");
    assert_eq!(word(hv, one, theirs), LINKED, "not pending any more");
    let other = bind_ipi(hv, one, 0).expect("a port");
    assert_ne!(other, theirs);
    drain(hv, one, 0, 7);
    assert_eq!(bind_ipi(hv, one, 0), Ok(theirs));
}

#[test]
fn a_guest_that_breaks_its_queues_hurts_itself_only() {
    let world = world();
    let (hv, dom0, one) = (&world.hv, &world.dom0, &world.one);
    use_fifo(hv, one);
    let pairs: Vec<_> = (0..3).map(|_| pair(&world)).collect();
    for garbage in [u32::MAX, LINKED | 0x1_ffff, LINKED | BUSY, PENDING | LINKED | 1, words::LINK_MASK] {
        for (ours, theirs) in &pairs {
            set_word(hv, one, *theirs, garbage);
            send(hv, dom0, *ours).expect("sent");
        }
        hv.machine.fail_atomics(5);
        for (ours, theirs) in &pairs {
            set_word(hv, one, *theirs, 0);
            send(hv, dom0, *ours).expect("sent");
            set_word(hv, one, *theirs, garbage | LINKED);
        }
        let control = frame(hv, one, CONTROL);
        hv.machine.write_frame(control, 0, &[0xff; 72]);
    }
    hv.machine.fail_atomics(0);
    let (theirs, ours) = {
        let theirs = unbound(hv, &world.two, Domid::SELF, Domid(0)).expect("a port");
        (theirs, connect(hv, dom0, Domid(2), theirs).expect("a connection"))
    };
    send(hv, dom0, ours).expect("sent");
    assert!(is_pending(hv, &world.two, theirs));
}

#[test]
fn a_guest_that_hammers_the_tail_is_given_up_on_after_a_few_tries() {
    let world = world();
    let (hv, dom0, one) = (&world.hv, &world.dom0, &world.one);
    use_fifo(hv, one);
    let (first, second) = (pair(&world), pair(&world));
    send(hv, dom0, first.0).expect("sent");
    hv.machine.fail_atomics(1000);
    send(hv, dom0, second.0).expect("sent");
    hv.machine.fail_atomics(0);
    assert_eq!(word(hv, one, first.1) & BUSY, 0, "the guest may unmask again");
}
