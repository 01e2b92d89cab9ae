use alloc::{sync::Arc, vec::Vec};

use xen_abi::{
    Domid, Errno, GuestHandle,
    domctl::{GetDomainInfo, schedop, scheduler},
    platform::{self, PlatformOp, SetTime64},
    sysctl::*,
    types::{CtlBitmap, OpPayload},
    xen::SharedInfo,
};

use super::sysctl;
use crate::{
    Hypervisor,
    domain::Domain,
    fake::{FakeMachine, GUEST_RAM, as_guest, control_config, domain, guest_config, hypervisor},
    hypercall::{HypercallResult, Stop},
    machine::{CpuId, Machine},
    platform::platform_op,
    regs::Arm32Regs,
};

type Hv = Hypervisor<FakeMachine<Arm32Regs>>;
type Dom = Arc<Domain<FakeMachine<Arm32Regs>>>;

const AT: u64 = GUEST_RAM.0 << 12;
const BUFFER: u64 = AT + 0x1000;

struct World {
    hv: Hv,
    dom0: Dom,
    guest: Dom,
}

fn world() -> World {
    let hv: Hv = hypervisor(1024, 3);
    hv.add_cpu(CpuId(0));
    hv.add_cpu(CpuId(1));
    let dom0 = domain(&hv, 0, control_config(), 8);
    let guest = domain(&hv, 7, guest_config(), 4);
    World { hv, dom0, guest }
}

impl World {
    fn call_as(&self, caller: &Dom, cmd: u32, u: OpPayload) -> (HypercallResult, Sysctl) {
        as_guest(&self.hv, caller, |cur| {
            cur.write(AT, &Sysctl { cmd, interface_version: INTERFACE_VERSION, u }).unwrap();
            let mut result = sysctl(cur, [AT, 0, 0, 0, 0]);
            while let Err(Stop::Preempted(args)) = result {
                result = sysctl(cur, args);
            }
            (result, cur.read(AT).unwrap())
        })
    }

    fn call<T>(&self, cmd: u32, payload: &T) -> (HypercallResult, OpPayload)
    where
        T: zerocopy::IntoBytes + zerocopy::Immutable,
    {
        let (result, op) = self.call_as(&self.dom0, cmd, OpPayload::of(payload));
        (result, op.u)
    }

    fn read<T: zerocopy::FromBytes + zerocopy::IntoBytes>(&self, at: u64) -> T {
        as_guest(&self.hv, &self.dom0, |cur| cur.read(at).unwrap())
    }
}

fn fails(errno: Errno) -> HypercallResult {
    Err(Stop::Failed(errno))
}

#[test]
fn only_the_control_domain_asks_and_by_the_right_version() {
    let world = world();
    for cmd in 0..32 {
        assert_eq!(world.call_as(&world.guest, cmd, OpPayload::default()).0, fails(Errno::EPERM));
    }
    as_guest(&world.hv, &world.guest, |cur| {
        cur.write(AT, &Sysctl { cmd: op::PHYSINFO, interface_version: 0x16, ..Default::default() }).unwrap();
        assert_eq!(sysctl(cur, [AT, 0, 0, 0, 0]), fails(Errno::EACCES));
        assert_eq!(sysctl(cur, [0; 5]), fails(Errno::EFAULT));
    });
}

#[test]
fn the_machine_is_described() {
    let world = world();
    let (result, u) = world.call(op::PHYSINFO, &0u64);
    let info: PhysInfo = u.get();
    assert_eq!(result, Ok(0));
    assert_eq!((info.nr_cpus, info.max_cpu_id, info.nr_nodes), (2, 2, 1));
    assert_eq!(info.capabilities, physcap::HVM | physcap::HAP | physcap::GNTTAB_V1);
    assert_eq!((info.total_pages, info.free_pages), (1024, world.hv.frames.free().into()));
    assert_eq!(info.max_mfn, world.hv.frames.end().0 - 1);
    assert_eq!(info.cpu_khz, 1000);
    let (_, u) = world.call(op::SCHED_ID, &0u64);
    assert_eq!(u.get::<SchedId>().sched_id, scheduler::CREDIT2);
    let heap = |node, max_bitwidth| {
        let asked = AvailHeap { node, max_bitwidth, ..Default::default() };
        world.call(op::AVAILHEAP, &asked).1.get::<AvailHeap>().avail_bytes
    };
    let all = u64::from(world.hv.frames.free()) << 12;
    assert_eq!((heap(-1, 0), heap(0, 32), heap(1, 0), heap(-1, 20)), (all, all, 0, 0));
}

