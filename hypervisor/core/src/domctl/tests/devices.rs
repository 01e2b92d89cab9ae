//! Device memory and interrupts.

use super::*;

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
fn a_uart_is_given_before_the_guest_runs_and_once() {
    let world = world();
    let mut with_interrupts = asked();
    with_interrupts.arch.nr_spis = 32;
    let (result, op) = world.call(op::CREATEDOMAIN, NEW.0, &with_interrupts);
    assert_eq!(result, Ok(0));
    let guest = world.hv.domains.get(op.domain).unwrap();
    let id = guest.id.0;
    assert_eq!(world.call(op::MAX_VCPUS, id, &MaxVcpus { max: 2 }).0, Ok(0));
    assert_eq!(world.call(op::MAX_MEM, id, &MaxMem { max_memkb: 4096 }).0, Ok(0));
    let pool = PagingMempool { size: 64 << 12 };
    assert_eq!(world.call(op::SET_PAGING_MEMPOOL_SIZE, id, &pool).0, Ok(0));
    let mfn = world.hv.frames.alloc_for(&world.hv.machine, &guest.account, &Wanted::order(0)).unwrap();
    guest.p2m(world.hv.mem()).map(GUEST_RAM, mfn, 1, P2mType::RamRw).unwrap();
    let right = VuartOp { gfn: GUEST_RAM.0, ..VuartOp::default() };
    let wrong = [
        (VuartOp { cmd: 1, ..right }, Errno::EINVAL),
        (VuartOp { pad: [0, 1], ..right }, Errno::EINVAL),
        (VuartOp { kind: 1, ..right }, Errno::EOPNOTSUPP),
        (VuartOp { gfn: GUEST_RAM.0 + 1, ..right }, Errno::EINVAL),
        (VuartOp { gfn: u64::MAX, ..right }, Errno::EINVAL),
    ];
    for (op, errno) in wrong {
        assert_eq!(world.call(op::VUART_OP, id, &op).0, fails(errno), "{op:?}");
    }
    let (result, op) = world.call(op::VUART_OP, id, &right);
    assert_eq!((result, op.u.get::<VuartOp>().evtchn), (Ok(0), EvtchnPort(1)));
    assert_eq!(world.call(op::VUART_OP, id, &right).0, fails(Errno::EINVAL));
    assert_eq!(world.plain(op::UNPAUSEDOMAIN, id), Ok(0));
    assert_eq!(world.call(op::VUART_OP, id, &right).0, fails(Errno::EPERM));
}
