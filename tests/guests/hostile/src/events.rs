//! Event channels: all there are, closed and reset while another vCPU uses them, and queues that lie.

use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use guest_sdk::{
    abi::{
        Domid, EvtchnPort, GuestHandle,
        event_channel::{self as evtchn, *},
        hypercall::{EVENT_CHANNEL_OP, SCHED_OP},
        sched::{self, Poll},
    },
    memory::Pages,
    smp,
};

use crate::{calls::Tally, edge};

/// Ports looked at for what is in use.
const IN_USE: u32 = 64;
/// Ports that nobody can have.
const ODD: [u32; 8] = [0, 1023, 1024, 4095, 4096, 131_071, 131_072, u32::MAX];

/// The port that both vCPUs use, and whether they are done.
static PORT: AtomicU32 = AtomicU32::new(0);
static DONE: AtomicBool = AtomicBool::new(false);

fn op<T>(tally: &mut Tally, command: u32, structure: &mut T) -> isize {
    tally.op(EVENT_CHANNEL_OP, command, structure)
}

fn on_port(tally: &mut Tally, command: u32, port: u32) -> isize {
    op(tally, command, &mut Send { port: EvtchnPort(port) })
}

/// A port for `remote`, and for this domain.
fn alloc(tally: &mut Tally, remote: Domid) -> Option<u32> {
    let mut alloc = AllocUnbound { dom: Domid::SELF, remote_dom: remote, ..Default::default() };
    (op(tally, evtchn::op::ALLOC_UNBOUND, &mut alloc) == 0).then_some(alloc.port.0)
}

fn bind(tally: &mut Tally, remote: Domid, port: u32) -> Option<u32> {
    let mut bind =
        BindInterdomain { remote_dom: remote, remote_port: EvtchnPort(port), ..Default::default() };
    (op(tally, evtchn::op::BIND_INTERDOMAIN, &mut bind) == 0).then_some(bind.local_port.0)
}

fn status(tally: &mut Tally, port: u32) -> Option<Status> {
    let mut status = Status { dom: Domid::SELF, port: EvtchnPort(port), ..Default::default() };
    (op(tally, evtchn::op::STATUS, &mut status) == 0).then_some(status)
}

/// The id of this domain, as a connection to itself shows it.
pub fn own_id() -> Option<Domid> {
    let mut tally = Tally::default();
    let first = alloc(&mut tally, Domid::SELF)?;
    let second = bind(&mut tally, Domid::SELF, first)?;
    let id = status(&mut tally, second).map(|status| Domid(status.u[0] as u16));
    on_port(&mut tally, evtchn::op::CLOSE, second);
    on_port(&mut tally, evtchn::op::CLOSE, first);
    id
}

/// Connections to other domains that this program needs, by port.
struct Kept(Vec<(u32, Domid, u32)>);

impl Kept {
    fn look(tally: &mut Tally) -> Self {
        let connected = |port| {
            let status = status(tally, port)?;
            let to = (Domid(status.u[0] as u16), status.u[1]);
            (status.status == evtchn::status::INTERDOMAIN).then_some((port, to.0, to.1))
        };
        Self((1..IN_USE).filter_map(connected).collect())
    }

    /// Makes them again, under the same numbers: ports are given out from the lowest on.
    fn restore(&self, tally: &mut Tally) {
        let last = self.0.last().map_or(0, |kept| kept.0);
        for port in 1..=last {
            match self.0.iter().find(|kept| kept.0 == port) {
                Some((_, domid, remote)) => drop(bind(tally, *domid, *remote)),
                None => drop(alloc(tally, Domid::SELF)),
            }
        }
        for port in 1..=last {
            let kept = self.0.iter().any(|kept| kept.0 == port);
            on_port(tally, if kept { evtchn::op::UNMASK } else { evtchn::op::CLOSE }, port);
        }
    }
}

fn reset(tally: &mut Tally, kept: &Kept) {
    for dom in [Domid(0), Domid(0x7ff0), Domid::XEN] {
        op(tally, evtchn::op::RESET, &mut Reset { dom });
    }
    op(tally, evtchn::op::RESET_CONT, &mut Reset { dom: Domid::SELF });
    op(tally, evtchn::op::RESET, &mut Reset { dom: Domid::SELF });
    kept.restore(tally);
}

/// Does all that.
pub fn run(vcpus: usize) -> Tally {
    let mut tally = Tally::default();
    odd_ports(&mut tally);
    all_ports(&mut tally);
    let kept = Kept::look(&mut tally);
    if vcpus > 1 && smp::start(1, meddle).is_ok() {
        for round in 0..3000 {
            open_and_close(&mut tally, round);
            if round % 500 == 0 {
                reset(&mut tally, &kept);
            }
        }
        DONE.store(true, Ordering::Release);
    }
    queues(&mut tally, &kept);
    tally
}

