//! domctl and sysctl.

use alloc::vec::Vec;

use guest_sdk::abi::{
    Domid,
    domctl::{self, Domctl, op as dom},
    hypercall::{DOMCTL, SYSCTL},
    sysctl::{self, Sysctl, op as sys},
    types::{CtlBitmap, OpPayload},
};
use zerocopy::{Immutable, IntoBytes};

use crate::{
    calls::Call,
    field,
    operation::Field,
    transcript::Transcript,
    values::{DOMIDS, FEW, FRAMES, WORDS},
};

/// Makes all calls.
pub fn walk(t: &mut Transcript) {
    numbers(t);
    domains(t);
    making(t);
    cpus(t);
    devices(t);
    rest(t);
    machine(t);
    pools(t);
}

/// Names a field of a domctl's structure.
macro_rules! of_domctl {
    ($ty:ident, $field:ident) => {
        field!(Domctl, u, domctl::$ty, $field)
    };
}

/// Names a field of a sysctl's structure.
macro_rules! of_sysctl {
    ($ty:ident, $field:ident) => {
        field!(Sysctl, u, sysctl::$ty, $field)
    };
}

fn domctl_call(at: usize) -> Call {
    Call(DOMCTL, [at, 0, 0, 0, 0])
}

fn sysctl_call(at: usize) -> Call {
    Call(SYSCTL, [at, 0, 0, 0, 0])
}

/// A domctl on the other domain.
fn on_domain<T: IntoBytes + Immutable>(cmd: u32, value: &T) -> Domctl {
    Domctl {
        cmd,
        interface_version: domctl::INTERFACE_VERSION,
        domain: Domid(1),
        u: OpPayload::of(value),
        ..Default::default()
    }
}

fn on_machine<T: IntoBytes + Immutable>(cmd: u32, value: &T) -> Sysctl {
    Sysctl { cmd, interface_version: sysctl::INTERFACE_VERSION, u: OpPayload::of(value) }
}

/// Every command with a domain that is not there, with nothing in the structure, and of other versions.
fn numbers(t: &mut Transcript) {
    /// Those that would end the other domain, or wait for it, or are done with more thought below.
    const LEFT_OUT: [u32; 7] = [
        dom::CREATEDOMAIN,
        dom::DESTROYDOMAIN,
        dom::PAUSEDOMAIN,
        dom::SOFT_RESET,
        // These tell times and sizes.
        dom::GETDOMAININFO,
        dom::GETVCPUINFO,
        dom::GET_PAGING_MEMPOOL_SIZE,
    ];
    let commands: Vec<u64> = (0..90).chain([1000, 1001, 0x7fff_ffff, 0xffff_ffff]).collect();
    let nothing = [0_u8; 128];
    let absent = Domctl { domain: Domid(9), ..on_domain(0, &nothing) };
    t.operation("domctl of none", domctl_call)
        .field(field!(Domctl, cmd), &commands)
        .field(field!(Domctl, interface_version), FEW)
        .run_with_pointers(&absent);
    t.operation("domctl of no version", domctl_call)
        .field(field!(Domctl, cmd), &[0, 1, 2, 5, 24])
        .run(&Domctl { interface_version: 0x14, ..on_domain(0, &nothing) });
    let commands: Vec<u64> = commands.into_iter().filter(|c| !LEFT_OUT.map(u64::from).contains(c)).collect();
    t.operation("domctl of nothing", domctl_call)
        .field(field!(Domctl, cmd), &commands)
        .run(&on_domain(99, &nothing));
    let commands: Vec<u64> = (0..40).chain([0x7fff_ffff, 0xffff_ffff]).collect();
    t.operation("sysctl of nothing", sysctl_call)
        // How much memory and time there is differs.
        .hide(field!(Sysctl, u))
        .field(field!(Sysctl, cmd), &commands)
        .field(field!(Sysctl, interface_version), FEW)
        .run_with_pointers(&on_machine(0, &nothing));
}