#[test]
fn domains_are_listed_from_an_id_on() {
    let world = world();
    let list = |first, max| {
        let asked = GetDomainInfoList {
            first_domain: Domid(first),
            max_domains: max,
            buffer: GuestHandle::new(BUFFER),
            ..Default::default()
        };
        let (result, u) = world.call(op::GETDOMAININFOLIST, &asked);
        let listed = u.get::<GetDomainInfoList>().num_domains;
        let ids: Vec<u16> = (0..u64::from(listed))
            .map(|n| world.read::<GetDomainInfo>(BUFFER + n * size_of::<GetDomainInfo>() as u64).domain.0)
            .collect();
        (result, ids)
    };
    assert_eq!(list(0, 10), (Ok(0), [0, 7].into()));
    assert_eq!(list(0, 1), (Ok(0), [0].into()));
    assert_eq!(list(1, 10), (Ok(0), [7].into()));
    assert_eq!(list(8, 10), (Ok(0), Vec::new()));
    assert_eq!(list(0xffff, u32::MAX), (Ok(0), Vec::new()));
    let nowhere = GetDomainInfoList { max_domains: 1, ..Default::default() };
    assert_eq!(world.call(op::GETDOMAININFOLIST, &nowhere).0, fails(Errno::EFAULT));
}

#[test]
fn the_log_is_read_in_parts() {
    let world = world();
    world.hv.log.grow(1024);
    let text: Vec<u8> = (0..700).map(|n| b'a' + (n % 26) as u8).collect();
    world.hv.log.write(&text);
    let read = |index, count, incremental, clear| {
        let buffer = GuestHandle::new(BUFFER);
        let asked = ReadConsole { clear, incremental, index, count, buffer, ..Default::default() };
        let (result, u) = world.call(op::READCONSOLE, &asked);
        let answer: ReadConsole = u.get();
        assert_eq!(result, Ok(0));
        let mut bytes = alloc::vec![0; answer.count as usize];
        as_guest(&world.hv, &world.dom0, |cur| cur.copy_from_guest(BUFFER, &mut bytes).unwrap());
        (bytes, answer.index)
    };
    assert_eq!(read(0, 4096, 0, 0), (text.clone(), 700));
    assert_eq!(read(600, 50, 1, 0), (text[600..650].into(), 650));
    assert_eq!(read(650, 4096, 1, 0), (text[650..].into(), 700));
    assert_eq!(read(700, 4096, 1, 0), (Vec::new(), 700));
    assert_eq!(read(5, 100, 0, 1), (text[..100].into(), 100));
    assert_eq!(read(5, 4096, 1, 0), (text[100..].into(), 700), "what was cleared is gone");
    let bad = ReadConsole { count: 10, ..Default::default() };
    assert_eq!(world.call(op::READCONSOLE, &bad).0, fails(Errno::EFAULT));
}

