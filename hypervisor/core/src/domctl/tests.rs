use alloc::{sync::Arc, vec::Vec};

use xen_abi::{
    Domid, Errno, Gfn, GuestHandle, Mfn,
    arch::{VGCF_ONLINE, VcpuGuestContext, gic, layout, psr},
    domctl::*,
    types::{CtlBitmap, OpPayload},
};

use super::domctl;
use crate::{
    Hypervisor,
    domain::{Domain, Dying},
    domain_build::Board,
    fake::{FakeMachine, GUEST_RAM, as_guest, control_config, domain, guest_config, hypervisor},
    hypercall::{HypercallResult, Stop},
    machine::{CacheOp, CpuId, Trigger},
    p2m::P2mType,
    regs::Arm32Regs,
    vgic::GuestInterrupts,
};

type Hv = Hypervisor<FakeMachine<Arm32Regs>>;
type Dom = Arc<Domain<FakeMachine<Arm32Regs>>>;

const AT: u64 = GUEST_RAM.0 << 12;
const BUFFER: u64 = AT + 0x1000;
const NEW: Domid = Domid(0);

struct World {
    hv: Hv,
    dom0: Dom,
}

fn world() -> World {
    let region = guest_board::Region { base: 0x804_0000, size: 0x1_0000 };
    world_with(Some(region))
}

/// Without a virtual CPU interface in memory the board's interrupt controller is a GICv3.
fn world_with(virtual_cpu: Option<guest_board::Region>) -> World {
    let hv: Hv = hypervisor(4096, 2);
    hv.add_cpu(CpuId(0));
    hv.add_cpu(CpuId(1));
    let mut board = Board::new(virtual_cpu, 24_000_000);
    board.set_edge(40);
    hv.board.call_once(|| board);
    let dom0 = domain(&hv, 0, control_config(), 8);
    World { hv, dom0 }
}

fn asked() -> CreateDomain {
    CreateDomain {
        handle: *b"0123456789abcdef",
        flags: cdf::HVM | cdf::HAP,
        max_vcpus: 2,
        max_evtchn_port: 1023,
        max_grant_frames: -1,
        max_maptrack_frames: -1,
        grant_opts: 1,
        ..Default::default()
    }
}

impl World {
    fn call_as(&self, caller: &Dom, cmd: u32, domain: Domid, u: OpPayload) -> (HypercallResult, Domctl) {
        let op = Domctl { cmd, interface_version: INTERFACE_VERSION, domain, u, ..Default::default() };
        as_guest(&self.hv, caller, |cur| {
            cur.write(AT, &op).unwrap();
            let mut result = domctl(cur, [AT, 0, 0, 0, 0]);
            let mut rounds = 0;
            while let Err(Stop::Preempted(args)) = result {
                assert_eq!(args, [AT, 0, 0, 0, 0]);
                (result, rounds) = (domctl(cur, args), rounds + 1);
                assert!(rounds < 100_000, "no progress");
            }
            (result, cur.read(AT).unwrap())
        })
    }

    fn call<T>(&self, cmd: u32, domain: u16, payload: &T) -> (HypercallResult, Domctl)
    where
        T: zerocopy::IntoBytes + zerocopy::Immutable,
    {
        self.call_as(&self.dom0, cmd, Domid(domain), OpPayload::of(payload))
    }

    fn plain(&self, cmd: u32, domain: u16) -> HypercallResult {
        self.call(cmd, domain, &0u64).0
    }

    fn create(&self) -> Dom {
        let (result, op) = self.call(op::CREATEDOMAIN, NEW.0, &asked());
        assert_eq!(result, Ok(0));
        self.hv.domains.get(op.domain).unwrap()
    }

    /// A domain with vCPUs that may have memory.
    fn guest(&self) -> Dom {
        let guest = self.create();
        let id = guest.id.0;
        assert_eq!(self.call(op::MAX_VCPUS, id, &MaxVcpus { max: 2 }).0, Ok(0));
        assert_eq!(self.call(op::MAX_MEM, id, &MaxMem { max_memkb: 4096 }).0, Ok(0));
        let pool = PagingMempool { size: 64 << 12 };
        assert_eq!(self.call(op::SET_PAGING_MEMPOOL_SIZE, id, &pool).0, Ok(0));
        guest
    }

    fn info(&self, domain: u16) -> GetDomainInfo {
        let (result, op) = self.call(op::GETDOMAININFO, domain, &0u64);
        assert_eq!(result, Ok(0));
        let info: GetDomainInfo = op.u.get();
        assert_eq!(info.domain, op.domain);
        info
    }

    fn write<T: zerocopy::IntoBytes + zerocopy::Immutable>(&self, at: u64, value: &T) {
        as_guest(&self.hv, &self.dom0, |cur| cur.write(at, value).unwrap());
    }

    fn read<T: zerocopy::FromBytes + zerocopy::IntoBytes>(&self, at: u64) -> T {
        as_guest(&self.hv, &self.dom0, |cur| cur.read(at).unwrap())
    }
}

fn fails(errno: Errno) -> HypercallResult {
    Err(Stop::Failed(errno))
}

#[test]
fn the_version_is_looked_at_before_everything_else() {
    let world = world();
    let guest = world.guest();
    as_guest(&world.hv, &world.dom0, |cur| {
        let op = Domctl {
            cmd: op::DESTROYDOMAIN,
            interface_version: 0x14,
            domain: guest.id,
            ..Default::default()
        };
        cur.write(AT, &op).unwrap();
        assert_eq!(domctl(cur, [AT, 0, 0, 0, 0]), fails(Errno::EACCES));
    });
    as_guest(&world.hv, &world.dom0, |cur| {
        assert_eq!(domctl(cur, [0; 5]), fails(Errno::EFAULT));
        assert_eq!(domctl(cur, [u64::MAX, 0, 0, 0, 0]), fails(Errno::EFAULT));
    });
}

