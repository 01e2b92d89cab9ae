use alloc::{
    format,
    string::{String, ToString},
    sync::Arc,
    vec,
    vec::Vec,
};

use device_tree::{Region, Tree, Writer, gic};
use guest_board::Arch;
use xen_abi::{Domid, Gfn, Mfn, PAGE_SIZE};

use super::*;
use crate::{
    Hypervisor,
    cmdline::Options,
    domain::Domain,
    fake::{FakeMachine, RAM_START, hypervisor},
    host::{Described, chosen::Chosen},
    machine::{CacheOp, Machine, Trigger},
    p2m::P2mType,
    regs::Arm32Regs,
    vgic::GuestInterrupts,
};

type Hv = Hypervisor<FakeMachine<Arm32Regs>>;
type Dom = Arc<Domain<FakeMachine<Arm32Regs>>>;

const RAM: u64 = RAM_START.0 << 12;
const GIC: u64 = 0x800_0000;
const UART: u64 = 0x900_0000;
const DISK: u64 = 0xa00_0000;

fn region(base: u64, size: u64) -> Region {
    Region { base, size }
}

fn interrupts(writer: &mut Writer, list: &[(u32, u32, u32)]) {
    let cells: Vec<u32> = list.iter().flat_map(|(kind, number, flags)| [*kind, *number, *flags]).collect();
    writer.cells("interrupts", &cells);
}

fn gicv2(writer: &mut Writer) {
    writer.str("compatible", "arm,cortex-a15-gic");
    let blocks = [GIC, GIC + 0x1_0000, GIC + 0x3_0000, GIC + 0x4_0000].map(|base| region(base, 0x2000));
    writer.regions("reg", &blocks);
}

/// With room for three redistributors.
fn gicv3(writer: &mut Writer) {
    writer.str("compatible", "arm,gic-v3").u32("#redistributor-regions", 2);
    let blocks = [region(GIC, 0x1_0000), region(GIC + 0xa_0000, 0x4_0000), region(GIC + 0x20_0000, 0x2_0000)];
    writer.regions("reg", &blocks);
}

/// A board in the style of QEMU's.
fn board(gic: fn(&mut Writer)) -> Vec<u8> {
    let mut writer = Writer::new([], 0);
    writer.begin_node("").u32("#address-cells", 2).u32("#size-cells", 2).u32("interrupt-parent", 1);
    writer.begin_node("chosen").str("xen,xen-bootargs", "dom0_mem=16M").str("bootargs", "console=hvc0");
    writer.end_node();
    writer.begin_node("memory@40000000").str("device_type", "memory");
    writer.regions("reg", &[region(RAM, 128 << 20)]).end_node();
    writer.begin_node("cpus").u32("#address-cells", 1).u32("#size-cells", 0);
    writer.begin_node("cpu@0").str("device_type", "cpu").str("compatible", "arm,cortex-a15").u32("reg", 0);
    writer.end_node().end_node();
    writer.begin_node("intc@8000000");
    gic(&mut writer);
    writer.u32("phandle", 1).u32("#interrupt-cells", 3).property("interrupt-controller", &[]);
    interrupts(&mut writer, &[(1, 9, 4)]);
    writer.end_node();
    writer.begin_node("timer").str("compatible", "arm,armv7-timer");
    interrupts(&mut writer, &[(1, 13, 4), (1, 14, 4), (1, 11, 4), (1, 10, 4)]);
    writer.end_node();
    writer.begin_node("pl011@9000000").str("compatible", "arm,pl011");
    writer.regions("reg", &[region(UART, 0x1000)]);
    interrupts(&mut writer, &[(0, 1, 4)]);
    writer.end_node();
    for (index, flags) in [(0u32, 1u32), (1, 4)] {
        let base = DISK + u64::from(index) * 0x200;
        writer.begin_node(&format!("virtio_mmio@{base:x}")).str("compatible", "virtio,mmio");
        writer.regions("reg", &[region(base, 0x200)]);
        interrupts(&mut writer, &[(0, 16 + index, flags)]);
        writer.end_node();
    }
    writer.end_node();
    writer.finish()
}

