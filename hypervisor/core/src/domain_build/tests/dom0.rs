use super::*;

#[test]
fn dom0_is_made_of_machine_memory_and_devices() {
    let hv = world(16384, "dom0_mem=16M dom0_max_vcpus=2");
    let (kernel, ramdisk) = (zimage(3 * PAGE_SIZE + 100), vec![0xa5; 2 * PAGE_SIZE + 7]);
    let dom0 = build(&hv, &kernel, Some(&ramdisk)).unwrap();
    assert_eq!(dom0.id, Domid(0));
    assert!(dom0.is_control() && dom0.is_hardware() && dom0.is_direct_mapped() && dom0.is_aarch32());
    assert_eq!((dom0.account.owned(), dom0.account.limit()), (4096, 4096));
    assert_eq!(dom0.vcpus().len(), 2);
    assert_eq!(dom0.config.max_grant_frames, 64);
    assert_eq!(dom0.config.nr_spis, 256);

    let guest = dom0.vcpus()[0].context.with(|state| state.guest);
    let entry = guest.user_regs.pc;
    let p2m = dom0.p2m(hv.mem());
    let mapping = p2m.lookup(Gfn::containing(entry)).unwrap();
    assert_eq!((mapping.mfn.0, mapping.kind), (entry >> 12, P2mType::RamRw));
    assert_eq!(mapping.order, 9, "memory is mapped in blocks");
    assert_eq!(read(&hv, entry, PAGE_SIZE), kernel[..PAGE_SIZE]);
    assert_eq!(hv.machine.load32(Mfn((entry >> 12) + 2), 0x10), u32::from_le_bytes([16, 17, 18, 19]));

    // Devices lie where they are, but for the console; the CPU interface is the virtual one.
    let kind = |at: u64| p2m.lookup(Gfn::containing(at)).map(|mapping| (mapping.mfn.0, mapping.kind));
    assert_eq!(kind(DISK), Some((DISK >> 12, P2mType::MmioCacheable)));
    assert_eq!(kind(UART), None);
    assert_eq!(kind(GIC), None, "the distributor is emulated");
    assert_eq!(kind(GIC + 0x1_0000), Some(((GIC + 0x4_0000) >> 12, P2mType::MmioDevice)));
    assert_eq!(kind(GIC + 0x1_1000), Some(((GIC + 0x4_1000) >> 12, P2mType::MmioDevice)));
    assert_eq!(kind(GIC + 0x3_0000), None);
    assert_eq!(kind(0x3000_0000), None);
    drop(p2m);
    let resources = dom0.resources.lock();
    assert!(resources.iomem.contains(DISK >> 12, (DISK >> 12) + 1));
    assert!(!resources.iomem.overlaps(UART >> 12, (UART >> 12) + 1));
    assert!(resources.has_irq(48) && resources.has_irq(49) && !resources.has_irq(33));
    let routed = hv.machine.log(|log| log.routed.clone());
    let routed: Vec<_> = routed.iter().map(|(spi, trigger, _)| (*spi, *trigger)).collect();
    assert_eq!(routed, [(34, Trigger::Level), (48, Trigger::Edge), (49, Trigger::Level)]);
}

#[test]
fn a_gicv3_is_emulated_where_the_boards_is_with_as_many_vcpus_as_it_has_room_for() {
    let hv = world(16384, "dom0_mem=16M dom0_max_vcpus=4");
    let dom0 = build_on(&hv, &board(gicv3), &zimage(PAGE_SIZE), None).unwrap();
    assert_eq!(dom0.vcpus().len(), 3);
    let interrupts = dom0.config.interrupts;
    assert_eq!(interrupts.gicd, GIC);
    let redistributors = interrupts.redistributors.expect("version 3");
    let vcpu = |address| redistributors.find(address);
    assert_eq!((vcpu(GIC + 0xa_0000), vcpu(GIC + 0xd_0004)), (Some((0, 0)), Some((1, 0x1_0004))));
    assert_eq!((vcpu(GIC + 0x20_0000), vcpu(GIC + 0x22_0000)), (Some((2, 0)), None));
    let p2m = dom0.p2m(hv.mem());
    for device in [GIC, GIC + 0x1_0000, GIC + 0xa_0000, GIC + 0x20_0000] {
        assert_eq!(p2m.lookup(Gfn::containing(device)), None, "{device:#x}");
    }
    drop(p2m);

    // Guests that are made later have the same version.
    let blob = domain_node(|writer| {
        writer.u64("memory", 8192).u32("cpus", 9).str("xen,enhanced", "enabled");
        module(writer, "kernel", "multiboot,kernel", 1, None);
    });
    let guest = build_guest(&hv, &blob).unwrap();
    assert_eq!(guest.config.interrupts, GuestInterrupts::guest(xen_abi::arch::gic::V3));
    assert_eq!(guest.p2m(hv.mem()).lookup(Gfn(0x3002)), None);
    let tree = guest_tree(&hv, &guest);
    let tree = Tree::parse(&tree).unwrap();
    let controller = tree.compatible(&["arm,gic-v3"]).next().unwrap();
    let bases: Vec<_> = controller.regions().unwrap().map(|region| region.base).collect();
    assert_eq!(bases, [0x300_1000, 0x302_0000]);
}