/// The other domain's state.
fn domains(t: &mut Transcript) {
    t.operation("getdomaininfo", domctl_call)
        .field(field!(Domctl, domain), DOMIDS)
        .hide(of_domctl!(GetDomainInfo, cpu_time))
        .hide(of_domctl!(GetDomainInfo, shared_info_frame))
        .run_with_pointers(&on_domain(dom::GETDOMAININFO, &[0xff_u8; 120]));
    for _ in 0..2 {
        t.operation("pausedomain", domctl_call)
            .field(field!(Domctl, domain), &DOMIDS[2..])
            .run(&on_domain(dom::PAUSEDOMAIN, &0_u64));
    }
    for _ in 0..3 {
        t.operation("unpausedomain", domctl_call)
            .field(field!(Domctl, domain), DOMIDS)
            .run(&on_domain(dom::UNPAUSEDOMAIN, &0_u64));
    }
    for (name, command) in
        [("pausedomain of oneself", dom::PAUSEDOMAIN), ("destroydomain of oneself", dom::DESTROYDOMAIN)]
    {
        t.operation(name, domctl_call)
            .field(field!(Domctl, domain), &[0, 0x7ff0])
            .run(&Domctl { domain: Domid(0), ..on_domain(command, &0_u64) });
    }
    t.operation("resumedomain", domctl_call)
        .field(field!(Domctl, domain), DOMIDS)
        .run(&on_domain(dom::RESUMEDOMAIN, &0_u64));
    t.operation("setdomainhandle", domctl_call)
        .field(field!(Domctl, domain), DOMIDS)
        .run(&on_domain(dom::SETDOMAINHANDLE, &[7_u8; 16]));
    t.operation("setdebugging", domctl_call)
        .field(field!(Domctl, domain), DOMIDS)
        .field(of_domctl!(SetDebugging, enable), &[0, 1, 2, 255])
        .run(&on_domain(dom::SETDEBUGGING, &domctl::SetDebugging { enable: 0 }));
    t.operation("settimeoffset", domctl_call)
        .field(field!(Domctl, domain), DOMIDS)
        .field(of_domctl!(SetTimeOffset, time_offset_seconds), &[1, u64::MAX, 1 << 63])
        .run(&on_domain(dom::SETTIMEOFFSET, &domctl::SetTimeOffset::default()));
    let sizes = [0, 1, 100, 32 << 10, 64 << 10, 1 << 32, 1 << 40, u64::MAX];
    t.operation("max_mem", domctl_call)
        .field(field!(Domctl, domain), &DOMIDS[1..])
        .field(of_domctl!(MaxMem, max_memkb), &sizes)
        .run(&on_domain(dom::MAX_MEM, &domctl::MaxMem { max_memkb: 64 << 10 }));
    t.operation("max_mem", domctl_call)
        .run(&on_domain(dom::MAX_MEM, &domctl::MaxMem { max_memkb: 64 << 10 }));
    let pools = [0, 1, 4096, 1 << 20, (1 << 20) + 1, 1 << 50, u64::MAX];
    t.operation("set_paging_mempool_size", domctl_call)
        .field(field!(Domctl, domain), DOMIDS)
        .field(of_domctl!(PagingMempool, size), &pools)
        .run(&on_domain(dom::SET_PAGING_MEMPOOL_SIZE, &domctl::PagingMempool { size: 1 << 20 }));
    // What Debian's Xen has run out of memory for stays in the pool, and is missed below.
    t.operation("set_paging_mempool_size back", domctl_call)
        .run(&on_domain(dom::SET_PAGING_MEMPOOL_SIZE, &domctl::PagingMempool { size: 1 << 20 }));
    t.operation("get_paging_mempool_size", domctl_call)
        .field(field!(Domctl, domain), DOMIDS)
        .run(&on_domain(dom::GET_PAGING_MEMPOOL_SIZE, &domctl::PagingMempool { size: 7 }));
}