/// The board with another `/chosen`.
fn board_with_chosen(fill: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let plain = board(gicv2);
    let plain = Tree::parse(&plain).unwrap();
    let mut writer = Writer::new([], 0);
    writer.begin_node("");
    plain.root().properties().for_each(|property| {
        writer.copy(&property);
    });
    let others = plain.root().children().filter(|node| node.name() != "chosen");
    others.for_each(|node| {
        writer.copy_node(&node);
    });
    writer.begin_node("chosen");
    fill(&mut writer);
    writer.end_node().end_node();
    writer.finish()
}

/// A zImage of `len` bytes.
fn zimage(len: usize) -> Vec<u8> {
    let mut image: Vec<u8> = (0..len).map(|n| n as u8).collect();
    for (at, value) in [(0x24, 0x016f_2818), (0x28, 0), (0x2c, len as u32), (0x30, 0x0403_0201u32)] {
        image[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }
    image[0x34..0x3c].fill(0);
    image
}

fn world(frames: usize, options: &'static str) -> Hv {
    let mut hv: Hv = hypervisor(frames, 2);
    hv.options = Options::parse(options, &mut |word| panic!("{word}"));
    hv
}

fn build(hv: &Hv, kernel: &[u8], ramdisk: Option<&[u8]>) -> Result<Dom, String> {
    build_on(hv, &board(gicv2), kernel, ramdisk)
}

fn build_on(hv: &Hv, board: &[u8], kernel: &[u8], ramdisk: Option<&[u8]>) -> Result<Dom, String> {
    let tree = Tree::parse(board).unwrap();
    let uart = tree.find("/pl011@9000000").unwrap();
    let board = Described::read(&tree).map_err(|error| error.to_string())?;
    let from = Dom0 {
        board: &board,
        chosen: Chosen::of(&tree),
        kernel,
        ramdisk,
        bootargs: None,
        grant_table: region(0x3000_0000, 0x4_0000),
        taken: &[uart],
        lines: 288,
        msi_typer: None,
    };
    hv.build_dom0(&from).map_err(|error| error.to_string())
}

fn read(hv: &Hv, address: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    for (at, chunk) in (address..).step_by(PAGE_SIZE).zip(bytes.chunks_mut(PAGE_SIZE)) {
        hv.machine.read_frame(Mfn::containing(at), (address % PAGE_SIZE as u64) as usize, chunk);
    }
    bytes
}

#[test]
fn nothing_is_started_without_what_is_asked_for_the_machine() {
    let error = |fill: &dyn Fn(&mut Writer)| {
        let board = board_with_chosen(|writer| fill(writer));
        check(&Chosen::of(&Tree::parse(&board).unwrap())).err().map(|error| error.to_string())
    };
    for name in ["xen,domain-shared-memory-v1", "xen,cpupool"] {
        let error = error(&|w| {
            w.begin_node("static").str("compatible", name).end_node();
        });
        assert_eq!(error, Some(format!("/chosen/static: `{name}` is not supported")));
    }
    let heap = error(&|w| {
        w.property("xen,static-heap", &[]);
    });
    assert_eq!(heap, Some("/chosen: `xen,static-heap` is not supported".into()));
    assert_eq!(error(&|_| ()), None);
}

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
    assert_eq!(routed, [(48, Trigger::Edge), (49, Trigger::Level)]);
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

/// A tree with one domain to build, with these properties and modules.
fn domain_node(fill: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut writer = Writer::new([], 0);
    writer.begin_node("").u32("#address-cells", 2).u32("#size-cells", 2);
    writer.begin_node("chosen").begin_node("domU1").str("compatible", "xen,domain");
    writer.u32("#address-cells", 1).u32("#size-cells", 1);
    fill(&mut writer);
    writer.end_node().end_node();
    writer.begin_node("intc").u32("phandle", 1).u32("#interrupt-cells", 3);
    writer.property("interrupt-controller", &[]).end_node();
    writer.begin_node("rtc@9010000").u32("interrupt-parent", 1);
    interrupts(&mut writer, &[(0, 2, 4)]);
    writer.end_node().end_node();
    writer.finish()
}

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

fn module(writer: &mut Writer, name: &str, kind: &str, at: u32, bootargs: Option<&str>) {
    writer.begin_node(name).strs("compatible", &[kind, "multiboot,module"]);
    writer.cells("reg", &[at, 0x1000]);
    if let Some(bootargs) = bootargs {
        writer.str("bootargs", bootargs);
    }
    writer.end_node();
}

/// Builds the guest; its kernel is at 1, its RAM disk at 2.
fn build_guest(hv: &Hv, blob: &[u8]) -> Result<Dom, String> {
    build_guest_with(hv, blob, &[])
}

/// Builds the guest with a part of its tree at 3.
fn build_guest_with(hv: &Hv, blob: &[u8], fragment: &[u8]) -> Result<Dom, String> {
    let (kernel, ramdisk) = (zimage(5000), vec![0x33; 6000]);
    let tree = Tree::parse(blob).unwrap();
    let node = crate::host::chosen::Chosen::of(&tree).domains().next().unwrap();
    let file = |region: Region| match region.base {
        1 => Some(&kernel[..]),
        2 => Some(&ramdisk[..]),
        3 => Some(fragment),
        _ => None,
    };
    hv.build_guest(&node, &file, 288).map_err(|error| error.to_string())
}

fn guest_tree(hv: &Hv, guest: &Dom) -> Vec<u8> {
    let at = guest.vcpus()[0].context.with(|state| state.guest.user_regs.x[2]);
    let mut bytes = vec![0; 64 << 10];
    for (at, chunk) in (at..).step_by(PAGE_SIZE).zip(bytes.chunks_mut(PAGE_SIZE)) {
        let mfn = guest.p2m(hv.mem()).lookup(Gfn::containing(at)).unwrap().mfn;
        hv.machine.read_frame(mfn, 0, chunk);
    }
    let len = device_tree::total_size(&bytes).unwrap();
    bytes.truncate(len);
    bytes
}

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
    for name in ["direct-map", "domain-cpupool"] {
        let error = error(&|w| {
            w.u64("memory", 8192).u32("cpus", 1).property(name, &[]);
            kernel(w);
        });
        assert!(error.ends_with(&format!("`{name}` is not supported")), "{error}");
    }
    let name = "xen,domain-shared-memory-v1";
    let shared = error(&|w| {
        w.u64("memory", 8192).u32("cpus", 1);
        kernel(w);
        w.begin_node("static").str("compatible", name).end_node();
    });
    assert!(shared.ends_with(&format!("`{name}` is not supported")), "{shared}");
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

/// One end of an event channel that a tree chooses: whose it is (0 is dom0), its phandle, and `xen,evtchn`.
type End<'a> = (usize, u32, &'a [u32]);