#[test]
fn who_is_not_in_control_may_do_nothing() {
    let world = world();
    let guest = domain(&world.hv, 7, guest_config(), 4);
    let other = world.guest();
    for cmd in 2..100 {
        let (result, _) = world.call_as(&guest, cmd, other.id, OpPayload::default());
        assert_eq!(result, fails(Errno::EPERM), "{cmd}");
    }
    let (result, _) = world.call_as(&guest, op::CREATEDOMAIN, NEW, OpPayload::of(&asked()));
    assert_eq!(result, fails(Errno::EPERM));
}

#[test]
fn unknown_domains_and_operations_have_their_errors() {
    let world = world();
    world.guest();
    for cmd in (2..100).filter(|cmd| ![op::CREATEDOMAIN, op::GETDOMAININFO].contains(cmd)) {
        for id in [99, 0x7fef, Domid::SELF.0, Domid::XEN.0, 0xffff] {
            assert_eq!(world.plain(cmd, id), fails(Errno::ESRCH), "{cmd} {id:#x}");
        }
    }
    for cmd in [
        0,
        op::SHADOW_OP,
        op::IOPORT_PERMISSION,
        op::HYPERCALL_INIT,
        op::SENDTRIGGER,
        op::GETHVMCONTEXT,
        op::GET_ADDRESS_SIZE,
        op::DEBUG_OP,
        op::GETPAGEFRAMEINFO3,
        op::SETVNUMAINFO,
        op::PSR_CMT_OP,
        op::GET_CPU_POLICY,
        op::VMTRACE_OP,
        87,
        1000,
        u32::MAX,
    ] {
        assert_eq!(world.plain(cmd, 1), fails(Errno::ENOSYS), "{cmd}");
    }
    for cmd in [op::ASSIGN_DEVICE, op::TEST_ASSIGN_DEVICE, op::GET_DEVICE_GROUP, op::MONITOR_OP, op::VUART_OP]
    {
        assert_eq!(world.plain(cmd, 1), fails(Errno::EOPNOTSUPP), "{cmd}");
    }
    let any = world.call(op::TEST_ASSIGN_DEVICE, Domid::INVALID.0, &0u64).0;
    assert_eq!(any, fails(Errno::EOPNOTSUPP));
}

#[test]
fn a_domain_is_created_as_asked() {
    let world = world();
    let (result, op) = world.call(op::CREATEDOMAIN, NEW.0, &asked());
    assert_eq!((result, op.domain), (Ok(0), Domid(1)));
    let answer: CreateDomain = op.u.get();
    assert_eq!((answer.arch.gic_version, answer.arch.clock_frequency), (1, 24_000_000));
    let made = world.hv.domains.get(Domid(1)).unwrap();
    assert_eq!((made.config.max_grant_frames, made.config.max_maptrack_frames), (64, 1024));
    assert_eq!(made.account.limit(), 0);
    let mapped = made.p2m(world.hv.mem()).lookup(Gfn(0x3003)).unwrap();
    assert_eq!((mapped.mfn, mapped.kind), (Mfn(0x8041), P2mType::MmioDevice));
    assert_eq!(made.p2m(world.hv.mem()).lookup(Gfn(0x3004)), None);
    let info = world.info(1);
    assert_eq!(
        info.flags,
        dominf::HVM_GUEST | dominf::HAP | dominf::PAUSED | 0xffff << dominf::SHUTDOWN_SHIFT
    );
    assert_eq!((info.max_vcpu_id, info.tot_pages, info.gpaddr_bits), (INVALID_MAX_VCPU_ID, 0, 40));
    assert_eq!((info.handle, info.shared_info_frame), (*b"0123456789abcdef", u64::MAX));
}

#[test]
fn the_interrupt_controller_is_of_the_boards_version() {
    let boards =
        [(world(), gic::V2, gic::V3, Errno::EINVAL), (world_with(None), gic::V3, gic::V2, Errno::ENODEV)];
    for (world, own, other, refusal) in boards {
        let create = |version: u8, max_vcpus: u32| {
            let mut wish = CreateDomain { max_vcpus, ..asked() };
            wish.arch.gic_version = version;
            let (result, op) = world.call(op::CREATEDOMAIN, 0, &wish);
            result.map(|_| (op.domain, op.u.get::<CreateDomain>().arch.gic_version))
        };
        let (domain, version) = create(gic::NATIVE, 1).unwrap();
        assert_eq!(version, own);
        assert_eq!(create(own, 1).map(|(_, version)| version), Ok(own));
        assert_eq!(create(other, 1), Err(Stop::Failed(refusal)));
        let most = if own == gic::V3 { 128 } else { 8 };
        assert!(create(own, most).is_ok());
        assert_eq!(create(own, most + 1), Err(Stop::Failed(Errno::EINVAL)));

        let made = world.hv.domains.get(domain).unwrap();
        let interface = made.p2m(world.hv.mem()).lookup(Gfn(layout::GICC_BASE >> 12));
        assert_eq!(interface.is_some(), own == gic::V2, "a GICv3 has none in memory");
        assert_eq!(made.config.interrupts, GuestInterrupts::guest(own));
    }
}