/// A domain that is made, and its parts.
fn making(t: &mut Transcript) {
    let base = domctl::CreateDomain {
        flags: domctl::cdf::HVM | domctl::cdf::HAP,
        max_vcpus: 2,
        max_evtchn_port: 1023,
        max_grant_frames: -1,
        max_maptrack_frames: -1,
        grant_opts: 1,
        ..Default::default()
    };
    let create = Domctl { domain: Domid(3), ..on_domain(dom::CREATEDOMAIN, &base) };
    let destroy = |t: &Transcript| {
        let destroy = Domctl { domain: Domid(3), ..on_domain(dom::DESTROYDOMAIN, &0_u64) };
        crate::calls::store(t.scratch.argument(), destroy.as_bytes());
        while t.quiet(domctl_call(t.scratch.argument())) == -85 {}
    };
    let flags: Vec<u64> = (0..32).map(|bit| 1 << bit).chain([0, 3, 7, 11, 19, 35, 67, 131]).collect();
    let words = [0, 1, 2, 63, 127, 128, 129, 1023, 1024, 0x1_0000, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff];
    t.operation("createdomain", domctl_call)
        .field(of_domctl!(CreateDomain, flags), &flags)
        .field(of_domctl!(CreateDomain, iommu_opts), FEW)
        .field(of_domctl!(CreateDomain, max_vcpus), &words)
        .field(of_domctl!(CreateDomain, max_evtchn_port), &words)
        .field(of_domctl!(CreateDomain, max_grant_frames), &[0, 1, 64, 65, 0x7fff_ffff, 0x8000_0000])
        .field(of_domctl!(CreateDomain, max_maptrack_frames), &[0, 1, 1024, 1025, 0x7fff_ffff, 0x8000_0000])
        .field(of_domctl!(CreateDomain, grant_opts), &[0, 1, 2, 3, 15, 16, 17, 0x8000_0001])
        .field(of_domctl!(CreateDomain, vmtrace_size), &[1, 4096])
        .field(of_domctl!(CreateDomain, cpupool_id), &[0, 1, 0xffff_ffff])
        .field(of_domctl!(CreateDomain, ssidref), &[1])
        .undo(destroy)
        .run(&create);
    let arch = |offset: usize, name, size| Field {
        offset: of_domctl!(CreateDomain, arch).offset + offset,
        name,
        size,
    };
    t.operation("createdomain arch", domctl_call)
        // gic_version, tee_type, nr_spis.
        .field(arch(0, "gic_version", 1), &[0, 1, 2, 3, 255])
        .field(arch(2, "tee_type", 2), &[0, 1, 2, 255])
        .field(arch(4, "nr_spis", 4), &[0, 1, 32, 33, 255, 256, 960, 988, 989, 991, 992, 993, 0xffff_ffff])
        .undo(destroy)
        .run(&create);
    t.operation("createdomain", domctl_call).run(&create);
    t.operation("createdomain again", domctl_call).run(&create);
    t.operation("createdomain any", domctl_call)
        .field(field!(Domctl, domain), &DOMIDS[3..])
        .undo(|t| {
            for id in [2, 4, 5, 6, 0x7fef] {
                let destroy = Domctl { domain: Domid(id), ..on_domain(dom::DESTROYDOMAIN, &0_u64) };
                crate::calls::store(t.scratch.argument(), destroy.as_bytes());
                while t.quiet(domctl_call(t.scratch.argument())) == -85 {}
            }
        })
        .run(&Domctl { domain: Domid(0), ..create });
    let made = |cmd, value: &[u8]| {
        let mut op = Domctl { domain: Domid(3), ..on_domain(cmd, &0_u64) };
        op.u.0[..value.len()].copy_from_slice(value);
        op
    };
    t.operation("getdomaininfo of made", domctl_call)
        .hide(of_domctl!(GetDomainInfo, cpu_time))
        .hide(of_domctl!(GetDomainInfo, shared_info_frame))
        .run(&made(dom::GETDOMAININFO, &[]));
    t.operation("unpausedomain of made", domctl_call).run(&made(dom::UNPAUSEDOMAIN, &[]));
    t.operation("set_address_size", domctl_call)
        .field(of_domctl!(AddressSize, size), &[0, 16, 32, 64, 0xffff_ffff])
        .run(&made(dom::SET_ADDRESS_SIZE, domctl::AddressSize { size: 32 }.as_bytes()));
    let max = |max| made(dom::MAX_VCPUS, domctl::MaxVcpus { max }.as_bytes());
    t.operation("max_vcpus", domctl_call).field(of_domctl!(MaxVcpus, max), &[0, 1, 3, 128, 129]).run(&max(2));
    t.operation("max_vcpus again", domctl_call).run(&max(2));
    // It has no page for the ring.
    let uart = domctl::VuartOp::default();
    t.operation("vuart_op", domctl_call)
        .field(of_domctl!(VuartOp, cmd), FEW)
        .field(of_domctl!(VuartOp, kind), FEW)
        .field(of_domctl!(VuartOp, gfn), FRAMES)
        .field(of_domctl!(VuartOp, pad), &[1, 0x100])
        .run(&made(dom::VUART_OP, uart.as_bytes()));
    t.operation("vuart_op of one that ran", domctl_call)
        .field(of_domctl!(VuartOp, kind), FEW)
        .run(&on_domain(dom::VUART_OP, &uart));
    // The first of the contexts below has a vCPU fault for ever, and the machine's clock stand still.
    t.operation("pausedomain of made", domctl_call).run(&made(dom::PAUSEDOMAIN, &[]));
    let context = |cmd| {
        made(cmd, domctl::VcpuContext { vcpu: 0, ctxt: t.scratch.handle(), ..Default::default() }.as_bytes())
    };
    let (set, get) = (context(dom::SETVCPUCONTEXT), context(dom::GETVCPUCONTEXT));
    for (name, op) in [("getvcpucontext", get), ("setvcpucontext", set), ("getvcpucontext", get)] {
        t.operation(name, domctl_call)
            .field(of_domctl!(VcpuContext, vcpu), &[0, 1, 2, 127, 128, 0xffff_ffff])
            .field(of_domctl!(VcpuContext, ctxt), &[1, 0x1000, 1 << 32, u64::MAX])
            .run(&op);
    }
    // A sound context: flags, registers, control of the MMU.
    t.data = alloc::vec![0; 512];
    t.operation("setvcpucontext of zeroes", domctl_call).run(&set);
    t.data.clear();
    t.operation("destroydomain", domctl_call).run(&made(dom::DESTROYDOMAIN, &[]));
    t.operation("destroydomain again", domctl_call)
        .field(field!(Domctl, domain), &DOMIDS[2..])
        .run(&made(dom::DESTROYDOMAIN, &[]));
}

