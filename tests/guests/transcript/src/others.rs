//! The small hypercalls.

use alloc::format;

use guest_sdk::abi::{
    Domid, EvtchnPort, PAGE_SIZE,
    dm_op::Buf,
    hvm::{HvmParam, op as hvm},
    hypercall::{self as nr, MulticallEntry},
    physdev::PciDeviceAdd,
    platform::{self, PlatformOp, SetTime64},
    sched::{self, PinOverride, Poll, RemoteShutdown, Shutdown, Watchdog},
    vcpu::{self, RegisterRunstateMemoryArea, RegisterVcpuInfo},
    version::{self, BuildId, CAPABILITIES_LEN, FeatureInfo, PlatformParameters},
};
use zerocopy::IntoBytes;

use crate::{
    calls::Call,
    field,
    scratch::{HOLE, MEMORY},
    transcript::Transcript,
    values::{DOMIDS, FEW, FRAMES, WORDS},
};

/// Makes all calls.
pub fn walk(t: &mut Transcript) {
    numbers(t);
    versions(t);
    assist(t);
    vcpus(t);
    scheduling(t);
    parameters(t);
    platform(t);
    devices(t);
    console(t);
    multicall(t);
}

fn command(number: u32, command: u32) -> impl Fn(usize) -> Call + 'static {
    move |at| Call(number, [command as usize, at, 0, 0, 0])
}

/// Hypercalls that there are not.
fn numbers(t: &mut Transcript) {
    let known = [
        nr::SCHED_OP_COMPAT,
        nr::MEMORY_OP,
        nr::MULTICALL,
        nr::SCHED_OP,
        nr::EVENT_CHANNEL_OP,
        nr::EVENT_CHANNEL_OP_COMPAT,
        nr::VM_ASSIST,
    ];
    for number in (0..70).chain([0x7fff_ffff, 0x8000_0000, 0xffff_ffff]) {
        if !known.contains(&number) {
            for arguments in [[0; 5], [1, 0x1000, 1, 0, 0], [99, 0x1000, 0x1000, 1, 0], [usize::MAX; 5]] {
                t.call(&format!("hypercall {number:x}"), number, arguments);
            }
        }
    }
}

fn versions(t: &mut Transcript) {
    for command in (0..14).chain([0x7fff_ffff, 0xffff_ffff]) {
        t.call("xen_version nowhere", nr::XEN_VERSION, [command, 0x1000, 0, 0, 0]);
    }
    for (name, op, size) in [
        ("extraversion", version::op::EXTRAVERSION, version::EXTRAVERSION_LEN),
        ("capabilities", version::op::CAPABILITIES, CAPABILITIES_LEN),
        ("guest_handle", version::op::GUEST_HANDLE, 16),
    ] {
        // At the end of the page there is just room for it.
        let argument = t.scratch.argument();
        for at in [PAGE_SIZE - size, PAGE_SIZE - size + 1] {
            t.call(name, nr::XEN_VERSION, [op as usize, argument + at, 0, 0, 0]);
        }
    }
    t.operation("capabilities", command(nr::XEN_VERSION, version::op::CAPABILITIES)).run(&[0_u8; 8]);
    t.operation("guest_handle", command(nr::XEN_VERSION, version::op::GUEST_HANDLE)).run(&[0xff_u8; 16]);
    t.operation("platform_parameters", command(nr::XEN_VERSION, version::op::PLATFORM_PARAMETERS))
        .run(&PlatformParameters::default());
    t.operation("get_features", command(nr::XEN_VERSION, version::op::GET_FEATURES))
        .field(field!(FeatureInfo, submap_idx), FEW)
        .run_with_pointers(&FeatureInfo::default());
    t.operation("build_id", command(nr::XEN_VERSION, version::op::BUILD_ID))
        .field(field!(BuildId, len), &[0, 1, 19])
        .run_with_pointers(&BuildId { len: 0 });
}