#[test]
fn ids_are_taken_in_turn_or_as_wanted() {
    let world = world();
    let create = |id: u16| {
        let (result, op) = world.call(op::CREATEDOMAIN, id, &asked());
        result.map(|_| op.domain.0)
    };
    assert_eq!(create(0), Ok(1));
    assert_eq!(create(Domid::INVALID.0), Ok(2));
    assert_eq!(create(5), Ok(5));
    assert_eq!(create(5), Err(Stop::Failed(Errno::EEXIST)));
    assert_eq!(create(0), Ok(3));
    assert_eq!(world.plain(op::DESTROYDOMAIN, 1), Ok(0));
    assert_eq!(create(0), Ok(4), "an id is not used again at once");
    assert_eq!(create(0), Ok(6));
    assert_eq!(world.call(op::CREATEDOMAIN, 0, &CreateDomain::default()).0, fails(Errno::EINVAL));
    assert_eq!(create(0), Ok(8), "what is refused has spent an id, too");
    assert_eq!(create(0x7fef), Ok(0x7fef));
}

#[test]
fn odd_wishes_are_refused() {
    let world = world();
    let good = asked();
    let free = world.hv.frames.free();
    let with_arch = |change: fn(&mut xen_abi::arch::ArchDomainconfig)| {
        let mut asked = good;
        change(&mut asked.arch);
        asked
    };
    for bad in [
        CreateDomain { flags: 0, ..good },
        CreateDomain { flags: cdf::HVM, ..good },
        CreateDomain { flags: good.flags | cdf::XS_DOMAIN, ..good },
        CreateDomain { flags: good.flags | cdf::IOMMU, ..good },
        CreateDomain { flags: good.flags | cdf::VPMU, ..good },
        CreateDomain { flags: good.flags | 1 << 31, ..good },
        CreateDomain { iommu_opts: 1, ..good },
        CreateDomain { max_vcpus: 0, ..good },
        CreateDomain { max_vcpus: 9, ..good },
        CreateDomain { max_vcpus: u32::MAX, ..good },
        CreateDomain { max_grant_frames: 65, ..good },
        CreateDomain { max_maptrack_frames: i32::MAX, ..good },
        CreateDomain { grant_opts: 0, ..good },
        CreateDomain { grant_opts: 2, ..good },
        CreateDomain { grant_opts: 0x11, ..good },
        CreateDomain { vmtrace_size: 4096, ..good },
        with_arch(|arch| arch.gic_version = 3),
        with_arch(|arch| arch.gic_version = 255),
        with_arch(|arch| arch.tee_type = 1),
        with_arch(|arch| arch.nr_spis = 989),
        with_arch(|arch| arch.nr_spis = u32::MAX),
    ] {
        assert_eq!(world.call(op::CREATEDOMAIN, 0, &bad).0, fails(Errno::EINVAL), "{bad:?}");
    }
    let pool = CreateDomain { cpupool_id: 1, ..good };
    assert_eq!(world.call(op::CREATEDOMAIN, 0, &pool).0, fails(Errno::ESRCH));
    assert_eq!((world.hv.domains.len(), world.hv.frames.free()), (1, free));
}

#[test]
fn pauses_nest_and_the_first_run_ends_creation() {
    let world = world();
    let guest = world.guest();
    let pauses = || world.info(1).flags & dominf::PAUSED != 0;
    assert!(pauses() && !guest.lifecycle.lock().is_created());
    assert_eq!(world.plain(op::PAUSEDOMAIN, 1), Ok(0));
    assert_eq!(world.plain(op::UNPAUSEDOMAIN, 1), Ok(0));
    assert!(pauses() && !guest.lifecycle.lock().is_created());
    assert_eq!(world.plain(op::UNPAUSEDOMAIN, 1), Ok(0));
    assert!(!pauses() && guest.lifecycle.lock().is_created());
    assert_eq!(world.plain(op::UNPAUSEDOMAIN, 1), fails(Errno::EINVAL));
    for cmd in [op::PAUSEDOMAIN, op::DESTROYDOMAIN, op::RESUMEDOMAIN, op::SETDEBUGGING, op::SOFT_RESET] {
        assert_eq!(world.plain(cmd, 0), fails(Errno::EINVAL), "{cmd} on oneself");
    }
}

#[test]
fn information_is_of_the_next_domain_when_there_is_none() {
    let world = world();
    world.hv.create_domain(Domid(9), guest_config()).unwrap();
    assert_eq!(world.info(1).domain, Domid(9));
    assert_eq!(world.info(0).domain, Domid(0));
    assert_eq!(world.plain(op::GETDOMAININFO, 10), fails(Errno::ESRCH));
    for id in [0x7ff0, 0xffff] {
        assert_eq!(world.plain(op::GETDOMAININFO, id), fails(Errno::EINVAL));
    }
}

#[test]
fn vcpus_are_made_once_and_as_many_as_were_announced() {
    let world = world();
    world.create();
    assert_eq!(world.call(op::MAX_VCPUS, 1, &MaxVcpus { max: 3 }).0, fails(Errno::EINVAL));
    assert_eq!(world.call(op::MAX_VCPUS, 1, &MaxVcpus { max: 2 }).0, Ok(0));
    assert_eq!(world.call(op::MAX_VCPUS, 1, &MaxVcpus { max: 2 }).0, Ok(0));
    assert_eq!(world.info(1).max_vcpu_id, 1);
    assert_eq!(world.call(op::MAX_VCPUS, 0, &MaxVcpus { max: 1 }).0, fails(Errno::EINVAL));
}

fn context(cpsr: u32) -> VcpuGuestContext {
    let mut context = VcpuGuestContext { flags: VGCF_ONLINE, sctlr: 0xc5_0078, ..Default::default() };
    context.user_regs.pc = 0x4000_8000;
    context.user_regs.cpsr = cpsr.into();
    context
}