/// Builds dom0, if its nodes are asked for, and three guests, and connects what `ends` say. Gives which domains there
/// are then and which of `ports` are pending.
fn connect(
    ends: &[End<'_>],
    with_dom0: bool,
    ports: &[(u16, u32)],
) -> (Result<(), String>, Vec<u16>, Vec<bool>) {
    let blob = board_with_chosen(|writer| {
        let channels = |writer: &mut Writer, whose| {
            for (_, phandle, cells) in ends.iter().filter(|end| end.0 == whose) {
                writer.begin_node(&format!("ec@{phandle}")).str("compatible", "xen,evtchn-v1");
                writer.u32("phandle", *phandle).cells("xen,evtchn", cells).end_node();
            }
        };
        channels(writer, 0);
        writer.begin_node("other").u32("phandle", 99).cells("xen,evtchn", &[7, 11]).end_node();
        for guest in 1..=3 {
            writer.begin_node(&format!("domU{guest}")).str("compatible", "xen,domain");
            writer.u32("#address-cells", 1).u32("#size-cells", 1).u64("memory", 8 << 10).u32("cpus", 1);
            writer.str("xen,enhanced", if guest == 3 { "enabled" } else { "no-xenstore" });
            module(writer, "kernel", "multiboot,kernel", 1, None);
            channels(writer, guest);
            writer.end_node();
        }
    });
    let hv = world(16384, "dom0_mem=8M");
    let dom0 = with_dom0.then(|| build_on(&hv, &blob, &zimage(5000), None).unwrap());
    let tree = Tree::parse(&blob).unwrap();
    let described = Described::read(&tree).unwrap();
    hv.learn_board(&described);
    let (chosen, kernel) = (Chosen::of(&tree), zimage(5000));
    let built = |node| (node, hv.build_guest(&node, &|_| Some(&kernel[..]), 288).unwrap());
    let mut built: Vec<_> = chosen.node().zip(dom0).into_iter().chain(chosen.domains().map(built)).collect();
    let result = hv.connect_channels(&chosen, &described.phandles, &mut built);
    let result = result.map_err(|error| error.to_string());
    let pending = |(domid, port): &(u16, u32)| {
        let domain = hv.domains.get(Domid(*domid)).unwrap();
        let at = core::mem::offset_of!(xen_abi::xen::SharedInfo, evtchn_pending) + (port / 32) as usize * 4;
        hv.machine.load32(domain.shared_info, at) >> (port % 32) & 1 != 0
    };
    let left = built.iter().map(|(_, domain)| domain.id.0).collect();
    assert_eq!(hv.domains.len(), built.len(), "who is left out is gone");
    (result, left, ports.iter().map(pending).collect())
}

#[test]
fn event_channels_are_connected_as_the_tree_chooses() {
    // The example of the binding, and one of a guest with itself.
    let ends: [End<'_>; 8] = [
        (0, 11, &[0xa, 12]),
        (1, 12, &[0xa, 11]),
        (1, 13, &[0xb, 15]),
        (1, 14, &[0xc, 16]),
        (2, 15, &[0xb, 13]),
        (2, 16, &[0xd, 14]),
        (3, 17, &[1023, 18]),
        (3, 18, &[2, 17]),
    ];
    let ports = [(0, 0xa), (1, 0xa), (1, 0xb), (2, 0xb), (1, 0xc), (2, 0xd), (3, 1023), (3, 2)];
    let (result, left, pending) = connect(&ends, true, &ports);
    assert_eq!((result, left), (Ok(()), vec![0, 1, 2, 3]));
    assert_eq!(pending, [false, true, false, true, false, true, false, true], "the later node's end is told");
    // Without dom0 its nodes are nobody's, and who needs them is left out.
    let (result, left, _) = connect(&ends, false, &[]);
    assert_eq!((result, left), (Ok(()), vec![3]));
}

#[test]
fn guests_whose_event_channels_cannot_be_had_are_left_out() {
    let left = |ends: &[End<'_>]| {
        let (result, left, _) = connect(ends, true, &[]);
        assert_eq!(result, Ok(()));
        left
    };
    // No property to speak of, and port 0.
    for cells in [&[][..], &[5], &[5, 12, 0], &[0, 12], &[5, 12, 6, 12]] {
        assert_eq!(left(&[(1, 11, cells), (2, 12, &[5, 11])]), [0, 3], "{cells:?}");
    }
    assert_eq!(left(&[(2, 11, &[5, 12]), (3, 12, &[0, 11])]), [0, 1], "one is as bad as the other");
    // Nobody at the other end: no node, the guest's own, one of no domain, one that points elsewhere.
    assert_eq!(left(&[(1, 11, &[5, 77])]), [0, 2, 3]);
    assert_eq!(left(&[(1, 11, &[5, 99])]), [0, 2, 3]);
    assert_eq!(left(&[(1, 11, &[5, 12]), (2, 12, &[5, 77])]), [0, 3]);
    assert_eq!(left(&[(1, 11, &[5, 11])]), [0, 2, 3], "a port is not its own peer");
    // Ports that there are not, that are taken twice, or that are the xenstore's.
    assert_eq!(left(&[(1, 11, &[1024, 12]), (2, 12, &[5, 11])]), [0, 3]);
    assert_eq!(left(&[(1, 11, &[5, 12]), (2, 12, &[u32::MAX, 11])]), [0, 3]);
    let twice: [End<'_>; 4] = [(1, 11, &[5, 13]), (1, 12, &[5, 14]), (2, 13, &[5, 11]), (3, 14, &[5, 12])];
    assert_eq!(left(&twice), [0]);
    assert_eq!(left(&[(1, 11, &[5, 12]), (3, 12, &[1, 11])]), [0, 2]);
}

#[test]
fn dom0_is_not_started_without_its_event_channels() {
    let error = |ends: &[End<'_>]| connect(ends, true, &[]).0.unwrap_err();
    assert_eq!(error(&[(0, 11, &[5])]), "/chosen/ec@11: bad or missing `xen,evtchn`");
    assert_eq!(error(&[(0, 11, &[5, 12])]), "/chosen/ec@11: no domain has a node that points back at it");
    let beyond = error(&[(0, 11, &[4096, 12]), (1, 12, &[5, 11])]);
    assert!(beyond.starts_with("/chosen/ec@11: ports 4096 and 5 cannot be connected: "), "{beyond}");
    let left_out = error(&[(0, 11, &[5, 12]), (1, 12, &[5, 11]), (1, 13, &[6, 77])]);
    assert!(left_out.starts_with("/chosen/ec@11: no domain"), "{left_out}");
}

/// A world of 64 MiB whose last 16 MiB are set aside.
fn world_with_set_aside() -> (Hv, u64) {
    let mut hv = world(16384, "dom0_mem=8M");
    let start = RAM_START.0 + 12288;
    let mut ranges = crate::host::memory::Ranges::default();
    ranges.add(start << 12..(start + 4096) << 12).unwrap();
    let blocks: Vec<_> = core::iter::from_fn(|| hv.frames.alloc(&hv.machine, 12)).collect();
    assert_eq!(blocks.len(), 4);
    hv.frames.set_aside(&ranges);
    blocks.iter().for_each(|block| hv.frames.release(&hv.machine, *block, 12));
    assert_eq!(hv.frames.free(), 12288);
    (hv, start)
}

/// A node of a guest with so much memory (in KiB), set aside at these places; `/chosen` counts in cells of 2 and 2.
fn set_aside_node(memory: u64, regions: &[(u64, u64)]) -> Vec<u8> {
    domain_node(|writer| {
        let regions: Vec<_> = regions.iter().map(|(base, size)| region(*base, *size)).collect();
        writer.u64("memory", memory).u32("cpus", 1).regions("xen,static-mem", &regions);
        module(writer, "kernel", "multiboot,kernel", 1, None);
    })
}

#[test]
fn a_guest_has_the_memory_that_is_set_aside_for_it() {
    let (hv, start) = world_with_set_aside();
    let (base, free) = (start << 12, hv.frames.free());
    for domid in [1, 2] {
        let blob = set_aside_node(8 << 10, &[(base + (4 << 20), 6 << 20), (base, 2 << 20)]);
        let guest = build_guest(&hv, &blob).unwrap();
        assert_eq!((guest.id, guest.account.owned(), guest.account.limit()), (Domid(domid), 2048, 2048));
        let at = |gfn| guest.p2m(hv.mem()).lookup(Gfn(gfn)).map(|mapping| mapping.mfn.0 - start);
        assert_eq!([at(0x4_0000), at(0x4_05ff), at(0x4_0600), at(0x4_07ff)], [1024, 2559, 0, 511].map(Some));
        assert_eq!(at(0x4_0800), None);
        assert_eq!(guest.p2m(hv.mem()).lookup(Gfn(0x4_0000)).unwrap().order, 9, "in blocks");
        let entry = guest.vcpus()[0].context.with(|state| state.guest.user_regs.pc);
        assert_eq!(read(&hv, (entry - 0x4000_0000) + base + (4 << 20), 5000), zimage(5000));
        hv.destroy_domain(&guest, &mut || false);
        drop(guest);
        while hv.frames.scrub_one(&hv.machine) {}
        assert_eq!(hv.frames.free(), free, "it is still set aside");
        assert!((start..start + 4096).all(|mfn| hv.frames.owner(Mfn(mfn)).is_none()));
        assert_eq!(read(&hv, (entry - 0x4000_0000) + base + (4 << 20), 5000), [0; 5000]);
    }
}

#[test]
fn memory_that_cannot_be_set_aside_is_refused_by_name() {
    let (hv, start) = world_with_set_aside();
    let base = start << 12;
    let error = |memory, regions: &[(u64, u64)]| {
        let free = hv.frames.free();
        let error = build_guest(&hv, &set_aside_node(memory, regions)).map(|_| ()).unwrap_err();
        assert_eq!(hv.frames.free(), free, "{error}");
        error
    };
    const MIB: u64 = 1 << 20;
    for (memory, regions) in [
        (8 << 10, &[][..]),
        (8 << 10, &[(base, 4 * MIB)]),
        (8 << 10, &[(base, 16 * MIB)]),
        (8 << 10, &[(base, 8 * MIB), (base + 8 * MIB, MIB)]),
        (8 << 10, &[(base, 0), (base, 8 * MIB)]),
        (8 << 10, &[(base, 8 * MIB), (base, 0)]),
        (8 << 10, &[(base + 0x800, 8 * MIB)]),
        (8 << 10, &[(base, 4 * MIB + 0x800), (base + 8 * MIB, 4 * MIB - 0x800)]),
        ((8 << 10) + 2, &[(base, 8 * MIB + 0x1000)]),
        ((8 << 10) + 2, &[(base, 8 * MIB)]),
        (8 << 10, &[(u64::MAX - 0xfff, 8 * MIB)]),
        (8 << 10, &[(base, u64::MAX - 0xfff)]),
    ] {
        let error = error(memory, regions);
        assert_eq!(error, "/chosen/domU1: bad or missing `xen,static-mem`", "{regions:x?}");
    }
    for regions in [
        &[(RAM, 8 * MIB)][..],
        &[(base - MIB, 8 * MIB)],
        &[(base + 12 * MIB, 8 * MIB)],
        &[(0x1000, 8 * MIB)],
        &[(1 << 60, 8 * MIB)],
        &[(base, 4 * MIB), (base + 2 * MIB, 4 * MIB)],
    ] {
        assert!(error(8 << 10, regions).ends_with("is no RAM or is in use"), "{regions:x?}");
    }
    let odd = domain_node(|writer| {
        writer.u64("memory", 8 << 10).u32("cpus", 1).cells("xen,static-mem", &[0, base as u32, 8 << 20]);
        module(writer, "kernel", "multiboot,kernel", 1, None);
    });
    assert!(build_guest(&hv, &odd).err().unwrap().contains("`xen,static-mem`"));
    // What one guest has no other gets.
    let guest = build_guest(&hv, &set_aside_node(8 << 10, &[(base, 8 * MIB)])).unwrap();
    assert_eq!(
        error(8 << 10, &[(base + 7 * MIB, 8 * MIB)]),
        format!("what is set aside at {:#x}+0x800000 is no RAM or is in use", base + 7 * MIB)
    );
    assert_eq!(guest.account.owned(), 2048);
}
