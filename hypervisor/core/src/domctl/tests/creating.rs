//! What is asked for, and what comes of it.

use super::*;

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