#[test]
fn registers_are_set_read_and_reset() {
    let world = world();
    let guest = world.guest();
    let ask = |cmd, vcpu, at| {
        let payload = VcpuContext { vcpu, pad: 0, ctxt: GuestHandle::new(at) };
        world.call(cmd, 1, &payload).0
    };
    assert_eq!(ask(op::GETVCPUCONTEXT, 0, BUFFER), fails(Errno::ENODATA));
    world.write(BUFFER, &context(psr::GUEST32_INIT));
    assert_eq!(ask(op::SETVCPUCONTEXT, 0, BUFFER), Ok(0));
    assert!(!guest.vcpus()[0].sched.is_down());
    world.write(BUFFER, &VcpuGuestContext::default());
    assert_eq!(ask(op::GETVCPUCONTEXT, 0, BUFFER), Ok(0));
    let read: VcpuGuestContext = world.read(BUFFER);
    assert_eq!(read, context(psr::GUEST32_INIT));
    assert_eq!(world.info(1).nr_online_vcpus, 1);
    // Null resets.
    assert_eq!(ask(op::SETVCPUCONTEXT, 0, 0), Ok(0));
    assert!(guest.vcpus()[0].sched.is_down());
    assert_eq!(ask(op::GETVCPUCONTEXT, 0, BUFFER), fails(Errno::ENODATA));
    for vcpu in [2, 8, u32::MAX] {
        assert_eq!(ask(op::SETVCPUCONTEXT, vcpu, BUFFER), fails(Errno::EINVAL));
        assert_eq!(ask(op::GETVCPUCONTEXT, vcpu, BUFFER), fails(Errno::EINVAL));
    }
    assert_eq!(ask(op::SETVCPUCONTEXT, 0, 0x10), fails(Errno::EFAULT));
    let own = VcpuContext { vcpu: 0, pad: 0, ctxt: GuestHandle::new(BUFFER) };
    assert_eq!(world.call(op::SETVCPUCONTEXT, 0, &own).0, fails(Errno::EINVAL));
    assert_eq!(world.call(op::GETVCPUCONTEXT, 0, &own).0, fails(Errno::EINVAL));
}

#[test]
fn a_guest_is_not_started_in_a_mode_that_is_not_its_own() {
    let world = world();
    world.guest();
    let set = |context: &VcpuGuestContext| {
        world.write(BUFFER, context);
        let payload = VcpuContext { vcpu: 0, pad: 0, ctxt: GuestHandle::new(BUFFER) };
        world.call(op::SETVCPUCONTEXT, 1, &payload).0
    };
    for mode in [psr::MODE_USR, psr::MODE_FIQ, psr::MODE_SYS, psr::MODE_UND] {
        assert_eq!(set(&context(mode)), Ok(0));
    }
    for mode in [0, psr::MODE_HYP, psr::MODE_MON, psr::MODE_EL2H, psr::MODE_EL1H, 0x1e] {
        assert_eq!(set(&context(mode)), fails(Errno::EINVAL), "{mode:#x}");
    }
    let mut banked = context(psr::MODE_SVC);
    banked.user_regs.spsr_irq = psr::MODE_SVC;
    assert_eq!(set(&banked), Ok(0));
    banked.user_regs.spsr_und = psr::MODE_HYP;
    assert_eq!(set(&banked), fails(Errno::EINVAL));
    assert_eq!(world.call(op::SET_ADDRESS_SIZE, 1, &AddressSize { size: 64 }).0, Ok(0));
    assert_eq!(set(&context(psr::MODE_SVC)), fails(Errno::EINVAL));
    assert_eq!(set(&context(psr::GUEST64_INIT)), Ok(0));
    assert_eq!(set(&context(psr::MODE_EL2H)), fails(Errno::EINVAL));
}

#[test]
fn the_width_is_chosen_before_there_is_memory() {
    let world = world();
    let guest = world.guest();
    let set = |size| world.call(op::SET_ADDRESS_SIZE, 1, &AddressSize { size }).0;
    assert_eq!(set(32), Ok(0));
    assert_eq!(set(33), fails(Errno::EINVAL));
    assert_eq!(set(0), fails(Errno::EINVAL));
    let wanted = crate::frames::Wanted::order(0);
    world.hv.frames.alloc_for(&world.hv.machine, &guest.account, &wanted).unwrap();
    assert_eq!(set(64), fails(Errno::EBUSY));
    assert_eq!(set(32), Ok(0));
}

#[test]
fn a_width_that_the_processors_lack_is_refused() {
    let world = world();
    world.guest();
    world.hv.machine.lose_aarch32();
    let set = |size| world.call(op::SET_ADDRESS_SIZE, 1, &AddressSize { size }).0;
    assert_eq!(set(32), fails(Errno::EINVAL));
    assert_eq!(set(64), Ok(0));
}

#[test]
fn vcpu_information_tells_what_it_does() {
    let world = world();
    world.create();
    let ask = |vcpu| world.call(op::GETVCPUINFO, 1, &GetVcpuInfo { vcpu, ..Default::default() });
    assert_eq!(ask(0).0, fails(Errno::ESRCH));
    assert_eq!(ask(2).0, fails(Errno::EINVAL));
    world.call(op::MAX_VCPUS, 1, &MaxVcpus { max: 2 }).0.unwrap();
    let (result, op) = ask(1);
    let info: GetVcpuInfo = op.u.get();
    assert_eq!((result, info.vcpu, info.online, info.running), (Ok(0), 1, 0, 0));
}

fn bitmap(at: u64, nr_bits: u32) -> CtlBitmap {
    CtlBitmap { bitmap: GuestHandle::new(at), nr_bits, pad: 0 }
}