fn cpus(t: &mut Transcript) {
    t.data = alloc::vec![0xff];
    let map = CtlBitmap { bitmap: t.scratch.handle(), nr_bits: 8, ..Default::default() };
    let affinity = domctl::VcpuAffinity { vcpu: 0, flags: 1, cpumap_hard: map, cpumap_soft: map };
    let bits = |name: &'static str, offset: usize| Field {
        name,
        offset: of_domctl!(VcpuAffinity, cpumap_hard).offset + offset,
        size: 4,
    };
    for (name, cmd) in [
        ("getvcpuaffinity", dom::GETVCPUAFFINITY),
        ("setvcpuaffinity", dom::SETVCPUAFFINITY),
        ("getvcpuaffinity", dom::GETVCPUAFFINITY),
    ] {
        t.operation(name, domctl_call)
            .field(field!(Domctl, domain), DOMIDS)
            .field(of_domctl!(VcpuAffinity, vcpu), WORDS)
            .field(of_domctl!(VcpuAffinity, flags), FEW)
            .field(bits("bitmap", 0), &[0, 0x1000])
            .field(bits("nr_bits", 8), &[0, 1, 7, 8, 9, 64, 128])
            .run(&on_domain(cmd, &affinity));
    }
    t.data = alloc::vec![0];
    t.operation("setvcpuaffinity to none", domctl_call)
        .field(of_domctl!(VcpuAffinity, flags), FEW)
        .run(&on_domain(dom::SETVCPUAFFINITY, &affinity));
    let nodes = domctl::NodeAffinity { nodemap: map };
    for byte in [0, 1, 0xff] {
        t.data = alloc::vec![byte];
        for (name, cmd) in
            [("setnodeaffinity", dom::SETNODEAFFINITY), ("getnodeaffinity", dom::GETNODEAFFINITY)]
        {
            t.operation(name, domctl_call).field(field!(Domctl, domain), DOMIDS).run(&on_domain(cmd, &nodes));
        }
    }
    t.data.clear();
    t.operation("getvcpuinfo", domctl_call)
        .field(field!(Domctl, domain), &DOMIDS[1..])
        .field(of_domctl!(GetVcpuInfo, vcpu), WORDS)
        .hide(of_domctl!(GetVcpuInfo, cpu_time))
        .run(&on_domain(dom::GETVCPUINFO, &domctl::GetVcpuInfo::default()));
    let mut schedule = domctl::SchedulerOp { sched_id: 6, cmd: 1, ..Default::default() };
    t.operation("scheduler_op get", domctl_call)
        .field(field!(Domctl, domain), DOMIDS)
        .field(of_domctl!(SchedulerOp, sched_id), &[0, 4, 5, 6, 7, 8, 9, 0xffff_ffff])
        .field(of_domctl!(SchedulerOp, cmd), &[2, 3, 4, 0xffff_ffff])
        .run(&on_domain(dom::SCHEDULER_OP, &schedule));
    schedule.cmd = 0;
    schedule.set_credit(domctl::SchedCredit { weight: 512, cap: 50 });
    let half = |name: &'static str, at: usize| Field {
        name,
        offset: of_domctl!(SchedulerOp, u).offset + at,
        size: 2,
    };
    t.operation("scheduler_op put", domctl_call)
        .field(half("weight", 0), &[0, 1, 2, 256, 65535])
        .field(half("cap", 2), &[0, 1, 100, 101, 65535])
        .run(&on_domain(dom::SCHEDULER_OP, &schedule));
    schedule.cmd = 1;
    t.operation("scheduler_op got", domctl_call).run(&on_domain(dom::SCHEDULER_OP, &schedule));
}

