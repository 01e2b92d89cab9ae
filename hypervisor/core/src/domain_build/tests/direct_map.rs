use xen_abi::arch::{gic::V3, layout};

use super::{
    static_memory::{MIB, world_with_set_aside},
    *,
};

/// A node of a guest with so many vCPUs and `direct-map`, and with so much memory of what is set aside, on a board with
/// this interrupt controller.
fn node(gic: fn(&mut Writer), vcpus: u32, regions: &[(u64, u64)], more: impl FnOnce(&mut Writer)) -> Vec<u8> {
    domain_node_on(gic, |writer| {
        let regions: Vec<_> = regions.iter().map(|(base, size)| region(*base, *size)).collect();
        writer.u64("memory", regions.iter().map(|region| region.size).sum::<u64>() >> 10).u32("cpus", vcpus);
        writer.property("direct-map", &[]);
        if !regions.is_empty() {
            writer.regions("xen,static-mem", &regions);
        }
        more(writer);
        module(writer, "kernel", "multiboot,kernel", 1, None);
    })
}

fn learn(hv: &Hv, gic: fn(&mut Writer)) {
    hv.learn_board(&Described::read(&Tree::parse(&board(gic)).unwrap()).unwrap());
}

#[test]
fn memory_and_devices_of_a_guest_are_at_the_machines_addresses() {
    let (hv, start) = world_with_set_aside();
    learn(&hv, gicv2);
    let (base, free) = (start << 12, hv.frames.free());
    let banks = [(base + 4 * MIB, 6 * MIB), (base, 2 * MIB)];
    let blob = node(gicv2, 2, &banks, |writer| {
        writer.property("vpl011", &[]).u32("nr_spis", 0).str("xen,enhanced", "no-xenstore");
    });
    let guest = build_guest(&hv, &blob).unwrap();
    assert!(guest.is_direct_mapped() && guest.keeps_memory() && !guest.is_hardware());
    assert_eq!((guest.account.owned(), guest.config.nr_spis), (2048, 32));
    let p2m = guest.p2m(hv.mem());
    let lookup = |at| p2m.lookup(Gfn::containing(at)).map(|mapping| (mapping.mfn.0 << 12, mapping.kind));
    for at in [base, base + 2 * MIB - 0x1000, base + 4 * MIB, base + 10 * MIB - 0x1000] {
        assert_eq!(lookup(at), Some((at, P2mType::RamRw)));
    }
    assert_eq!([base + 2 * MIB, base + 10 * MIB, layout::RAM0_BASE, UART, GIC].map(lookup), [None; 5]);
    for page in [0, 0x1000] {
        assert_eq!(lookup(GIC + 0x1_0000 + page), Some((GIC + 0x4_0000 + page, P2mType::MmioDevice)));
    }
    assert_eq!([GIC + 0x1_2000, layout::GICC_BASE].map(lookup), [None; 2]);
    drop(p2m);
    assert_eq!(guest.config.interrupts, GuestInterrupts { gicd: GIC, ..GuestInterrupts::default() });
    let entry = guest.vcpus()[0].context.with(|state| state.guest.user_regs.pc);
    assert_eq!(entry, base + 4 * MIB + 0x8000);
    assert_eq!(read(&hv, entry, 5000), zimage(5000));
    assert_eq!(guest.kept(Gfn(start), 512), Some(start..start + 512));
    assert_eq!(guest.kept(Gfn(guest.shared_info.0), 1), None, "what is no memory of its own");

    let blob = guest_tree(&hv, &guest);
    let tree = Tree::parse(&blob).unwrap();
    let reg = |path: &str| tree.find(path).unwrap().reg().unwrap().collect::<Vec<_>>();
    for (at, size) in banks {
        assert_eq!(reg(&format!("/memory@{at:x}")), [region(at, size)]);
    }
    let controller = [region(GIC, 0x1000), region(GIC + 0x1_0000, 0x2000)];
    assert_eq!(reg("/interrupt-controller@8000000"), controller);
    assert_eq!(reg("/sbsa-pl011@9000000"), [region(UART, 0x1000)]);
    let uart = tree.find("/sbsa-pl011@9000000").unwrap();
    let line = &uart.interrupts(&device_tree::Phandles::of(&tree)).unwrap()[0].cells;
    assert_eq!((gic::decode(line).unwrap().0, guest.config.uart.spi), (33, 33));
    assert_eq!(reg("/hypervisor"), [region(IMAGE, 0x4_0000)], "a grant table, and nothing else for 32 bits");
    assert_eq!(guest.config.max_grant_frames, 64);

    hv.destroy_domain(&guest, &mut || false);
    drop(guest);
    while hv.frames.scrub_one(&hv.machine) {}
    assert_eq!((hv.frames.free(), hv.frames.owner(Mfn(start))), (free, None));
}