#[test]
fn cpus_and_nodes_are_counted_and_described() {
    let world = world();
    let handle: GuestHandle<u8> = GuestHandle::new(BUFFER);
    let topology = |num_cpus, cputopo| {
        let (result, u) = world.call(op::CPUTOPOINFO, &CpuTopoInfo { num_cpus, pad: 0, cputopo });
        (result, u.get::<CpuTopoInfo>().num_cpus)
    };
    assert_eq!(topology(0, GuestHandle::NULL), (Ok(0), 2));
    assert_eq!(topology(8, handle.cast()), (Ok(0), 2));
    assert_eq!(topology(1, handle.cast()), (Ok(0), 1));
    let nodes = |num_nodes, meminfo, distance| {
        let (result, u) = world.call(op::NUMAINFO, &NumaInfo { num_nodes, pad: 0, meminfo, distance });
        (result, u.get::<NumaInfo>().num_nodes)
    };
    assert_eq!(nodes(0, GuestHandle::NULL, GuestHandle::NULL), (Ok(0), 1));
    assert_eq!(nodes(0, handle.cast(), GuestHandle::NULL), (Ok(0), 0));
    assert_eq!(nodes(64, handle.cast(), GuestHandle::new(BUFFER + 64)), (Ok(0), 1));
    assert_eq!(world.read::<MemInfo>(BUFFER).memsize, 1024 << 12);
    let info = GetCpuInfo { max_cpus: 64, info: handle.cast(), ..Default::default() };
    let (result, u) = world.call(op::GETCPUINFO, &info);
    assert_eq!((result, u.get::<GetCpuInfo>().nr_cpus), (Ok(0), 3));
}

impl World {
    fn pool(&self, ask: CpupoolOp) -> (HypercallResult, CpupoolOp) {
        let cpumap = CtlBitmap { bitmap: GuestHandle::new(BUFFER), nr_bits: 8, pad: 0 };
        let (result, u) = self.call(op::CPUPOOL_OP, &CpupoolOp { cpumap, ..ask });
        (result, u.get())
    }

    fn on_cpu(&self, op: u32, cpupool_id: u32, cpu: u32) -> HypercallResult {
        self.pool(CpupoolOp { op, cpupool_id, cpu, ..Default::default() }).0
    }

    fn move_domain(&self, domid: u32, cpupool_id: u32) -> HypercallResult {
        self.pool(CpupoolOp { op: cpupool::MOVEDOMAIN, cpupool_id, domid, ..Default::default() }).0
    }

    fn create(&self, cpupool_id: u32) -> (HypercallResult, u32) {
        let ask =
            CpupoolOp { op: cpupool::CREATE, cpupool_id, sched_id: scheduler::CREDIT2, ..Default::default() };
        let (result, made) = self.pool(ask);
        (result, made.cpupool_id)
    }

    /// Number, domains and CPUs of a pool, or of the next one.
    fn info(&self, cpupool_id: u32) -> Option<(u32, u32, u8)> {
        let (result, info) = self.pool(CpupoolOp { op: cpupool::INFO, cpupool_id, ..Default::default() });
        result.is_ok().then(|| (info.cpupool_id, info.n_dom, self.read(BUFFER)))
    }

    fn free_cpus(&self) -> u8 {
        assert_eq!(self.on_cpu(cpupool::FREEINFO, 0, 0), Ok(0));
        self.read(BUFFER)
    }
}

#[test]
fn all_cpus_and_domains_begin_in_the_first_pool() {
    let world = world();
    assert_eq!(world.info(0), Some((0, 2, 0b11)));
    assert_eq!([1, cpupool::PAR_ANY].map(|id| world.info(id)), [None, None]);
    assert_eq!(world.free_cpus(), 0);
    assert_eq!(world.on_cpu(cpupool::DESTROY, 0, 0), fails(Errno::EBUSY));
    assert_eq!(world.on_cpu(99, 0, 0), fails(Errno::ENOSYS));
    for (cpu, errno) in [(0, Errno::EINVAL), (2, Errno::EADDRNOTAVAIL), (99, Errno::EINVAL)] {
        assert_eq!(world.on_cpu(cpupool::RMCPU, 0, cpu), fails(errno), "{cpu}");
    }
    for (cpu, errno) in [(0, Errno::ENODEV), (cpupool::PAR_ANY, Errno::ENODEV), (3, Errno::EINVAL)] {
        assert_eq!(world.on_cpu(cpupool::ADDCPU, 0, cpu), fails(errno), "{cpu}");
    }
    for (domid, errno) in [(0, Errno::EPERM), (8, Errno::ESRCH), (0x10007, Errno::ESRCH)] {
        assert_eq!(world.move_domain(domid, 0), fails(errno), "{domid}");
    }
    assert_eq!(world.move_domain(7, 0), Ok(0));
    for op in [cpupool::DESTROY, cpupool::ADDCPU, cpupool::RMCPU] {
        assert_eq!(world.on_cpu(op, 3, 0), fails(Errno::ENOENT), "{op}");
    }
}

