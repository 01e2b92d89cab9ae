//! Event channels between domains of the fake machine. Guests' virtual addresses are their physical
//! ones; each has RAM from `GUEST_RAM` on.

use alloc::{sync::Arc, vec::Vec};

use xen_abi::{
    Domid, Errno, EvtchnPort, Mfn, PAGE_SIZE,
    event_channel::{
        AllocUnbound, BindInterdomain, BindIpi, BindVcpu, BindVirq, Close, ExpandArray, FifoControlBlock,
        InitControl, Reset, Send, SetPriority, Status, Unmask, fifo as words, op, status,
    },
    hypercall::{EVENT_CHANNEL_OP, SCHED_OP, VCPU_OP},
    sched::Poll,
    vcpu::RegisterVcpuInfo,
    xen::virq,
};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::*;
use crate::{
    domain::DomainConfig,
    fake::{FakeMachine, GUEST_RAM, as_guest, control_config, domain, guest_config, hypervisor},
    hypercall::Stop,
    regs::Arm32Regs,
    vcpu::VcpuRef,
};

type Fake = FakeMachine<Arm32Regs>;
type Hv = Hypervisor<Fake>;
type Dom = Arc<Domain<Fake>>;

/// Pages of each domain.
const PAGES: u32 = 8;
/// Where arguments are.
const ARG: u64 = GUEST_RAM.0 << 12;
const CONTROL: u64 = GUEST_RAM.0 + 1;
const ARRAY: u64 = GUEST_RAM.0 + 2;
const AREA: u64 = GUEST_RAM.0 + 4;

struct World {
    hv: Hv,
    dom0: Dom,
    one: Dom,
    two: Dom,
}

fn world() -> World {
    let hv = hypervisor(256, 1);
    let dom0 = domain(&hv, 0, control_config(), PAGES);
    let config = DomainConfig { max_vcpus: 2, ..guest_config() };
    let one = domain(&hv, 1, config.clone(), PAGES);
    let two = domain(&hv, 2, config, PAGES);
    World { hv, dom0, one, two }
}

fn frame(hv: &Hv, domain: &Dom, gfn: u64) -> Mfn {
    domain.p2m(hv.mem()).lookup(xen_abi::Gfn(gfn)).expect("RAM").mfn
}

fn call_raw(hv: &Hv, caller: &Dom, command: u32, at: u64) -> Result<u64, Stop> {
    as_guest(hv, caller, |cur| event_channel_op(cur, command.into(), at))
}

fn call<T: IntoBytes + FromBytes + Immutable>(
    hv: &Hv,
    caller: &Dom,
    command: u32,
    mut op: T,
) -> Result<T, Errno> {
    as_guest(hv, caller, |cur| {
        cur.write(ARG, &op).expect("RAM");
        let result = event_channel_op(cur, command.into(), ARG);
        op = cur.read(ARG).expect("RAM");
        match result {
            Ok(_) => Ok(op),
            Err(Stop::Failed(errno)) => Err(errno),
            Err(Stop::Preempted(_)) => panic!("nothing to wait for"),
        }
    })
}

fn unbound(hv: &Hv, caller: &Dom, dom: Domid, remote: Domid) -> Result<u32, Errno> {
    let op = AllocUnbound { dom, remote_dom: remote, ..Default::default() };
    call(hv, caller, op::ALLOC_UNBOUND, op).map(|op| op.port.0)
}

fn connect(hv: &Hv, caller: &Dom, remote: Domid, port: u32) -> Result<u32, Errno> {
    let op = BindInterdomain { remote_dom: remote, remote_port: EvtchnPort(port), ..Default::default() };
    call(hv, caller, op::BIND_INTERDOMAIN, op).map(|op| op.local_port.0)
}

fn bind_virq(hv: &Hv, caller: &Dom, virq: u32, vcpu: u32) -> Result<u32, Errno> {
    call(hv, caller, op::BIND_VIRQ, BindVirq { virq, vcpu, ..Default::default() }).map(|op| op.port.0)
}

fn bind_ipi(hv: &Hv, caller: &Dom, vcpu: u32) -> Result<u32, Errno> {
    call(hv, caller, op::BIND_IPI, BindIpi { vcpu, ..Default::default() }).map(|op| op.port.0)
}

fn close(hv: &Hv, caller: &Dom, port: u32) -> Result<(), Errno> {
    call(hv, caller, op::CLOSE, Close { port: EvtchnPort(port) }).map(|_| ())
}

fn send(hv: &Hv, caller: &Dom, port: u32) -> Result<(), Errno> {
    call(hv, caller, op::SEND, Send { port: EvtchnPort(port) }).map(|_| ())
}

fn unmask(hv: &Hv, caller: &Dom, port: u32) -> Result<(), Errno> {
    call(hv, caller, op::UNMASK, Unmask { port: EvtchnPort(port) }).map(|_| ())
}

fn bind_vcpu(hv: &Hv, caller: &Dom, port: u32, vcpu: u32) -> Result<(), Errno> {
    call(hv, caller, op::BIND_VCPU, BindVcpu { port: EvtchnPort(port), vcpu }).map(|_| ())
}

fn port_status(hv: &Hv, caller: &Dom, dom: Domid, port: u32) -> Result<Status, Errno> {
    call(hv, caller, op::STATUS, Status { dom, port: EvtchnPort(port), ..Default::default() })
}

fn set_priority(hv: &Hv, caller: &Dom, port: u32, priority: u32) -> Result<(), Errno> {
    call(hv, caller, op::SET_PRIORITY, SetPriority { port: EvtchnPort(port), priority }).map(|_| ())
}