fn devices(t: &mut Transcript) {
    let numbers = [
        0,
        1,
        15,
        16,
        31,
        32,
        33,
        64,
        255,
        256,
        287,
        288,
        319,
        320,
        1019,
        1020,
        1023,
        1024,
        0x1_0021,
        0xffff_ffff,
    ];
    t.operation("irq_permission", domctl_call)
        .field(field!(Domctl, domain), DOMIDS)
        .field(of_domctl!(IrqPermission, pirq), &numbers)
        .field(of_domctl!(IrqPermission, allow_access), &[0, 2, 255])
        .run(&on_domain(
            dom::IRQ_PERMISSION,
            &domctl::IrqPermission { pirq: 40, allow_access: 1, ..Default::default() },
        ));
    let io = domctl::IomemPermission { first_mfn: 0x9010, nr_mfns: 1, allow_access: 1, ..Default::default() };
    let ends = [0, 1, 0xa000, 1 << 20, 1 << 28, 1 << 32, 1 << 52, u64::MAX];
    t.operation("iomem_permission", domctl_call)
        .field(field!(Domctl, domain), DOMIDS)
        .field(of_domctl!(IomemPermission, first_mfn), &ends)
        .field(of_domctl!(IomemPermission, nr_mfns), &ends)
        .field(of_domctl!(IomemPermission, allow_access), &[0, 2, 255])
        .run(&on_domain(dom::IOMEM_PERMISSION, &io));
    let bind = domctl::BindPtIrq { machine_irq: 40, irq_type: 5, u: [40, 0] };
    for (name, cmd) in [("bind_pt_irq", dom::BIND_PT_IRQ), ("unbind_pt_irq", dom::UNBIND_PT_IRQ)] {
        t.operation(name, domctl_call)
            .field(field!(Domctl, domain), &DOMIDS[1..])
            .field(of_domctl!(BindPtIrq, machine_irq), &numbers)
            .field(of_domctl!(BindPtIrq, irq_type), FEW)
            .run(&on_domain(cmd, &bind));
    }
    let mapping = domctl::MemoryMapping {
        first_gfn: 0x9010,
        first_mfn: 0x9010,
        nr_mfns: 1,
        add_mapping: 1,
        ..Default::default()
    };
    for (name, add_mapping) in [("memory_mapping", 1), ("memory_mapping away", 0)] {
        t.operation(name, domctl_call)
            .field(field!(Domctl, domain), &DOMIDS[1..])
            .field(of_domctl!(MemoryMapping, first_gfn), &ends[3..])
            .field(of_domctl!(MemoryMapping, first_mfn), &ends)
            .field(of_domctl!(MemoryMapping, nr_mfns), &[0, 1, 64, 65, u64::MAX])
            .run(&on_domain(dom::MEMORY_MAPPING, &domctl::MemoryMapping { add_mapping, ..mapping }));
    }
    let device = domctl::AssignDevice { dev: 1, ..Default::default() };
    for (name, cmd) in [
        ("assign_device", dom::ASSIGN_DEVICE),
        ("test_assign_device", dom::TEST_ASSIGN_DEVICE),
        ("deassign_device", dom::DEASSIGN_DEVICE),
        ("get_device_group", dom::GET_DEVICE_GROUP),
    ] {
        t.operation(name, domctl_call)
            .field(field!(Domctl, domain), DOMIDS)
            .field(of_domctl!(AssignDevice, dev), &[0, 2, 0xffff_ffff])
            .field(of_domctl!(AssignDevice, size), &[1, 100, 0xffff_ffff])
            .field(of_domctl!(AssignDevice, flags), &[1, 2])
            .run(&on_domain(cmd, &device));
    }
}