#[test]
fn a_pool_is_made_filled_used_and_taken_apart() {
    let world = world();
    assert_eq!(world.create(0).0, fails(Errno::EEXIST));
    assert_eq!(world.create(5), (Ok(0), 5));
    assert_eq!(world.create(cpupool::PAR_ANY), (Ok(0), 6));
    let other = CpupoolOp { op: cpupool::CREATE, cpupool_id: 9, sched_id: 5, ..Default::default() };
    assert_eq!(world.pool(other).0, fails(Errno::ENOENT));
    assert_eq!(world.info(1), Some((5, 0, 0)));
    assert_eq!(world.move_domain(7, 5), fails(Errno::ENOENT), "it has no CPU");

    assert_eq!(world.on_cpu(cpupool::RMCPU, 0, cpupool::PAR_ANY), Ok(0));
    assert_eq!((world.info(0), world.free_cpus()), (Some((0, 2, 0b01)), 0b10));
    assert_eq!(world.on_cpu(cpupool::ADDCPU, 5, cpupool::PAR_ANY), Ok(0));
    assert_eq!(world.on_cpu(cpupool::ADDCPU, 0, 1), fails(Errno::ENODEV));
    assert_eq!((world.info(5), world.free_cpus()), (Some((5, 0, 0b10)), 0));

    world.hv.set_hard_affinity(&world.guest.vcpus()[0], 0b01);
    assert_eq!(world.move_domain(7, 5), Ok(0));
    assert_eq!((world.info(0), world.info(5)), (Some((0, 1, 0b01)), Some((5, 1, 0b10))));
    assert_eq!(world.guest.vcpus()[0].sched.hard_affinity() as u32, u32::MAX, "it may use all of it");
    assert_eq!(world.on_cpu(cpupool::RMCPU, 5, 1), fails(Errno::EBUSY));
    assert_eq!(world.on_cpu(cpupool::DESTROY, 5, 0), fails(Errno::EBUSY));

    assert_eq!(world.move_domain(7, 0), Ok(0));
    assert_eq!(world.on_cpu(cpupool::DESTROY, 5, 0), fails(Errno::EBUSY));
    assert_eq!(world.on_cpu(cpupool::RMCPU, 5, 1), Ok(0));
    assert_eq!(world.on_cpu(cpupool::DESTROY, 5, 0), Ok(0));
    assert_eq!(world.on_cpu(cpupool::ADDCPU, 0, 1), Ok(0));
    assert_eq!((world.info(0), world.info(1), world.free_cpus()), (Some((0, 2, 0b11)), Some((6, 0, 0)), 0));
}

#[test]
fn the_schedulers_rate_limit_is_set_within_bounds() {
    let world = world();
    let ask = |cpupool_id, sched_id, cmd, limit: u64| {
        let (result, u) =
            world.call(op::SCHEDULER_OP, &SchedulerOp { cpupool_id, sched_id, cmd, pad: 0, u: [limit, 0] });
        (result, u.get::<SchedulerOp>().u[0] as u32)
    };
    let credit2 = scheduler::CREDIT2;
    assert_eq!(ask(0, credit2, schedop::PUTINFO, 2000), (Ok(0), 2000));
    assert_eq!(ask(0, credit2, schedop::GETINFO, 0), (Ok(0), 2000));
    assert_eq!(ask(0, credit2, schedop::PUTINFO, 0), (Ok(0), 0));
    for limit in [1, 99, 500_001, 0xffff_ffff] {
        assert_eq!(ask(0, credit2, schedop::PUTINFO, limit).0, fails(Errno::EINVAL), "{limit}");
    }
    assert_eq!(ask(1, credit2, schedop::GETINFO, 0).0, fails(Errno::ESRCH));
    assert_eq!(ask(0, scheduler::CREDIT, schedop::GETINFO, 0).0, fails(Errno::EINVAL));
    assert_eq!(ask(0, credit2, schedop::GETVCPUINFO, 0).0, fails(Errno::EINVAL));
}

