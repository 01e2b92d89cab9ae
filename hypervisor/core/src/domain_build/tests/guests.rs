use super::*;

#[test]
fn a_guest_is_built_from_its_node() {
    let hv = world(16384, "dom0_mem=8M");
    build(&hv, &zimage(4096), None).unwrap();
    let blob = domain_node(|writer| {
        writer.u64("memory", 9 << 10).u32("cpus", 2).str("xen,enhanced", "enabled");
        module(writer, "kernel", "multiboot,kernel", 1, Some("console=hvc0"));
        module(writer, "initrd", "multiboot,ramdisk", 2, None);
    });
    let guest = build_guest(&hv, &blob).unwrap();
    assert_eq!((guest.id, guest.vcpus().len()), (Domid(1), 2));
    assert!(!guest.is_control() && !guest.is_direct_mapped());
    assert_eq!((guest.account.owned(), guest.account.limit()), (9 << 8, 9 << 8));
    let p2m = guest.p2m(hv.mem());
    assert_eq!(p2m.lookup(Gfn(0x4_0000)).unwrap().order, 9);
    assert!(p2m.lookup(Gfn(0x4_0000 + (9 << 8) - 1)).is_some());
    assert!(p2m.lookup(Gfn(0x4_0000 + (9 << 8))).is_none());
    let interface = p2m.lookup(Gfn(0x3002)).unwrap();
    assert_eq!((interface.mfn.0, interface.kind), ((GIC + 0x4_0000) >> 12, P2mType::MmioDevice));
    drop(p2m);
    let params = guest.params.lock();
    assert_eq!(params.get(xen_abi::hvm::param::STORE_PFN), Some(u64::MAX));
    assert!(params.get(xen_abi::hvm::param::STORE_EVTCHN).unwrap() > 0);
    drop(params);
    let blob = guest_tree(&hv, &guest);
    let tree = Tree::parse(&blob).unwrap();
    assert_eq!(tree.find("/chosen").unwrap().str("bootargs"), Some("console=hvc0"));
    assert!(tree.find("/hypervisor").is_some());
    assert!(guest.life().is_paused());
}

#[test]
fn a_guest_without_dom0_finds_its_cpu_interface() {
    let hv = world(16384, "");
    let board = board(gicv2);
    hv.learn_board(&Described::read(&Tree::parse(&board).unwrap()).unwrap());
    let blob = domain_node(|writer| {
        writer.u64("memory", 8 << 10).u32("cpus", 1);
        module(writer, "kernel", "multiboot,kernel", 1, None);
    });
    let guest = build_guest(&hv, &blob).unwrap();
    let interface = guest.p2m(hv.mem()).lookup(Gfn(0x3002)).unwrap();
    assert_eq!((interface.mfn.0, interface.kind), ((GIC + 0x4_0000) >> 12, P2mType::MmioDevice));
}

#[test]
fn a_guest_that_is_not_enhanced_does_not_see_the_hypervisor() {
    let hv = world(16384, "dom0_mem=8M");
    let blob = domain_node(|writer| {
        writer.u64("memory", 8 << 10).u32("cpus", 1);
        module(writer, "kernel", "multiboot,kernel", 1, None);
    });
    let guest = build_guest(&hv, &blob).unwrap();
    let blob = guest_tree(&hv, &guest);
    let tree = Tree::parse(&blob).unwrap();
    assert!(tree.find("/hypervisor").is_none());
    assert!(tree.find("/psci").is_some());
    assert_eq!(guest.params.lock().get(xen_abi::hvm::param::STORE_EVTCHN), Some(0));
}

