//! vCPUs: their registers, and where they may run.

use super::*;

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