#[test]
fn affinities_are_set_and_what_they_come_to_is_told() {
    let world = world();
    let guest = world.guest();
    let set = |flags, hard: u64, soft: u64| {
        world.write(BUFFER, &hard);
        world.write(BUFFER + 64, &soft);
        let payload = VcpuAffinity {
            vcpu: 0,
            flags,
            cpumap_hard: bitmap(BUFFER, 16),
            cpumap_soft: bitmap(BUFFER + 64, 8),
        };
        let result = world.call(op::SETVCPUAFFINITY, 1, &payload).0;
        (result, world.read::<u64>(BUFFER), world.read::<u64>(BUFFER + 64))
    };
    let both = affinity::HARD | affinity::SOFT;
    assert_eq!(set(both, 0xfffe, 0xff), (Ok(0), 0b10, 0b10));
    assert_eq!(guest.vcpus()[0].sched.hard_affinity(), 0xfffe);
    assert_eq!(set(affinity::HARD, 0b1100, 0).0, fails(Errno::EINVAL), "no such CPU is up");
    assert_eq!(set(affinity::HARD, 0, 0).0, fails(Errno::EINVAL));
    assert_eq!(set(0, 1, 1).0, fails(Errno::EINVAL));
    assert_eq!(guest.vcpus()[0].sched.hard_affinity(), 0xfffe);
    let get = VcpuAffinity {
        vcpu: 0,
        flags: both,
        cpumap_hard: bitmap(BUFFER, 200),
        cpumap_soft: bitmap(BUFFER + 64, 1),
    };
    world.write(BUFFER + 8, &u64::MAX);
    world.write(BUFFER + 64, &0xaa00u64);
    assert_eq!(world.call(op::GETVCPUAFFINITY, 1, &get).0, Ok(0));
    assert_eq!(world.read::<[u64; 2]>(BUFFER), [0b10, 0], "to its end the bitmap is zero");
    assert_eq!(world.read::<u64>(BUFFER + 64), 0xaa01, "no more than its bits' bytes");
    let no_map = VcpuAffinity { flags: affinity::HARD, cpumap_hard: bitmap(0, 8), ..get };
    assert_eq!(world.call(op::SETVCPUAFFINITY, 1, &no_map).0, fails(Errno::EINVAL));
    assert_eq!(world.call(op::GETVCPUAFFINITY, 1, &VcpuAffinity { vcpu: 2, ..get }).0, fails(Errno::EINVAL));
    world.create();
    assert_eq!(world.call(op::GETVCPUAFFINITY, 2, &get).0, fails(Errno::ESRCH));
    for cmd in [op::SETNODEAFFINITY, op::GETNODEAFFINITY] {
        world.write(BUFFER, &1u64);
        assert_eq!(world.call(cmd, 1, &NodeAffinity { nodemap: bitmap(BUFFER, 64) }).0, Ok(0));
    }
    world.write(BUFFER, &0b10u64);
    let nodes = NodeAffinity { nodemap: bitmap(BUFFER, 64) };
    assert_eq!(world.call(op::SETNODEAFFINITY, 1, &nodes).0, fails(Errno::EINVAL));
}

#[test]
fn shares_of_the_cpus_are_credit2s() {
    let world = world();
    world.guest();
    let ask = |sched_id, cmd, weight, cap| {
        let mut payload = SchedulerOp { sched_id, cmd, u: [0; 2] };
        payload.set_credit(SchedCredit { weight, cap });
        let (result, op) = world.call(op::SCHEDULER_OP, 1, &payload);
        (result, op.u.get::<SchedulerOp>().credit())
    };
    let share = |weight, cap| SchedCredit { weight, cap };
    let credit2 = scheduler::CREDIT2;
    assert_eq!(ask(credit2, schedop::GETINFO, 0, 0), (Ok(0), share(256, 0)));
    assert_eq!(ask(credit2, schedop::PUTINFO, 512, 50), (Ok(0), share(512, 50)));
    assert_eq!(ask(credit2, schedop::GETINFO, 0, 0), (Ok(0), share(512, 50)));
    assert_eq!(ask(credit2, schedop::PUTINFO, 0, 200), (Ok(0), share(0, 200)), "as it was asked");
    assert_eq!(ask(credit2, schedop::PUTINFO, 0, 201).0, fails(Errno::EINVAL), "more than two CPUs");
    assert_eq!(ask(credit2, schedop::GETINFO, 0, 0), (Ok(0), share(512, 200)));
    assert_eq!(ask(scheduler::CREDIT, schedop::GETINFO, 0, 0).0, fails(Errno::EINVAL));
    assert_eq!(ask(credit2, schedop::PUTVCPUINFO, 0, 0).0, fails(Errno::EINVAL));
    assert_eq!(ask(credit2, 9, 0, 0).0, fails(Errno::EINVAL));
}

#[test]
fn the_memory_limit_takes_any_number() {
    let world = world();
    let guest = world.guest();
    for (kib, pages) in [(0, 0), (4097, 1024), (1 << 40, u32::MAX - 1), (u64::MAX, u32::MAX - 1)] {
        assert_eq!(world.call(op::MAX_MEM, 1, &MaxMem { max_memkb: kib }).0, Ok(0));
        assert_eq!(guest.account.limit(), pages, "{kib}");
    }
}