fn rest(t: &mut Transcript) {
    t.operation("set_target", domctl_call)
        .field(field!(Domctl, domain), &DOMIDS[1..])
        .field(of_domctl!(SetTarget, target), DOMIDS)
        .run(&on_domain(dom::SET_TARGET, &domctl::SetTarget { target: Domid(9) }));
    t.operation("subscribe", domctl_call)
        .field(field!(Domctl, domain), DOMIDS)
        .field(of_domctl!(Subscribe, port), FEW)
        .run(&on_domain(dom::SUBSCRIBE, &domctl::Subscribe { port: 0 }));
    t.operation("set_virq_handler", domctl_call)
        .field(field!(Domctl, domain), DOMIDS)
        .field(of_domctl!(SetVirqHandler, virq), &(0..30).chain([0xffff_ffff]).collect::<Vec<_>>())
        .run(&on_domain(dom::SET_VIRQ_HANDLER, &domctl::SetVirqHandler { virq: 0 }));
    for virq in 0..24 {
        t.operation("set_virq_handler back", domctl_call).run(&Domctl {
            domain: Domid(0),
            ..on_domain(dom::SET_VIRQ_HANDLER, &domctl::SetVirqHandler { virq })
        });
    }
    let flush = domctl::CacheFlush { start_pfn: 0x4_0000, nr_pfns: 1 };
    t.operation("cacheflush", domctl_call)
        .field(field!(Domctl, domain), DOMIDS)
        .field(of_domctl!(CacheFlush, start_pfn), FRAMES)
        .field(of_domctl!(CacheFlush, nr_pfns), &[0, 1, 1 << 19, 1 << 20, u64::MAX])
        .run(&on_domain(dom::CACHEFLUSH, &flush));
    t.operation("setvnumainfo", domctl_call)
        .field(of_domctl!(Vnuma, nr_vnodes), FEW)
        .field(of_domctl!(Vnuma, pad), &[1])
        .run(&on_domain(dom::SETVNUMAINFO, &domctl::Vnuma::default()));
}