#[test]
fn keys_are_pressed_one_by_one() {
    let world = world();
    as_guest(&world.hv, &world.dom0, |cur| cur.copy_to_guest(BUFFER, b"qhq").unwrap());
    for stops in [false, true] {
        world.hv.machine.set_interrupt_waiting(stops);
        let keys = DebugKeys { keys: GuestHandle::new(BUFFER), nr_keys: 3, pad: 0 };
        assert_eq!(world.call(op::DEBUG_KEYS, &keys).0, Ok(0));
    }
    let endless = DebugKeys { keys: GuestHandle::new(BUFFER), nr_keys: u32::MAX, pad: 0 };
    assert_eq!(world.call(op::DEBUG_KEYS, &endless).0, fails(Errno::EFAULT));
}

#[test]
fn operations_that_arm_lacks_are_unknown() {
    let world = world();
    for cmd in
        [op::GET_PMSTAT, op::PM_OP, op::CPU_HOTPLUG, op::PCITOPOINFO, op::LIVEPATCH_OP, op::TBUF_OP, 0, 99]
    {
        assert_eq!(world.call(cmd, &0u64).0, fails(Errno::ENOSYS), "{cmd}");
    }
    assert_eq!(world.call(op::COVERAGE_OP, &0u64).0, fails(Errno::EOPNOTSUPP));
}

#[test]
fn the_wall_clock_is_set_for_all_domains() {
    let world = world();
    let set = |caller: &Dom, time: SetTime64| {
        let op = PlatformOp {
            cmd: platform::op::SETTIME64,
            interface_version: platform::INTERFACE_VERSION,
            u: OpPayload::of(&time),
        };
        as_guest(&world.hv, caller, |cur| {
            cur.write(AT, &op).unwrap();
            platform_op(cur, [AT, 0, 0, 0, 0])
        })
    };
    let time = SetTime64 { secs: 5_000_000_010, nsecs: 500, mbz: 0, system_time: 10_000_000_000 };
    assert_eq!(set(&world.guest, time), fails(Errno::EPERM));
    assert_eq!(set(&world.dom0, SetTime64 { mbz: 1, ..time }), fails(Errno::EINVAL));
    assert_eq!(set(&world.dom0, time), Ok(0));
    world.hv.set_time_offset(&world.guest, 60);
    let page = world.guest.shared_info;
    let word = |offset| world.hv.machine.load32(page, offset);
    let seconds = u64::from(word(core::mem::offset_of!(SharedInfo, wc_sec)))
        | u64::from(word(core::mem::offset_of!(SharedInfo, wc_sec_hi))) << 32;
    assert_eq!(seconds, 5_000_000_060);
    assert_eq!(word(core::mem::offset_of!(SharedInfo, wc_nsec)), 500);
    assert_eq!(word(core::mem::offset_of!(SharedInfo, wc_version)) % 2, 0);
    let wild = SetTime64 { secs: u64::MAX, nsecs: u32::MAX, mbz: 0, system_time: u64::MAX };
    assert_eq!(set(&world.dom0, wild), Ok(0));
    as_guest(&world.hv, &world.dom0, |cur| {
        let op = PlatformOp { cmd: 49, interface_version: platform::INTERFACE_VERSION, ..Default::default() };
        cur.write(AT, &op).unwrap();
        assert_eq!(platform_op(cur, [AT, 0, 0, 0, 0]), fails(Errno::ENOSYS));
        cur.write(AT, &PlatformOp { interface_version: 1, ..op }).unwrap();
        assert_eq!(platform_op(cur, [AT, 0, 0, 0, 0]), fails(Errno::EACCES));
    });
}