#[test]
fn the_table_pool_is_a_limit_that_has_to_be_there() {
    let world = world();
    let guest = world.create();
    let set = |size| world.call(op::SET_PAGING_MEMPOOL_SIZE, 1, &PagingMempool { size }).0;
    let get = || world.call(op::GET_PAGING_MEMPOOL_SIZE, 1, &0u64).1.u.get::<PagingMempool>().size;
    assert_eq!(get(), 16 << 12);
    let free = world.hv.frames.free();
    assert_eq!(set(1000 << 12), Ok(0));
    assert_eq!((get(), world.hv.frames.free()), (1000 << 12, free), "taken only when needed");
    assert_eq!(set(4095), fails(Errno::EINVAL));
    assert_eq!(set(u64::MAX), fails(Errno::EINVAL));
    assert_eq!(set(1 << 50), fails(Errno::EINVAL));
    assert_eq!(set(1 << 30), fails(Errno::ENOMEM));
    assert_eq!(set(0), fails(Errno::ENOMEM), "less than is in use");
    let used = guest.p2m(world.hv.mem()).pool().used();
    assert_eq!(set(u64::from(used) << 12), Ok(0));
    assert_eq!(world.call(op::SET_PAGING_MEMPOOL_SIZE, 0, &PagingMempool { size: 0 }).0, Ok(0));
}

#[test]
fn cleaning_reaches_every_page_and_goes_on_where_it_stopped() {
    let world = world();
    let guest = domain(&world.hv, 3, guest_config(), 8);
    let flush = |start_pfn, nr_pfns| world.call(op::CACHEFLUSH, 3, &CacheFlush { start_pfn, nr_pfns }).0;
    for stops in [false, true] {
        world.hv.machine.set_interrupt_waiting(stops);
        world.hv.machine.log(|log| log.cache.clear());
        assert_eq!(flush(GUEST_RAM.0 - 1, 7), Ok(0));
        let cleaned: Vec<_> = world.hv.machine.log(|log| log.cache.clone());
        let expected: Vec<_> = (0..6)
            .map(|n| guest.p2m(world.hv.mem()).lookup(Gfn(GUEST_RAM.0 + n)).unwrap().mfn)
            .map(|mfn| (mfn, CacheOp::CleanInvalidate))
            .collect();
        assert_eq!(cleaned, expected);
    }
    assert_eq!(flush(0, (1 << 18) + 1), fails(Errno::EINVAL));
    assert_eq!(flush(u64::MAX, 2), fails(Errno::EINVAL));
    assert_eq!(flush(u64::MAX, 0), Ok(0));
    assert_eq!(flush((1 << 28) - 1, 1 << 18), Ok(0));
}

#[test]
fn device_memory_is_given_by_who_has_it() {
    let world = world();
    let guest = world.guest();
    world.dom0.resources.lock().iomem.insert(0x9000, 0x9080).unwrap();
    let permit = |first_mfn, nr_mfns, allow_access| {
        let payload = IomemPermission { first_mfn, nr_mfns, allow_access, ..Default::default() };
        world.call(op::IOMEM_PERMISSION, 1, &payload).0
    };
    let map = |first_gfn, first_mfn, nr_mfns, add_mapping| {
        let payload = MemoryMapping { first_gfn, first_mfn, nr_mfns, add_mapping, padding: 0 };
        world.call(op::MEMORY_MAPPING, 1, &payload).0
    };
    let lookup = |gfn| guest.p2m(world.hv.mem()).lookup(Gfn(gfn)).map(|m| (m.mfn.0, m.kind));
    assert_eq!(map(0x100, 0x9000, 2, 1), fails(Errno::EPERM));
    assert_eq!(permit(0x9000, 0x81, 1), fails(Errno::EPERM));
    assert_eq!(permit(0x9000, 0, 1), fails(Errno::EINVAL));
    assert_eq!(permit(u64::MAX, 2, 1), fails(Errno::EINVAL));
    assert_eq!(permit(1 << 28, 1, 1), fails(Errno::EPERM));
    assert_eq!(permit(0x9000, 0x80, 1), Ok(0));
    assert_eq!(map(0x100, 0x9000, 65, 1), fails(Errno::E2BIG));
    assert_eq!(map(u64::MAX, 0x9000, 2, 1), fails(Errno::EINVAL));
    assert_eq!(map(1 << 28, 0x9000, 2, 1), fails(Errno::EINVAL));
    assert_eq!(map(1 << 28, 0x9000, 2, 0), fails(Errno::EINVAL));
    assert_eq!(map(0x100, 1 << 28, 2, 1), fails(Errno::EINVAL));
    assert_eq!(map(0x100, 0x9000, 64, 1), Ok(0));
    assert_eq!(lookup(0x13f), Some((0x903f, P2mType::MmioDevice)));
    // What maps something else stays.
    assert_eq!(map(0x101, 0x9000, 1, 0), Ok(0));
    assert!(lookup(0x101).is_some());
    assert_eq!(map(0x100, 0x9000, 64, 0), Ok(0));
    assert!((0x100..0x140).all(|gfn| lookup(gfn).is_none()));
    assert_eq!(permit(0x9010, 1, 0), Ok(0));
    assert_eq!(map(0x100, 0x9000, 32, 1), fails(Errno::EPERM));
    // RAM is nobody's device, whatever a permission says.
    let ram = crate::fake::RAM_START.0;
    world.dom0.resources.lock().iomem.insert(ram, ram + 16).unwrap();
    assert_eq!(permit(ram, 16, 1), Ok(0));
    assert_eq!(map(0x100, ram, 1, 1), fails(Errno::EPERM));
}