fn machine(t: &mut Transcript) {
    let read = sysctl::ReadConsole { buffer: t.scratch.handle(), count: 1, ..Default::default() };
    t.operation("readconsole", sysctl_call)
        .field(of_sysctl!(ReadConsole, buffer), &[0, 0x1000])
        .field(of_sysctl!(ReadConsole, count), &[0])
        .hide_data()
        .run(&on_machine(sys::READCONSOLE, &read));
    let info = sysctl::PhysInfo { threads_per_core: 77, ..Default::default() };
    t.operation("physinfo", sysctl_call)
        .hide(of_sysctl!(PhysInfo, capabilities))
        .hide(of_sysctl!(PhysInfo, total_pages))
        .hide(of_sysctl!(PhysInfo, free_pages))
        .hide(of_sysctl!(PhysInfo, scrub_pages))
        .run(&on_machine(sys::PHYSINFO, &info));
    t.operation("sched_id", sysctl_call).run(&on_machine(sys::SCHED_ID, &sysctl::SchedId { sched_id: 99 }));
    let list = sysctl::GetDomainInfoList { max_domains: 4, buffer: t.scratch.handle(), ..Default::default() };
    t.operation("getdomaininfolist", sysctl_call)
        .field(of_sysctl!(GetDomainInfoList, first_domain), DOMIDS)
        .field(of_sysctl!(GetDomainInfoList, max_domains), &[0, 1, 2, 3])
        .field(of_sysctl!(GetDomainInfoList, buffer), &[0, 0x1000])
        // With times in it.
        .hide_data()
        .run(&on_machine(sys::GETDOMAININFOLIST, &list));
    let keys = sysctl::DebugKeys { keys: t.scratch.handle(), ..Default::default() };
    t.operation("debug_keys", sysctl_call).run(&on_machine(sys::DEBUG_KEYS, &keys));
    t.operation("debug_keys nowhere", sysctl_call).field(of_sysctl!(DebugKeys, keys), &[0, 0x1000]).run(
        &on_machine(
            sys::DEBUG_KEYS,
            &sysctl::DebugKeys { keys: guest_sdk::abi::GuestHandle::NULL, nr_keys: 1, ..keys },
        ),
    );
    let cpus = sysctl::GetCpuInfo { max_cpus: 4, info: t.scratch.handle(), ..Default::default() };
    t.operation("getcpuinfo", sysctl_call)
        .field(of_sysctl!(GetCpuInfo, max_cpus), &[0, 1, 0xffff_ffff])
        .field(of_sysctl!(GetCpuInfo, info), &[0, 0x1000])
        .hide_data()
        .run(&on_machine(sys::GETCPUINFO, &cpus));
    let heap = sysctl::AvailHeap { node: -1, ..Default::default() };
    t.operation("availheap", sysctl_call)
        .field(of_sysctl!(AvailHeap, node), FEW)
        .field(of_sysctl!(AvailHeap, min_bitwidth), FEW)
        .field(of_sysctl!(AvailHeap, max_bitwidth), &[31, 63, 64, 65, 0xffff_ffff])
        .hide(of_sysctl!(AvailHeap, avail_bytes))
        .run(&on_machine(sys::AVAILHEAP, &heap));
    let topology = sysctl::CpuTopoInfo { num_cpus: 4, cputopo: t.scratch.handle(), ..Default::default() };
    t.operation("cputopoinfo", sysctl_call)
        .field(of_sysctl!(CpuTopoInfo, num_cpus), &[0, 1, 2, 0xffff_ffff])
        .field(of_sysctl!(CpuTopoInfo, cputopo), &[0, 0x1000])
        .run(&on_machine(sys::CPUTOPOINFO, &topology));
    let nodes = sysctl::NumaInfo { num_nodes: 4, meminfo: t.scratch.handle(), ..Default::default() };
    t.operation("numainfo", sysctl_call)
        .field(of_sysctl!(NumaInfo, num_nodes), &[0, 1, 2, 0xffff_ffff])
        .field(of_sysctl!(NumaInfo, meminfo), &[0, 0x1000])
        .field(of_sysctl!(NumaInfo, distance), &[0x1000])
        .hide_data()
        .run(&on_machine(sys::NUMAINFO, &nodes));
    let pci = sysctl::PciTopoInfo::default();
    t.operation("pcitopoinfo", sysctl_call).run(&on_machine(sys::PCITOPOINFO, &pci));
}