#[test]
fn redistributors_are_where_the_board_has_them_as_far_as_they_are_needed() {
    let (hv, start) = world_with_set_aside();
    learn(&hv, gicv3);
    let build = |vcpus| build_guest(&hv, &node(gicv3, vcpus, &[(start << 12, 8 * MIB)], |_| ()));
    let [first, second] = [region(GIC + 0xa_0000, 0x4_0000), region(GIC + 0x20_0000, 0x2_0000)];
    for (vcpus, redistributors) in [(1, &[first][..]), (2, &[first]), (3, &[first, second])] {
        let guest = build(vcpus).unwrap();
        let interrupts = guest.config.interrupts;
        assert_eq!(interrupts.gicd, GIC);
        assert_eq!(interrupts.redistributors.unwrap().find(GIC + 0xc_0000), Some((1, 0)));
        let blob = guest_tree(&hv, &guest);
        let tree = Tree::parse(&blob).unwrap();
        let controller = tree.find("/interrupt-controller@8000000").unwrap();
        let regions: Vec<_> = controller.reg().unwrap().collect();
        assert_eq!((regions[0], &regions[1..]), (region(GIC, 0x1_0000), redistributors));
        assert_eq!(controller.u32("#redistributor-regions"), (vcpus > 2).then_some(2));
        hv.destroy_domain(&guest, &mut || false);
        drop(guest);
        while hv.frames.scrub_one(&hv.machine) {}
    }
    assert_eq!(hv.gic_version(), V3);
    assert_eq!(build(4).err(), Some("/chosen/domU1: bad or missing `cpus`".into()), "there are but three");
}

#[test]
fn what_cannot_be_at_the_machines_addresses_is_refused_by_name() {
    let (hv, start) = world_with_set_aside();
    learn(&hv, gicv2);
    let banks = [(start << 12, 8 * MIB)];
    let on = |board: &[u8]| {
        let (free, tree) = (hv.frames.free(), Tree::parse(board).unwrap());
        let (described, kernel) = (Described::read(&tree).unwrap(), zimage(5000));
        let file = |_| Some(&kernel[..]);
        let from = source(&described, &file);
        let node = from.chosen.domains().next().unwrap();
        let errors = [Source { console: None, ..from }, source(&described, &file)]
            .map(|from| hv.build_guest(&node, &from).map(|_| ()).map_err(|error| error.to_string()));
        assert_eq!((hv.frames.free(), hv.domains.len()), (free, 0), "{errors:?}");
        errors
    };
    let wants_uart = |writer: &mut Writer| {
        writer.property("vpl011", &[]);
    };
    let nowhere = on(&node(gicv2, 1, &[], |_| ()));
    assert_eq!(nowhere, [(); 2].map(|()| Err("/chosen/domU1: bad or missing `xen,static-mem`".into())));
    let [without_console, _] = on(&node(gicv2, 1, &[], wants_uart));
    assert!(without_console.is_err());
    let board = node(gicv2, 1, &banks, wants_uart);
    let tree = Tree::parse(&board).unwrap();
    let altered = |alter: &dyn Fn(&mut Writer)| {
        let mut writer = Writer::new([], 0);
        writer.begin_node("");
        for property in tree.root().properties() {
            writer.copy(&property);
        }
        for node in tree.root().children() {
            if node.base_name() == "pl011" {
                alter(&mut writer);
            } else {
                writer.copy_node(&node);
            }
        }
        writer.end_node();
        on(&writer.finish())
    };
    let uart = |writer: &mut Writer, size, kind| {
        writer.begin_node("pl011@9000000").regions("reg", &[region(UART, size)]);
        interrupts(writer, &[(kind, 1, 4)]);
        writer.end_node();
    };
    let none = "the device tree has no console where `vpl011` could be";
    let small = "/pl011@9000000: bad or missing `reg` entry 0";
    let private = "/pl011@9000000: bad or missing interrupt 0";
    assert_eq!(altered(&|writer| uart(writer, 0x800, 0)), [none, small].map(|why| Err(why.into())));
    assert_eq!(altered(&|writer| uart(writer, 0x1000, 1)), [none, private].map(|why| Err(why.into())));
}