fn assist(t: &mut Transcript) {
    for command in [0, 1, 2, 3, 0xffff_ffff] {
        for kind in [0, 1, 2, 3, 4, 5, 6, 31, 32, 63, 64, 0xffff_ffff] {
            t.call("vm_assist", nr::VM_ASSIST, [command, kind, 0, 0, 0]);
        }
    }
    t.call("vm_assist", nr::VM_ASSIST, [1, 5, 0, 0, 0]);
}

fn vcpus(t: &mut Transcript) {
    for command in (0..20).chain([0x7fff_ffff, 0xffff_ffff]) {
        for vcpu in [0, 1, 127, 128, 0x7fff_ffff, 0xffff_ffff] {
            t.call("vcpu_op nowhere", nr::VCPU_OP, [command, vcpu, 0x1000, 0, 0]);
        }
    }
    let scratch = t.scratch;
    let area = |op: u32, vcpu: usize| move |at| Call(nr::VCPU_OP, [op as usize, vcpu, at, 0, 0]);
    let places = [0, 1, 0x1000, scratch.data() as u64 + 1, scratch.page(3) as u64 - 8, 1 << 32, u64::MAX];
    for vcpu in [0, 1] {
        t.operation("register_runstate", area(vcpu::op::REGISTER_RUNSTATE_MEMORY_AREA, vcpu))
            .field(field!(RegisterRunstateMemoryArea, addr), &places)
            .hide_data()
            .run_with_pointers(&RegisterRunstateMemoryArea::default());
    }
    t.operation("register_runstate none", area(vcpu::op::REGISTER_RUNSTATE_MEMORY_AREA, 0))
        .run(&RegisterRunstateMemoryArea::default());
    let frames = [&[scratch.gfn(HOLE).0][..], FRAMES].concat();
    let base = RegisterVcpuInfo { mfn: scratch.gfn(MEMORY).0, offset: 4090, ..Default::default() };
    for vcpu in [0, 1] {
        // Places that are none: once it has one, it keeps it.
        t.operation("register_vcpu_info", area(vcpu::op::REGISTER_VCPU_INFO, vcpu))
            .field(field!(RegisterVcpuInfo, offset), &[4095, 4096, 4088, 4049, 1, 4, 0xffff_fff8])
            .field(field!(RegisterVcpuInfo, mfn), &frames)
            .run_with_pointers(&base);
        t.operation("register_vcpu_info aligned", area(vcpu::op::REGISTER_VCPU_INFO, vcpu))
            .field(field!(RegisterVcpuInfo, mfn), &frames[1..])
            .run(&RegisterVcpuInfo { mfn: scratch.gfn(HOLE).0, offset: 0, ..Default::default() });
    }
}