fn pools(t: &mut Transcript) {
    let map = CtlBitmap { bitmap: t.scratch.handle(), nr_bits: 8, ..Default::default() };
    let words = [0, 1, 2, 0x7fff_ffff, 0xffff_ffff];
    for (name, op) in [
        ("cpupool destroy", 2),
        ("cpupool info", 3),
        ("cpupool addcpu", 4),
        ("cpupool rmcpu", 5),
        ("cpupool movedomain", 6),
        ("cpupool freeinfo", 7),
        ("cpupool 0", 0),
        ("cpupool 8", 8),
    ] {
        let base = sysctl::CpupoolOp { op, domid: 1, cpumap: map, ..Default::default() };
        t.operation(name, sysctl_call)
            .field(of_sysctl!(CpupoolOp, cpupool_id), &words)
            .field(of_sysctl!(CpupoolOp, domid), DOMIDS)
            .field(of_sysctl!(CpupoolOp, cpu), &words)
            .run(&on_machine(sys::CPUPOOL_OP, &base));
    }
    let create = sysctl::CpupoolOp { op: 1, cpupool_id: u32::MAX, sched_id: 6, ..Default::default() };
    t.operation("cpupool create", sysctl_call)
        .field(of_sysctl!(CpupoolOp, cpupool_id), &[0, 1, 5, 0x7fff_ffff, 0xffff_fffe])
        .field(of_sysctl!(CpupoolOp, sched_id), &[0, 4, 5, 7, 8, 9, 10, 0xffff_ffff])
        .undo(|t| {
            for cpupool_id in [1, 5, 0x7fff_ffff, 0xffff_fffe] {
                let destroy = sysctl::CpupoolOp { op: 2, cpupool_id, ..Default::default() };
                crate::calls::store(t.scratch.argument(), on_machine(sys::CPUPOOL_OP, &destroy).as_bytes());
                t.quiet(sysctl_call(t.scratch.argument()));
            }
        })
        .run(&on_machine(sys::CPUPOOL_OP, &create));
    let mut schedule = sysctl::SchedulerOp { sched_id: 6, cmd: 1, ..Default::default() };
    t.operation("pool scheduler_op get", sysctl_call)
        .field(of_sysctl!(SchedulerOp, cpupool_id), &words)
        .field(of_sysctl!(SchedulerOp, sched_id), &[0, 4, 5, 6, 7, 8, 9, 0xffff_ffff])
        .field(of_sysctl!(SchedulerOp, cmd), &[2, 3, 0xffff_ffff])
        .run(&on_machine(sys::SCHEDULER_OP, &schedule));
    schedule.cmd = 0;
    t.operation("pool scheduler_op put", sysctl_call)
        .field(
            Field { name: "ratelimit", size: 4, ..of_sysctl!(SchedulerOp, u) },
            &[0, 99, 100, 1000, 500_000, 500_001, 0xffff_ffff],
        )
        .run(&on_machine(sys::SCHEDULER_OP, &schedule));
}