#[test]
fn the_tree_that_dom0_gets_names_its_memory_and_ramdisk() {
    let hv = world(16384, "dom0_mem=16M");
    let ramdisk = vec![0x5a; PAGE_SIZE + 1];
    let dom0 = build(&hv, &zimage(PAGE_SIZE), Some(&ramdisk)).unwrap();
    let at = dom0.vcpus()[0].context.with(|state| state.guest.user_regs.x[2]);
    let blob = read(&hv, at, 16 << 10);
    let len = device_tree::total_size(&blob).unwrap();
    let tree = Tree::parse(&blob[..len]).unwrap();
    let chosen = tree.find("/chosen").unwrap();
    assert_eq!(chosen.str("bootargs"), Some("console=hvc0"));
    let start = chosen.property("linux,initrd-start").unwrap().as_u64().unwrap();
    let end = chosen.property("linux,initrd-end").unwrap().as_u64().unwrap();
    assert_eq!(end - start, ramdisk.len() as u64);
    assert_eq!(read(&hv, start, 8), [0x5a; 8]);
    let memory: Vec<_> = tree.nodes().filter(|node| node.str("device_type") == Some("memory")).collect();
    let banks: Vec<_> = memory.iter().flat_map(|node| node.reg().unwrap()).collect();
    assert_eq!(banks.iter().map(|bank| bank.size).sum::<u64>(), 16 << 20);
    assert_eq!(tree.nodes().filter(|node| node.is_compatible(&["arm,pl011"])).count(), 0);
    let hypervisor = tree.find("/hypervisor").unwrap();
    assert!(hypervisor.is_compatible(&["xen,xen-4.17"]));
    let phandles = device_tree::Phandles::of(&tree);
    let interrupts = hypervisor.interrupts(&phandles).unwrap();
    let events = gic::decode(&interrupts[0].cells).unwrap().0;
    assert_eq!(events, dom0.config.interrupts.events);
    assert!(![25, 26, 27, 29, 30].contains(&events));
}

#[test]
fn what_was_loaded_reaches_memory_before_the_caches_are_on() {
    let hv = world(16384, "dom0_mem=16M");
    let dom0 = build(&hv, &zimage(2 * PAGE_SIZE), None).unwrap();
    let entry = dom0.vcpus()[0].context.with(|state| state.guest.user_regs.pc);
    let cleaned = hv.machine.log(|log| log.cache.clone());
    for page in 0..2 {
        assert!(cleaned.contains(&(Mfn((entry >> 12) + page), CacheOp::Clean)));
    }
}

#[test]
fn vcpus_follow_the_command_line_and_can_be_pinned() {
    for (options, vcpus) in
        [("dom0_mem=8M", 2), ("dom0_mem=8M dom0_max_vcpus=3-5", 3), ("dom0_mem=8M dom0_max_vcpus=40", 8)]
    {
        let dom0 = build(&world(8192, options), &zimage(4096), None).unwrap();
        assert_eq!(dom0.vcpus().len(), vcpus, "{options}");
    }
    let hv = world(8192, "dom0_mem=8M dom0_vcpus_pin dom0_max_vcpus=2");
    let dom0 = build(&hv, &zimage(4096), None).unwrap();
    let pins: Vec<_> = dom0.vcpus().iter().map(|vcpu| vcpu.sched.hard_affinity()).collect();
    assert_eq!(pins, [1, 2]);
}

#[test]
fn odd_amounts_of_memory_are_put_together_above_the_first_block() {
    let hv = world(16384, "dom0_mem=23500K");
    let hole = hv.frames.alloc(&hv.machine, 0).unwrap();
    let dom0 = build(&hv, &zimage(4096), None).unwrap();
    assert_eq!(dom0.account.owned(), 23500 / 4);
    let entry = dom0.vcpus()[0].context.with(|state| state.guest.user_regs.pc);
    let p2m = dom0.p2m(hv.mem());
    let mapped: Vec<u64> =
        (RAM_START.0..RAM_START.0 + 16384).filter(|gfn| p2m.lookup(Gfn(*gfn)).is_some()).collect();
    assert_eq!(mapped.len(), 23500 / 4);
    assert!(mapped[0] > hole.0 && mapped[0] == (entry - 0x8000) >> 12);
    assert!(mapped.iter().all(|gfn| p2m.lookup(Gfn(*gfn)).unwrap().mfn == Mfn(*gfn)));
}

#[test]
fn the_first_block_is_smaller_when_that_leaves_enough_above_it() {
    // 64 MiB of which a little in the middle is in use: the largest block is the upper half, with
    // nothing above it.
    let hv = world(16384, "dom0_mem=40M");
    let half = hv.frames.alloc(&hv.machine, 13).unwrap();
    for frame in 0..8192 - 16 {
        hv.frames.release(&hv.machine, Mfn(half.0 + frame), 0);
    }
    let dom0 = build(&hv, &zimage(4096), None).unwrap();
    assert_eq!(dom0.account.owned(), 10240);
    let entry = dom0.vcpus()[0].context.with(|state| state.guest.user_regs.pc);
    assert_eq!(entry, RAM + 0x8000);
}

#[test]
fn what_cannot_be_built_is_said_and_leaves_a_message() {
    let error = |options, kernel: &[u8]| build(&world(2048, options), kernel, None).map(|_| ()).unwrap_err();
    assert_eq!(error("dom0_mem=1G", &zimage(4096)), "there are not 1024 MiB of free memory");
    assert!(error("dom0_mem=5M", &zimage(5 << 20)).contains("MiB of memory"));
    assert!(error("dom0_mem=2M", b"not a kernel at all").contains("kernel"));
    assert_eq!(error("dom0_mem=0", &zimage(4096)), "there are not 0 MiB of free memory");
    let mut truncated = zimage(8192);
    truncated.truncate(5000);
    assert!(!error("dom0_mem=2M", &truncated).is_empty());
    assert_eq!(
        BuildError::State(Arch::Arm64).to_string(),
        "the kernel is for AArch64, which is not to be had here"
    );
}