#[test]
fn interrupts_are_bound_one_to_one_by_who_has_them() {
    let world = world();
    let mut wish = asked();
    wish.arch.nr_spis = 32;
    let (result, _) = world.call(op::CREATEDOMAIN, 1, &wish);
    assert_eq!(result, Ok(0));
    world.call(op::MAX_VCPUS, 1, &MaxVcpus { max: 2 }).0.unwrap();
    let ask = |cmd, machine_irq: u32, spi: u16, irq_type| {
        let payload = BindPtIrq { machine_irq, irq_type, u: [spi.into(), 0] };
        world.call(cmd, 1, &payload).0
    };
    let spi = PT_IRQ_TYPE_SPI;
    assert_eq!(ask(op::BIND_PT_IRQ, 40, 40, 0), fails(Errno::EOPNOTSUPP));
    assert_eq!(ask(op::BIND_PT_IRQ, 40, 41, spi), fails(Errno::EINVAL));
    assert_eq!(ask(op::BIND_PT_IRQ, 40, 40, spi), fails(Errno::EPERM));
    for irq in [20, 40, 41, 1000] {
        world.dom0.resources.lock().set_irq(irq, true);
    }
    assert_eq!(ask(op::BIND_PT_IRQ, 20, 20, spi), fails(Errno::EINVAL), "not a shared one");
    assert_eq!(ask(op::BIND_PT_IRQ, 1000, 1000, spi), fails(Errno::EINVAL), "more than the guest has");
    assert_eq!(ask(op::BIND_PT_IRQ, 40, 40, spi), Ok(0));
    assert_eq!(ask(op::BIND_PT_IRQ, 41, 41, spi), Ok(0));
    assert_eq!(ask(op::BIND_PT_IRQ, 40, 40, spi), fails(Errno::EBUSY));
    let routed: Vec<_> = world.hv.machine.log(|log| log.routed.iter().map(|r| (r.0, r.1)).collect());
    assert_eq!(routed, [(40, Trigger::Edge), (41, Trigger::Level)]);
    assert_eq!(ask(op::UNBIND_PT_IRQ, 40, 40, spi), Ok(0));
    assert_eq!(ask(op::UNBIND_PT_IRQ, 40, 40, spi), fails(Errno::EINVAL));
    let permit =
        |pirq| world.call(op::IRQ_PERMISSION, 1, &IrqPermission { pirq, allow_access: 1, pad: [0; 3] }).0;
    assert_eq!(permit(41), Ok(0));
    assert_eq!(permit(42), fails(Errno::EPERM));
    assert_eq!(permit(1024), fails(Errno::EINVAL));
}

#[test]
fn single_settings_are_kept() {
    let world = world();
    let guest = world.guest();
    let handle = SetDomainHandle { handle: [7; 16] };
    assert_eq!(world.call(op::SETDOMAINHANDLE, 1, &handle).0, Ok(0));
    assert_eq!(world.call(op::SETDEBUGGING, 1, &SetDebugging { enable: 1 }).0, Ok(0));
    let info = world.info(1);
    assert_eq!((info.handle, info.flags & dominf::DEBUGGED), ([7; 16], dominf::DEBUGGED));
    assert_eq!(world.call(op::SETTIMEOFFSET, 1, &SetTimeOffset { time_offset_seconds: -3 }).0, Ok(0));
    let shared = guest.shared_info;
    let at = core::mem::offset_of!(xen_abi::xen::SharedInfo, wc_sec);
    use crate::machine::Machine;
    assert_eq!(world.hv.machine.load32(shared, at), -3i32 as u32);
    assert_eq!(world.call(op::SUBSCRIBE, 1, &Subscribe { port: 1 }).0, Ok(0));
    assert_eq!(world.call(op::SET_VIRQ_HANDLER, 1, &SetVirqHandler { virq: 3 }).0, Ok(0));
    assert_eq!(world.call(op::SET_VIRQ_HANDLER, 1, &SetVirqHandler { virq: 24 }).0, fails(Errno::EINVAL));
    let serve = |target| world.call(op::SET_TARGET, 1, &SetTarget { target: Domid(target) }).0;
    assert_eq!(serve(9), fails(Errno::ESRCH));
    assert_eq!(serve(1), fails(Errno::EINVAL));
    world.create();
    assert_eq!(serve(2), Ok(0));
    assert_eq!(serve(2), fails(Errno::EINVAL));
    assert_eq!(guest.serves(), Some(Domid(2)));
}

#[test]
fn a_domain_that_shut_down_says_why_and_can_go_on() {
    let world = world();
    let guest = world.guest();
    world.hv.shutdown_domain(&guest, 2);
    world.hv.shutdown_domain(&guest, 3);
    let info = world.info(1);
    assert_eq!(info.flags & dominf::SHUTDOWN, dominf::SHUTDOWN);
    assert_eq!(info.flags >> dominf::SHUTDOWN_SHIFT, 2, "the first reason counts");
    assert_eq!(world.plain(op::RESUMEDOMAIN, 1), Ok(0));
    assert_eq!(world.info(1).flags & dominf::SHUTDOWN, 0);
    assert_eq!(world.info(1).flags >> dominf::SHUTDOWN_SHIFT, 0xffff);
}

#[test]
fn one_control_operation_is_served_at_a_time() {
    let world = world();
    let guest = world.guest();
    let lock = world.hv.control.lock();
    as_guest(&world.hv, &world.dom0, |cur| {
        let op = Domctl {
            cmd: op::PAUSEDOMAIN,
            interface_version: INTERFACE_VERSION,
            domain: guest.id,
            ..Default::default()
        };
        cur.write(AT, &op).unwrap();
        assert_eq!(domctl(cur, [AT, 0, 0, 0, 0]), Err(Stop::Preempted([AT, 0, 0, 0, 0])));
    });
    drop(lock);
    assert_eq!(world.plain(op::PAUSEDOMAIN, 1), Ok(0));
}

