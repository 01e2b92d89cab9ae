//! event_channel_op.

use guest_sdk::abi::{
    Domid, EvtchnPort,
    event_channel::{
        AllocUnbound, BindInterdomain, BindIpi, BindPirq, BindVcpu, BindVirq, Close, ExpandArray,
        InitControl, Reset, Send, SetPriority, Status, Unmask, op,
    },
    hypercall::{EVENT_CHANNEL_OP, EVENT_CHANNEL_OP_COMPAT},
};
use zerocopy::IntoBytes;

use crate::{
    calls::{self, Call},
    field,
    scratch::{HOLE, MEMORY},
    transcript::Transcript,
    values::{DOMIDS, FEW, FRAMES, PORTS, WORDS},
};

/// Makes all calls.
pub fn walk(t: &mut Transcript) {
    numbers(t);
    reset(t);
    making(t);
    using(t);
    fifo(t);
}

fn call(command: u32) -> impl Fn(usize) -> Call + 'static {
    move |at| Call(EVENT_CHANNEL_OP, [command as usize, at, 0, 0, 0])
}

/// Closes all ports.
fn reset(t: &Transcript) {
    reset_of(t, Domid::SELF);
}

fn reset_of(t: &Transcript, dom: Domid) {
    calls::store(t.scratch.argument(), Reset { dom }.as_bytes());
    while t.quiet(call(op::RESET)(t.scratch.argument())) > 0 {}
}

fn numbers(t: &mut Transcript) {
    for command in (0..20).chain([0x7fff_ffff, 0xffff_ffff]) {
        t.call("evtchn null", EVENT_CHANNEL_OP, [command, 0, 0, 0, 0]);
        t.call("evtchn nowhere", EVENT_CHANNEL_OP, [command, 0x1000, 0, 0, 0]);
    }
    for pointer in [0, 0x1000] {
        t.call("evtchn compat", EVENT_CHANNEL_OP_COMPAT, [pointer, 0, 0, 0, 0]);
    }
}

/// What makes ports.
fn making(t: &mut Transcript) {
    let me = Domid::SELF;
    let base = AllocUnbound { dom: me, remote_dom: me, port: EvtchnPort(9) };
    t.operation("alloc_unbound", call(op::ALLOC_UNBOUND))
        .field(field!(AllocUnbound, dom), DOMIDS)
        .field(field!(AllocUnbound, remote_dom), DOMIDS)
        .undo(|t| {
            reset(t);
            reset_of(t, Domid(1));
        })
        .run(&base);
    t.operation("bind_interdomain to nothing", call(op::BIND_INTERDOMAIN))
        .field(field!(BindInterdomain, remote_dom), DOMIDS)
        .field(field!(BindInterdomain, remote_port), PORTS)
        .undo(reset)
        .run_with_pointers(&BindInterdomain {
            remote_dom: me,
            remote_port: EvtchnPort(1),
            ..Default::default()
        });
    t.operation("bind_virq", call(op::BIND_VIRQ))
        .field(
            field!(BindVirq, virq),
            &(0..30).chain([0x7fff_ffff, 0xffff_ffff]).collect::<alloc::vec::Vec<_>>(),
        )
        .field(field!(BindVirq, vcpu), WORDS)
        .undo(reset)
        .run_with_pointers(&BindVirq { virq: 1, vcpu: 0, port: EvtchnPort(9) });
    t.operation("bind_virq global", call(op::BIND_VIRQ))
        .field(field!(BindVirq, vcpu), WORDS)
        .undo(reset)
        .run(&BindVirq { virq: 3, vcpu: 0, port: EvtchnPort(9) });
    t.operation("bind_ipi", call(op::BIND_IPI))
        .field(field!(BindIpi, vcpu), WORDS)
        .undo(reset)
        .run_with_pointers(&BindIpi { vcpu: 0, port: EvtchnPort(9) });
    t.operation("bind_pirq", call(op::BIND_PIRQ))
        .field(field!(BindPirq, pirq), WORDS)
        .field(field!(BindPirq, flags), FEW)
        .undo(reset)
        .run_with_pointers(&BindPirq { pirq: 33, ..Default::default() });
    // The same twice.
    for _ in 0..2 {
        t.operation("bind_virq again", call(op::BIND_VIRQ)).run(&BindVirq {
            virq: 1,
            vcpu: 0,
            port: EvtchnPort(9),
        });
        t.operation("bind_ipi again", call(op::BIND_IPI)).run(&BindIpi { vcpu: 0, port: EvtchnPort(9) });
    }
    reset(t);
}

/// Ports of each kind: 1 and 2 connected to each other, 3 unbound for nobody, 4 a virtual interrupt, 5 between vCPUs,
/// 6 a global virtual interrupt.
fn ports(t: &mut Transcript) {
    reset(t);
    let me = Domid::SELF;
    let dom = |dom, remote_dom| AllocUnbound { dom, remote_dom, port: EvtchnPort(0) };
    t.operation("make unbound", call(op::ALLOC_UNBOUND)).run(&dom(me, me));
    t.operation("make connected", call(op::BIND_INTERDOMAIN)).run(&BindInterdomain {
        remote_dom: me,
        remote_port: EvtchnPort(1),
        ..Default::default()
    });
    t.operation("make unbound", call(op::ALLOC_UNBOUND)).run(&dom(me, Domid(2)));
    t.operation("make virq", call(op::BIND_VIRQ)).run(&BindVirq { virq: 1, ..Default::default() });
    t.operation("make ipi", call(op::BIND_IPI)).run(&BindIpi::default());
    t.operation("make virq global", call(op::BIND_VIRQ)).run(&BindVirq { virq: 3, ..Default::default() });
}

