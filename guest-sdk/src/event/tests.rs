use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use xen_abi::xen::virq;

use super::*;
use crate::{exec, fake::Machine};

const BACK: Domid = Domid(0);
const FRONT: Domid = Domid(1);

#[test]
fn events_go_both_ways_and_count_once() {
    let machine = Machine::new();
    let (back, front) = (machine.domain(BACK), machine.domain(FRONT));
    let listener = back.within(|| Port::alloc_unbound(FRONT).unwrap());
    let number = listener.number();
    let answered = back.spawn(async move {
        listener.wait().await;
        listener.notify().unwrap();
        listener
    });
    front.run(async {
        let port = Port::bind_interdomain(BACK, number).unwrap();
        port.wait().await;
        assert!(!port.take(), "the first event was one");
        port.notify().unwrap();
        port.notify().unwrap();
        port.wait().await;
        assert!(!port.take());
        let listener = answered.await.unwrap();
        back.within(|| assert!(!listener.take(), "two events before a look are one"));
    });
}

#[test]
fn a_port_for_another_domain_is_refused() {
    let machine = Machine::new();
    let (back, front, other) = (machine.domain(BACK), machine.domain(FRONT), machine.domain(Domid(2)));
    let port = back.within(|| Port::alloc_unbound(FRONT).unwrap());
    let bind = || Port::bind_interdomain(BACK, port.number()).map(drop);
    assert_eq!(other.within(bind), Err(Errno::EINVAL));
    assert_eq!(front.within(bind), Ok(()));
}

#[test]
fn a_dropped_port_is_closed_and_its_events_are_lost() {
    let machine = Machine::new();
    let domain = machine.domain(FRONT);
    let open = domain.open_ports();
    domain.within(|| {
        let port = Port::bind_virq(virq::DEBUG, VcpuId(0)).unwrap();
        assert_eq!(Port::bind_virq(virq::DEBUG, VcpuId(0)).map(drop), Err(Errno::EEXIST));
        drop(port);
        Port::bind_virq(virq::DEBUG, VcpuId(0)).unwrap();
    });
    assert_eq!(domain.open_ports(), open);
    domain.raise_virq(virq::DEBUG);
    machine.settle();
}

#[test]
fn a_handler_runs_at_each_event_and_may_use_its_port() {
    let machine = Machine::new();
    let domain = machine.domain(FRONT);
    domain.run(async {
        let port = Arc::new(Port::bind_ipi(VcpuId(0)).unwrap());
        let count = Arc::new(AtomicU32::new(0));
        let (again, counter) = (port.number(), count.clone());
        port.on_event(move || {
            if counter.fetch_add(1, Ordering::Relaxed) == 0 {
                evtchn::send(again).unwrap();
            }
        });
        port.notify().unwrap();
        port.wait().await;
        while count.load(Ordering::Relaxed) < 2 {
            exec::yield_now().await;
        }
    });
}
