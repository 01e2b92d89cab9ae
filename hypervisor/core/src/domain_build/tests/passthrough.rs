use super::*;

/// The part of a guest's tree that gives it the clock of the board, with these properties.
fn fragment(fill: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut writer = Writer::new([], 0);
    writer.begin_node("");
    writer.begin_node("gic").u32("phandle", 7).end_node();
    writer
        .begin_node("passthrough")
        .str("compatible", "simple-bus")
        .u32("#address-cells", 2)
        .u32("#size-cells", 1);
    writer.begin_node("rtc@22000000").str("compatible", "arm,pl031").u32("interrupt-parent", 7);
    fill(&mut writer);
    writer.end_node().end_node().end_node();
    writer.finish()
}

/// A node of a guest with a kernel and a part of its tree.
fn with_fragment() -> Vec<u8> {
    domain_node(|writer| {
        writer.u64("memory", 8 << 10).u32("cpus", 1);
        module(writer, "kernel", "multiboot,kernel", 1, None);
        module(writer, "fragment", "multiboot,device-tree", 3, None);
    })
}

#[test]
fn a_device_is_given_to_a_guest_by_its_fragment() {
    let hv = world(16384, "");
    let fragment = fragment(|writer| {
        writer.cells("xen,reg", &[0, 0x901_0000, 0x2000, 0, 0x2200_0000]);
        writer.str("xen,path", "/rtc@9010000").property("xen,force-assign-without-iommu", &[]);
    });
    let guest = build_guest_with(&hv, &with_fragment(), &fragment).unwrap();
    assert_eq!(guest.config.nr_spis, 256, "as many as the board has");
    let lookup = |gfn| guest.p2m(hv.mem()).lookup(Gfn(gfn)).map(|mapping| (mapping.mfn.0, mapping.kind));
    assert_eq!(lookup(0x2_2001), Some((0x9011, P2mType::MmioDevice)));
    assert_eq!(lookup(0x2_2002), None);
    let resources = guest.resources.lock();
    assert!(resources.iomem.contains(0x9010, 0x9012) && resources.has_irq(34));
    drop(resources);
    let routed: Vec<_> = hv.machine.log(|log| log.routed.iter().map(|r| (r.0, r.1)).collect());
    assert_eq!(routed, [(34, Trigger::Level)]);
    let blob = guest_tree(&hv, &guest);
    let tree = Tree::parse(&blob).unwrap();
    let clock = tree.find("/passthrough/rtc@22000000").unwrap();
    assert!(clock.is_compatible(&["arm,pl031"]) && !clock.properties().any(|p| p.name.starts_with("xen,")));
    let controller = clock.interrupt_parent(&device_tree::Phandles::of(&tree)).unwrap();
    assert!(controller.name().starts_with("interrupt-controller@") && tree.find("/gic").is_none());
    assert_eq!(tree.root().u32("interrupt-parent"), Some(7));
}

#[test]
fn devices_that_cannot_be_given_are_refused_by_name() {
    let hv = world(16384, "");
    let free = hv.frames.free();
    let error = |fill: &dyn Fn(&mut Writer)| {
        let error = build_guest_with(&hv, &with_fragment(), &fragment(|w| fill(w))).map(|_| ()).unwrap_err();
        assert_eq!((hv.frames.free(), hv.domains.len()), (free, 0), "{error}");
        error
    };
    let path = |w: &mut Writer| {
        w.str("xen,path", "/rtc@9010000");
    };
    let place = |w: &mut Writer| {
        w.cells("xen,reg", &[0, 0x901_0000, 0x1000, 0, 0x2200_0000]);
    };
    let force = |w: &mut Writer| {
        w.property("xen,force-assign-without-iommu", &[]);
    };
    let case = |error: String, name: &str| assert!(error.contains(&format!("`{name}`")), "{error}");
    case(error(&path), "xen,reg");
    let forced = "xen,force-assign-without-iommu";
    let unforced = error(&|w| {
        place(w);
        path(w);
    });
    case(unforced, forced);
    case(error(&place), forced);
    let bad_path = error(&|w| {
        place(w);
        force(w);
        w.str("xen,path", "/no/such");
    });
    case(bad_path, "xen,path");
    for cells in [
        &[0, 0x901_0000, 0x1000, 0][..],
        &[0, 0x901_0004, 0x1000, 0, 0x2200_0000],
        &[0, 0x901_0000, 0x800, 0, 0x2200_0000],
        &[0, 0x901_0000, 0x1000, 0, 0x2200_0010],
        &[0, RAM as u32, 0x1000, 0, 0x2200_0000],
    ] {
        let bad_place = error(&|w| {
            force(w);
            w.cells("xen,reg", cells);
        });
        case(bad_place, "xen,reg");
    }
}