fn scheduling(t: &mut Transcript) {
    let scratch = t.scratch;
    // The last commands are no calls of any version; block would wait, shutdown would end this.
    for op in (3..20).chain([0x7fff_ffff, 0xffff_ffff]) {
        t.call("sched_op nowhere", nr::SCHED_OP, [op, 0x1000, 0, 0, 0]);
    }
    t.call("sched_op shutdown nowhere", nr::SCHED_OP, [2, 0x1000, 0, 0, 0]);
    for op in [3, 4, 5, 0xffff_ffff] {
        t.call("sched_op_compat", nr::SCHED_OP_COMPAT, [op, 0, 0, 0, 0]);
    }
    for number in [nr::SCHED_OP, nr::SCHED_OP_COMPAT] {
        t.call("sched_op yield", number, [0; 5]);
    }
    let call = |op| command(nr::SCHED_OP, op);
    let ports = [0, 1, 0x1000, scratch.page(3) as u64 - 2, u64::MAX, 1 << 32];
    t.data = [EvtchnPort(1), EvtchnPort(2)].as_bytes().to_vec();
    // A moment that is over.
    t.operation("poll", call(sched::op::POLL))
        .field(field!(Poll, nr_ports), &[0, 128, 129, 0xffff_ffff])
        .field(field!(Poll, ports), &ports)
        .run_with_pointers(&Poll { ports: scratch.handle(), nr_ports: 1, timeout: 1, ..Default::default() });
    t.data.clear();
    t.operation("remote_shutdown", call(sched::op::REMOTE_SHUTDOWN))
        .field(field!(RemoteShutdown, domain_id), &DOMIDS[2..])
        .field(field!(RemoteShutdown, reason), FEW)
        .run_with_pointers(&RemoteShutdown { domain_id: Domid(9), ..Default::default() });
    t.operation("shutdown_code", call(sched::op::SHUTDOWN_CODE))
        .field(field!(Shutdown, reason), FEW)
        .run_with_pointers(&Shutdown { reason: 3 });
    t.operation("shutdown_code", call(sched::op::SHUTDOWN_CODE)).run(&Shutdown { reason: 0 });
    t.operation("watchdog", call(sched::op::WATCHDOG))
        .field(field!(Watchdog, id), FEW)
        .run_with_pointers(&Watchdog { id: 1, timeout: 1000 });
    for _ in 0..3 {
        t.operation("watchdog new", call(sched::op::WATCHDOG)).run(&Watchdog { id: 0, timeout: 1000 });
    }
    t.operation("watchdog again", call(sched::op::WATCHDOG))
        .field(field!(Watchdog, id), FEW)
        .run(&Watchdog { id: 1, timeout: 2000 });
    for _ in 0..2 {
        t.operation("watchdog off", call(sched::op::WATCHDOG))
            .field(field!(Watchdog, id), &FEW[1..])
            .run(&Watchdog { id: 1, timeout: 0 });
    }
    t.operation("pin_override", call(sched::op::PIN_OVERRIDE))
        .field(field!(PinOverride, pcpu), WORDS)
        .run_with_pointers(&PinOverride { pcpu: 0 });
    t.operation("pin_override off", call(sched::op::PIN_OVERRIDE)).run(&PinOverride { pcpu: -1 });
    t.operation("pin_override off again", call(sched::op::PIN_OVERRIDE)).run(&PinOverride { pcpu: -1 });
}

fn parameters(t: &mut Transcript) {
    for op in (0..30).chain([0x7fff_ffff, 0xffff_ffff]) {
        t.call("hvm_op nowhere", nr::HVM_OP, [op, 0x1000, 0, 0, 0]);
    }
    t.call("hvm_op guest_request_vm_event", nr::HVM_OP, [24, 0, 0, 0, 0]);
    t.call("hvm_op guest_request_vm_event", nr::HVM_OP, [24, 1, 0, 0, 0]);
    let indexes: alloc::vec::Vec<u64> = (0..42).chain([0x7fff_ffff, 0xffff_ffff]).collect();
    for dom in [Domid::SELF, Domid(1)] {
        let base = HvmParam { domid: dom, index: 27, value: 0x55, ..Default::default() };
        t.operation("set_param", command(nr::HVM_OP, hvm::SET_PARAM))
            .field(field!(HvmParam, domid), DOMIDS)
            .field(field!(HvmParam, index), &indexes[1..])
            .run_with_pointers(&base);
        t.operation("get_param", command(nr::HVM_OP, hvm::GET_PARAM))
            .field(field!(HvmParam, domid), DOMIDS)
            .field(field!(HvmParam, index), &indexes)
            .run_with_pointers(&base);
    }
}

