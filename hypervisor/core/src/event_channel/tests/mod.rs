//! Event channels between domains of the fake machine. Guests' virtual addresses are their physical
//! ones; each has RAM from `GUEST_RAM` on.

mod areas;
mod binding;
mod queues;
mod resets;

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

fn clear_pending(hv: &Hv, domain: &Dom, port: u32) {
    two_level::clear_pending(&hv.machine, domain.shared_info, port);
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
    let mut cur = crate::Current::new(hv, &current, &mut regs, hv.percpu(crate::machine::CpuId(0)));
    cur.write(ARG, &RegisterVcpuInfo { mfn: gfn, offset, rsvd: 0 }).expect("RAM");
    cur.regs.r = [10, vcpu, ARG as u32, 0, 0, 0, 0, 0, 0, 0, 0, 0, VCPU_OP];
    cur.hypercall();
    cur.regs.r[0] as i32
}

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