fn odd_ports(tally: &mut Tally) {
    for port in ODD {
        for command in [evtchn::op::SEND, evtchn::op::UNMASK, evtchn::op::CLOSE] {
            on_port(tally, command, port);
        }
        status(tally, port);
        bind(tally, Domid(0), port);
        op(tally, evtchn::op::BIND_VCPU, &mut BindVcpu { port: EvtchnPort(port), vcpu: 0 });
        op(tally, evtchn::op::SET_PRIORITY, &mut SetPriority { port: EvtchnPort(port), priority: port });
        op(tally, evtchn::op::BIND_IPI, &mut BindIpi { vcpu: port | 0x100, ..Default::default() });
        op(tally, evtchn::op::BIND_VIRQ, &mut BindVirq { virq: port | 0x100, ..Default::default() });
    }
}

/// Takes all ports that there are, and gives them back.
fn all_ports(tally: &mut Tally) {
    let taken: Vec<u32> = core::iter::from_fn(|| alloc(tally, Domid(0))).take(5000).collect();
    for virq in 0..24 {
        op(tally, evtchn::op::BIND_VIRQ, &mut BindVirq { virq, ..Default::default() });
    }
    for port in taken {
        on_port(tally, evtchn::op::SEND, port);
        on_port(tally, evtchn::op::CLOSE, port);
    }
}

fn open_and_close(tally: &mut Tally, round: u32) {
    let port = match round % 3 {
        0 => {
            let mut bind = BindIpi { vcpu: round % 2, ..Default::default() };
            op(tally, evtchn::op::BIND_IPI, &mut bind);
            bind.port.0
        }
        1 => alloc(tally, Domid::SELF).and_then(|port| bind(tally, Domid::SELF, port)).unwrap_or(1),
        _ => alloc(tally, Domid(0)).unwrap_or(1),
    };
    PORT.store(port, Ordering::Release);
    on_port(tally, evtchn::op::SEND, port);
    if let Some(status) = status(tally, port)
        && status.status == evtchn::status::INTERDOMAIN
        && status.u[0] != 0
    {
        on_port(tally, evtchn::op::CLOSE, status.u[1]);
    }
    on_port(tally, evtchn::op::CLOSE, port);
}

/// What the other vCPU does: uses the port, whatever it is by then.
fn meddle() {
    let mut tally = Tally::default();
    while !DONE.load(Ordering::Acquire) {
        let port = PORT.load(Ordering::Acquire).max(4);
        on_port(&mut tally, evtchn::op::SEND, port);
        on_port(&mut tally, evtchn::op::UNMASK, port);
        op(&mut tally, evtchn::op::BIND_VCPU, &mut BindVcpu { port: EvtchnPort(port), vcpu: 1 });
        status(&mut tally, port);
        let ports = [EvtchnPort(port), EvtchnPort(u32::MAX)];
        let ports = GuestHandle::new(ports.as_ptr() as u64);
        // The time has passed already.
        let mut poll = Poll { ports, nr_ports: 2, timeout: 1, ..Default::default() };
        tally.op(SCHED_OP, sched::op::POLL, &mut poll);
    }
}

/// Queues in the guest's memory, whose words are not what the hypervisor wrote; the pages go while they are in use.
fn queues(tally: &mut Tally, kept: &Kept) {
    let masked = crate::probe::mask_interrupts();
    let Ok(pages) = Pages::new(2) else { return };
    let (control, words) = (pages.gfn(0), pages.gfn(1));
    let address = pages.into_raw().as_ptr() as usize + 4096;
    for (vcpu, offset, gfn) in
        [(99, 0, control.0), (0, 4, control.0), (0, u32::MAX, control.0), (0, 0, u64::MAX)]
    {
        op(
            tally,
            evtchn::op::INIT_CONTROL,
            &mut InitControl { control_gfn: gfn, offset, vcpu, ..Default::default() },
        );
    }
    op(tally, evtchn::op::EXPAND_ARRAY, &mut ExpandArray { array_gfn: words.0 });
    op(tally, evtchn::op::INIT_CONTROL, &mut InitControl { control_gfn: control.0, ..Default::default() });
    for gfn in [u64::MAX, 0, words.0, words.0] {
        op(tally, evtchn::op::EXPAND_ARRAY, &mut ExpandArray { array_gfn: gfn });
    }
    let mut bind = BindIpi::default();
    op(tally, evtchn::op::BIND_IPI, &mut bind);
    for word in [0, u32::MAX, 1 << 29, 7 << 29, 0x2000_0000 | bind.port.0, 0x2001_ffff] {
        for port in 0..8 {
            edge::write(address + 4 * port, word);
        }
        on_port(tally, evtchn::op::SEND, bind.port.0);
        on_port(tally, evtchn::op::UNMASK, bind.port.0);
        on_port(tally, evtchn::op::SEND, bind.port.0);
    }
    crate::memory::give_back(words, 0);
    crate::memory::give_back(control, 0);
    on_port(tally, evtchn::op::SEND, bind.port.0);
    on_port(tally, evtchn::op::UNMASK, bind.port.0);
    reset(tally, kept);
    crate::memory::ask_for(words);
    crate::memory::ask_for(control);
    drop(masked);
}