#[test]
fn destruction_takes_any_number_of_calls_and_leaves_nothing() {
    let world = world();
    let free = world.hv.frames.free();
    for stops in [false, true] {
        let guest = world.guest();
        let id = guest.id.0;
        for page in 0..100 {
            let wanted = crate::frames::Wanted::order(0);
            let mfn = world.hv.frames.alloc_for(&world.hv.machine, &guest.account, &wanted).unwrap();
            if page % 3 != 0 {
                guest.p2m(world.hv.mem()).map(Gfn(page * 200), mfn, 1, P2mType::RamRw).unwrap();
            }
        }
        world.hv.machine.set_interrupt_waiting(stops);
        assert_eq!(world.plain(op::DESTROYDOMAIN, id), Ok(0));
        assert_eq!(world.plain(op::DESTROYDOMAIN, id), fails(Errno::ESRCH));
        assert_eq!(guest.lifecycle.lock().dying, Dying::Dead);
        drop(guest);
        world.hv.machine.set_interrupt_waiting(false);
        assert_eq!(world.hv.frames.free(), free);
    }
}

#[test]
fn a_zombie_stays_until_its_last_page_comes_back() {
    let world = world();
    let guest = domain(&world.hv, 4, guest_config(), 8);
    let mfn = guest.p2m(world.hv.mem()).lookup(GUEST_RAM).unwrap().mfn;
    assert!(world.hv.frames.get(mfn, Domid(4)));
    world.dom0.p2m(world.hv.mem()).map(Gfn(0x9_0000), mfn, 1, P2mType::ForeignRw).unwrap();
    assert_eq!(world.plain(op::DESTROYDOMAIN, 4), Ok(0));
    assert_eq!(world.plain(op::DESTROYDOMAIN, 4), Ok(0), "dead already");
    let info = world.info(4);
    assert_eq!((info.flags & dominf::DYING, info.tot_pages), (dominf::DYING, 1));
    let twin = CreateDomain { max_vcpus: 1, ..asked() };
    assert_eq!(world.call(op::CREATEDOMAIN, 4, &twin).0, fails(Errno::EEXIST));
    world.dom0.p2m(world.hv.mem()).unmap(Gfn(0x9_0000), crate::p2m::Ram::Keep).unwrap();
    world.hv.bury_dead();
    assert_eq!(world.plain(op::DESTROYDOMAIN, 4), fails(Errno::ESRCH));
    assert_eq!(world.call(op::CREATEDOMAIN, 4, &twin).0, Ok(0));
}

#[test]
fn creating_fails_at_any_allocation_without_a_trace() {
    let world = world();
    let free = world.hv.frames.free();
    let mut held = Vec::new();
    let mut failures = 0;
    // Take all memory, then give it back frame by frame until creation succeeds.
    while let Some(mfn) = world.hv.frames.alloc(&world.hv.machine, 0) {
        held.push(mfn);
    }
    loop {
        let left = world.hv.frames.free();
        let (result, op) = world.call(op::CREATEDOMAIN, 0, &asked());
        if result == Ok(0) {
            let id = op.domain.0;
            assert_eq!(world.call(op::MAX_VCPUS, id, &MaxVcpus { max: 2 }).0, Ok(0));
            assert_eq!(world.plain(op::DESTROYDOMAIN, id), Ok(0));
            assert_eq!(world.hv.frames.free(), left);
            break;
        }
        assert_eq!(result, fails(Errno::ENOMEM));
        assert_eq!((world.hv.frames.free(), world.hv.domains.len()), (left, 1));
        failures += 1;
        let mfn = held.pop().unwrap();
        world.hv.frames.release(&world.hv.machine, mfn, 0);
    }
    assert!(failures > 3, "{failures}");
    for mfn in held {
        world.hv.frames.release(&world.hv.machine, mfn, 0);
    }
    assert_eq!(world.hv.frames.free(), free);
}

#[test]
fn a_thousand_domains_come_and_go() {
    let world = world();
    let free = world.hv.frames.free();
    for round in 0..1000 {
        let guest = world.create();
        assert_eq!(world.plain(op::DESTROYDOMAIN, guest.id.0), Ok(0), "{round}");
    }
    assert_eq!((world.hv.frames.free(), world.hv.domains.len()), (free, 1));
}

#[test]
fn there_are_as_many_domains_as_tlb_tags() {
    let hv: Hv = hypervisor(8192, 1);
    let dom0 = domain(&hv, 0, control_config(), 8);
    let world = World { hv, dom0 };
    for _ in 1..255 {
        world.create();
    }
    assert_eq!(world.call(op::CREATEDOMAIN, 0, &asked()).0, fails(Errno::ENOMEM));
    assert_eq!(world.plain(op::DESTROYDOMAIN, 17), Ok(0));
    world.create();
}

#[test]
fn random_requests_harm_nobody() {
    let world = world();
    world.guest();
    let guest = domain(&world.hv, 5, guest_config(), 4);
    let mut seed = 0x1234_5678_9abc_def1u64;
    let mut random = || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    for _ in 0..20_000 {
        let cmd = (random() % 90) as u32;
        let target = [0, 1, 2, 5, 9, 0x7ff0][(random() % 6) as usize];
        let mut payload = OpPayload::default();
        for chunk in payload.0.chunks_mut(8) {
            let value = match random() % 6 {
                0 => 0,
                1 => 1,
                2 => random() % 64,
                3 => BUFFER,
                4 => u64::MAX,
                _ => random(),
            };
            chunk.copy_from_slice(&value.to_le_bytes());
        }
        let caller = if random() % 4 == 0 { &guest } else { &world.dom0 };
        if cmd == op::DESTROYDOMAIN && target == 5 {
            continue;
        }
        let _ = world.call_as(caller, cmd, Domid(target), payload);
    }
    assert!(world.hv.domains.get(Domid(0)).is_some());
}