const KINDS: &[u64] = &[0, 1, 2, 3, 4, 5, 6, 7, 1023, 1024, 4095, 4096, 0x1_ffff, 0x2_0000, 0xffff_ffff];

fn using(t: &mut Transcript) {
    ports(t);
    let me = Domid::SELF;
    let status = Status { dom: me, port: EvtchnPort(1), ..Default::default() };
    t.operation("status", call(op::STATUS))
        .field(field!(Status, dom), DOMIDS)
        .field(field!(Status, port), KINDS)
        .run_with_pointers(&status);
    t.operation("send", call(op::SEND))
        .field(field!(Send, port), KINDS)
        .run_with_pointers(&Send { port: EvtchnPort(1) });
    t.operation("unmask", call(op::UNMASK))
        .field(field!(Unmask, port), KINDS)
        .run_with_pointers(&Unmask { port: EvtchnPort(1) });
    t.operation("bind_interdomain to any", call(op::BIND_INTERDOMAIN))
        .field(field!(BindInterdomain, remote_port), KINDS)
        .run(&BindInterdomain { remote_dom: me, remote_port: EvtchnPort(1), ..Default::default() });
    let bind = BindVcpu { port: EvtchnPort(1), vcpu: 0 };
    t.operation("bind_vcpu", call(op::BIND_VCPU))
        .field(field!(BindVcpu, port), KINDS)
        .field(field!(BindVcpu, vcpu), WORDS)
        .run_with_pointers(&bind);
    let priority = SetPriority { port: EvtchnPort(1), priority: 3 };
    t.operation("set_priority without fifo", call(op::SET_PRIORITY))
        .field(field!(SetPriority, port), KINDS)
        .field(field!(SetPriority, priority), WORDS)
        .run_with_pointers(&priority);
    t.operation("expand_array without fifo", call(op::EXPAND_ARRAY))
        .run_with_pointers(&ExpandArray::default());
    for port in [4, 5, 2, 1, 3, 6, 1] {
        t.operation("close", call(op::CLOSE))
            .field(field!(Close, port), KINDS)
            .run(&Close { port: EvtchnPort(port) });
        t.operation("status after close", call(op::STATUS))
            .field(field!(Status, port), &[1, 2, 3])
            .run(&status);
        ports(t);
    }
    t.operation("close", call(op::CLOSE)).run_with_pointers(&Close { port: EvtchnPort(1) });
    t.operation("reset", call(op::RESET))
        .field(field!(Reset, dom), DOMIDS)
        .run_with_pointers(&Reset { dom: me });
    t.operation("reset_cont", call(op::RESET_CONT)).field(field!(Reset, dom), DOMIDS).run(&Reset { dom: me });
    reset(t);
}

fn fifo(t: &mut Transcript) {
    let scratch = t.scratch;
    let (control, array) = (scratch.gfn(MEMORY).0, scratch.gfn(MEMORY + 1).0);
    let frames = [&[scratch.gfn(HOLE).0][..], FRAMES].concat();
    let offsets = [0, 1, 4, 7, 8, 0x7fff_ffff, 4096 - 72, 4096 - 71, 4096 - 64, 4095, 4096, 0xffff_ffff];
    let base = InitControl { control_gfn: control, offset: 0, vcpu: 0, ..Default::default() };
    t.operation("init_control", call(op::INIT_CONTROL))
        .field(field!(InitControl, control_gfn), &frames)
        .field(field!(InitControl, offset), &offsets)
        .field(field!(InitControl, vcpu), WORDS)
        .undo(reset)
        .run_with_pointers(&base);
    t.operation("init_control", call(op::INIT_CONTROL)).run(&base);
    t.operation("init_control again", call(op::INIT_CONTROL)).run(&base);
    let unbound = AllocUnbound { dom: Domid::SELF, remote_dom: Domid::SELF, port: EvtchnPort(0) };
    t.operation("alloc_unbound without array", call(op::ALLOC_UNBOUND)).run(&unbound);
    t.operation("expand_array", call(op::EXPAND_ARRAY))
        .field(field!(ExpandArray, array_gfn), &frames)
        .run_with_pointers(&ExpandArray { array_gfn: array });
    t.operation("alloc_unbound", call(op::ALLOC_UNBOUND)).run(&unbound);
    t.operation("set_priority", call(op::SET_PRIORITY))
        .field(field!(SetPriority, port), KINDS)
        .field(field!(SetPriority, priority), WORDS)
        .run_with_pointers(&SetPriority { port: EvtchnPort(1), priority: 3 });
    t.operation("send", call(op::SEND)).field(field!(Send, port), KINDS).run(&Send { port: EvtchnPort(1) });
    t.operation("reset", call(op::RESET)).run(&Reset { dom: Domid::SELF });
    t.operation("expand_array after reset", call(op::EXPAND_ARRAY)).run(&ExpandArray { array_gfn: array });
}