#[test]
fn a_guest_with_a_uart_finds_it_in_its_tree_and_has_its_interrupt() {
    use xen_abi::arch::layout;
    let hv = world(16384, "dom0_mem=8M");
    let guest = |fill: &dyn Fn(&mut Writer)| {
        let blob = domain_node(|writer| {
            writer.u64("memory", 8 << 10).u32("cpus", 1);
            fill(writer);
            module(writer, "kernel", "multiboot,kernel", 1, None);
        });
        build_guest(&hv, &blob).unwrap()
    };
    let with = guest(&|writer| {
        writer.u32("nr_spis", 0).property("vpl011", &[]);
    });
    assert_eq!(with.config.nr_spis, 32);
    assert!(with.uart.get().is_some());
    let blob = guest_tree(&hv, &with);
    let tree = Tree::parse(&blob).unwrap();
    let uart = tree.compatible(&["arm,sbsa-uart"]).next().unwrap();
    let place: Vec<_> = uart.reg().unwrap().collect();
    assert_eq!(place, [region(layout::PL011_BASE, layout::PL011_SIZE)]);
    let interrupts = uart.interrupts(&device_tree::Phandles::of(&tree)).unwrap();
    assert_eq!(gic::decode(&interrupts[0].cells).unwrap().0, layout::VPL011_SPI);

    let without = guest(&|writer| {
        writer.u32("nr_spis", 33);
    });
    assert_eq!(without.config.nr_spis, 64);
    assert!(without.uart.get().is_none());
    let blob = guest_tree(&hv, &without);
    assert!(Tree::parse(&blob).unwrap().compatible(&["arm,sbsa-uart"]).next().is_none());
}

#[test]
fn guests_that_cannot_be_built_leave_nothing() {
    let hv = world(4096, "dom0_mem=4M");
    build(&hv, &zimage(4096), None).unwrap();
    let free = hv.frames.free();
    let error = |fill: &dyn Fn(&mut Writer)| {
        let error = build_guest(&hv, &domain_node(|writer| fill(writer))).map(|_| ()).unwrap_err();
        assert_eq!((hv.frames.free(), hv.domains.len()), (free, 1), "{error}");
        error
    };
    let kernel = |writer: &mut Writer| module(writer, "kernel", "multiboot,kernel", 1, None);
    assert!(
        error(&|w| {
            w.u32("cpus", 1);
            kernel(w);
        })
        .contains("memory")
    );
    assert!(
        error(&|w| {
            w.u64("memory", 8192);
            kernel(w);
        })
        .contains("cpus")
    );
    assert!(
        error(&|w| {
            w.u64("memory", 8192).u32("cpus", 9);
            kernel(w);
        })
        .contains("cpus")
    );
    assert!(
        error(&|w| {
            w.u64("memory", u64::MAX).u32("cpus", 1);
            kernel(w);
        })
        .contains("memory")
    );
    assert!(
        error(&|w| {
            w.u64("memory", 1 << 40).u32("cpus", 1);
            kernel(w);
        })
        .len()
            > 5
    );
    assert!(
        error(&|w| {
            w.u64("memory", 64 << 10).u32("cpus", 1);
            kernel(w);
        })
        .contains("free memory")
    );
    assert!(
        error(&|w| {
            w.u64("memory", 0).u32("cpus", 1);
            kernel(w);
        })
        .len()
            > 5
    );
    assert!(
        error(&|w| {
            w.u64("memory", 8192).u32("cpus", 1);
        })
        .contains("kernel")
    );
    let pooled = error(&|w| {
        w.u64("memory", 8192).u32("cpus", 1).u32("domain-cpupool", 1);
        kernel(w);
    });
    assert!(pooled.ends_with("bad or missing `domain-cpupool`"), "{pooled}");
    assert!(
        error(&|w| {
            w.u64("memory", 8192).u32("cpus", 1).str("xen,enhanced", "maybe");
            kernel(w);
        })
        .contains("enhanced")
    );
    assert!(
        error(&|w| {
            w.u64("memory", 8192).u32("cpus", 1).u32("xen,domain-p2m-mem-mb", 0);
            kernel(w);
        })
        .len()
            > 5
    );
    assert!(
        error(&|w| {
            w.u64("memory", 8192).u32("cpus", 1);
            module(w, "k", "multiboot,kernel", 77, None);
        })
        .len()
            > 5
    );
}