/// dom0 and a guest, connected: the ports of each.
fn pair(world: &World) -> (u32, u32) {
    let theirs = unbound(&world.hv, &world.one, Domid::SELF, Domid(0)).expect("a port");
    let ours = connect(&world.hv, &world.dom0, Domid(1), theirs).expect("a connection");
    (ours, theirs)
}

fn is_pending(hv: &Hv, domain: &Dom, port: u32) -> bool {
    two_level::is_pending(&hv.machine, domain.shared_info, port)
}

fn clear_mask(hv: &Hv, domain: &Dom, port: u32) {
    let at = 560 + (port / 64) as usize * 8;
    hv.machine.fetch_and64(domain.shared_info, at, !(1 << (port % 64)));
}

/// Flag and selector of vCPU 0's area in the shared page; both are cleared.
fn upcall(hv: &Hv, domain: &Dom) -> (u8, u64) {
    let flag = hv.machine.swap8(domain.shared_info, 0, 0);
    (flag, hv.machine.fetch_and64(domain.shared_info, 8, 0))
}

#[test]
fn a_new_connection_is_pending_at_whoever_made_it() {
    let world = world();
    let (ours, theirs) = pair(&world);
    assert!(is_pending(&world.hv, &world.dom0, ours));
    assert!(!is_pending(&world.hv, &world.one, theirs));
}

#[test]
fn an_event_goes_through_bitmap_selector_and_flag() {
    let world = world();
    let (hv, one) = (&world.hv, &world.one);
    let (ours, theirs) = pair(&world);
    clear_mask(hv, one, theirs);
    assert_eq!(send(hv, &world.dom0, ours), Ok(()));
    assert!(is_pending(hv, one, theirs));
    assert_eq!(upcall(hv, one), (1, 1));
    assert_eq!(send(hv, &world.dom0, ours), Ok(()));
    assert_eq!(upcall(hv, one), (0, 0), "it was pending already");
}

#[test]
fn a_masked_event_is_told_when_it_is_unmasked() {
    let world = world();
    let (hv, one) = (&world.hv, &world.one);
    let (ours, theirs) = pair(&world);
    send(hv, &world.dom0, ours).expect("sent");
    assert_eq!(upcall(hv, one), (0, 0));
    assert_eq!(unmask(hv, one, theirs), Ok(()));
    assert_eq!(upcall(hv, one), (1, 1));
    assert_eq!(unmask(hv, one, theirs), Ok(()));
    assert_eq!(upcall(hv, one), (0, 0), "it was not masked any more");
}

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

#[test]
fn bad_pointers_and_commands_fail_cleanly() {
    let world = world();
    let (hv, one) = (&world.hv, &world.one);
    for command in 0..15 {
        let result = call_raw(hv, one, command, 0x1000);
        assert_eq!(result, Err(Stop::Failed(Errno::EFAULT)), "command {command}");
    }
    assert_eq!(call_raw(hv, one, 15, ARG), Err(Stop::Failed(Errno::ENOSYS)));
    for (pirq, error) in [(0, Errno::ENOMEM), (1023, Errno::ENOMEM), (1024, Errno::EINVAL)] {
        as_guest(hv, one, |cur| cur.write(ARG, &pirq).expect("RAM"));
        assert_eq!(call_raw(hv, one, op::BIND_PIRQ, ARG), Err(Stop::Failed(error)), "{pirq}");
    }
}

fn register_area(hv: &Hv, domain: &Dom, caller: u32, vcpu: u32, gfn: u64, offset: u32) -> i32 {
    let current = VcpuRef::new(domain, caller).expect("a vCPU");
    let mut regs = Arm32Regs::default();
    let mut cur = crate::Current::new(hv, &current, &mut regs, crate::machine::CpuId(0));
    cur.write(ARG, &RegisterVcpuInfo { mfn: gfn, offset, rsvd: 0 }).expect("RAM");
    cur.regs.r = [10, vcpu, ARG as u32, 0, 0, 0, 0, 0, 0, 0, 0, 0, VCPU_OP];
    cur.hypercall();
    cur.regs.r[0] as i32
}

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

// The FIFO ABI.

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

fn init_control(hv: &Hv, domain: &Dom, vcpu: u32, gfn: u64, offset: u32) -> Result<u8, Errno> {
    let op = InitControl { control_gfn: gfn, offset, vcpu, ..Default::default() };
    call(hv, domain, op::INIT_CONTROL, op).map(|op| op.link_bits)
}

fn expand(hv: &Hv, domain: &Dom, gfn: u64) -> Result<(), Errno> {
    call(hv, domain, op::EXPAND_ARRAY, ExpandArray { array_gfn: gfn }).map(|_| ())
}

fn use_fifo(hv: &Hv, domain: &Dom) {
    assert_eq!(init_control(hv, domain, 0, CONTROL, 0), Ok(17));
    assert_eq!(expand(hv, domain, ARRAY), Ok(()));
}

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
fn the_hypercall_number_reaches_all_of_this() {
    let world = world();
    let result = as_guest(&world.hv, &world.one, |cur| {
        cur.write(ARG, &BindIpi::default()).expect("RAM");
        cur.regs.r[0] = op::BIND_IPI;
        cur.regs.r[1] = ARG as u32;
        cur.regs.r[12] = EVENT_CHANNEL_OP;
        cur.hypercall();
        (cur.regs.r[0], cur.read::<BindIpi>(ARG).map(|op| op.port.0))
    });
    assert_eq!(result, (0, Ok(1)));
}