fn platform(t: &mut Transcript) {
    let base = PlatformOp { cmd: 99, interface_version: platform::INTERFACE_VERSION, ..Default::default() };
    let commands: alloc::vec::Vec<u64> = (0..62).chain(63..70).chain([0x7fff_ffff, 0xffff_ffff]).collect();
    let call = |at| Call(nr::PLATFORM_OP, [at, 0, 0, 0, 0]);
    t.operation("platform_op", call)
        .field(field!(PlatformOp, cmd), &commands)
        .field(field!(PlatformOp, interface_version), &[0, 0x0300_0000, 0x0300_0002])
        .run_with_pointers(&base);
    let mut base = PlatformOp { cmd: platform::op::SETTIME64, ..base };
    base.u.set(&SetTime64 { secs: 1_700_000_000, ..Default::default() });
    t.operation("settime64", call)
        .field(field!(PlatformOp, u, SetTime64, mbz), &[1])
        .field(field!(PlatformOp, u, SetTime64, nsecs), &[999_999_999, 1_000_000_000, 0xffff_ffff])
        .field(field!(PlatformOp, u, SetTime64, system_time), &[u64::MAX])
        .run(&base);
}

fn devices(t: &mut Transcript) {
    for op in (0..40).chain([0x7fff_ffff, 0xffff_ffff]) {
        t.call("physdev_op nowhere", nr::PHYSDEV_OP, [op, 0x1000, 0, 0, 0]);
    }
    for op in [25, 26] {
        t.operation("physdev_op pci", command(nr::PHYSDEV_OP, op)).run(&PciDeviceAdd::default());
    }
    for pointer in [0, 0x1000] {
        t.call("physdev_op_compat", nr::PHYSDEV_OP_COMPAT, [pointer, 0, 0, 0, 0]);
        t.call("xsm_op", nr::XSM_OP, [pointer, 0, 0, 0, 0]);
    }
    t.operation("xsm_op", |at| Call(nr::XSM_OP, [at, 0, 0, 0, 0])).run(&[2_u32, 1, 0, 0]);
    for domid in [0, 1, 0x7ff0, 0x7ff1, 0xffff] {
        for buffers in [0, 1, 2, 3, 0xffff_ffff] {
            t.operation("dm_op", move |at| Call(nr::DM_OP, [domid, buffers, at, 0, 0])).run(&Buf::default());
        }
    }
}

fn console(t: &mut Transcript) {
    for op in (2..6).chain([0x7fff_ffff, 0xffff_ffff]) {
        t.call("console_io", nr::CONSOLE_IO, [op, 1, 0x1000, 0, 0]);
    }
    let end = t.scratch.page(1);
    for count in [0, 1, 128, 129, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff] {
        t.call("console_io write nowhere", nr::CONSOLE_IO, [0, count, 0x1000, 0, 0]);
        t.call("console_io write null", nr::CONSOLE_IO, [0, count, 0, 0, 0]);
        t.call("console_io read nowhere", nr::CONSOLE_IO, [1, count, 0x1000, 0, 0]);
        t.call("console_io read", nr::CONSOLE_IO, [1, count, end - 1, 0, 0]);
    }
}

fn multicall(t: &mut Transcript) {
    for count in [0, 1, 0x7fff_ffff, 0xffff_ffff] {
        t.call("multicall null", nr::MULTICALL, [0, count, 0, 0, 0]);
        t.call("multicall nowhere", nr::MULTICALL, [0x1000, count, 0, 0, 0]);
    }
    // Xen ends a 32-bit guest for an argument of more than 32 bits.
    let entry = |op: u64, args: [u64; 6]| MulticallEntry { op, result: 0x77, args };
    let list = [
        entry(nr::XEN_VERSION.into(), [0; 6]),
        entry(nr::XEN_VERSION.into(), [7, 0, 0, 0, 0, 0]),
        entry(nr::MULTICALL.into(), [0; 6]),
        entry(99, [0; 6]),
        entry(u64::MAX, [0; 6]),
        entry(nr::SCHED_OP.into(), [0; 6]),
    ];
    for count in 0..=list.len() {
        t.operation("multicall", move |at| Call(nr::MULTICALL, [at, count, 0, 0, 0])).run(&list);
    }
    // The second entry lies where there is nothing.
    let end = t.scratch.page(1) - size_of::<MulticallEntry>();
    t.data.clear();
    t.operation("multicall beyond", move |_| Call(nr::MULTICALL, [end, 2, 0, 0, 0])).run(&[0_u8; 4]);
}
