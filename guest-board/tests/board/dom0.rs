//! dom0's tree, made out of the host's.

use crate::{HOST_ARM, HOST_ARM64, HOST_VEXPRESS, MIB, XEN_DOM0, cells, differences};
use device_tree::gic::Trigger;
use device_tree::{Node, Phandles, Region, Tree, Writer};
use guest_board::dom0::{self, Params, Plan};
use guest_board::{Arch, Error, Shared};

const MEMORY: [Region; 1] = [Region { base: 0x6000_0000, size: 512 * MIB }];

const PARAMS: Params<'static> = Params {
    arch: Arch::Arm32,
    vcpus: 2,
    memory: &MEMORY,
    grant_table: Region { base: 0x4001_0000, size: 0x4_0000 },
    extended_regions: &[],
    shared: &[],
    bootargs: None,
    initrd: Some(Region { base: 0x6820_0000, size: 0xc2_0c00 }),
    taken: &[],
    version: (4, 17),
    msi_typer: Some(&|_| 80 << 16 | 64),
};

/// Copies a tree, editing its root and `/chosen`.
fn edited(blob: &[u8], drop: &str, root: impl Fn(&mut Writer), chosen: impl Fn(&mut Writer)) -> Vec<u8> {
    let tree = Tree::parse(blob).unwrap();
    let mut out = Writer::new(tree.reservations(), 0);
    out.begin_node("");
    tree.root().properties().for_each(|property| {
        out.copy(&property);
    });
    for child in tree.root().children().filter(|child| child.name() != drop) {
        if child.name() == "chosen" {
            out.begin_node("chosen");
            chosen(&mut out);
            out.end_node();
        } else {
            out.copy_node(&child);
        }
    }
    root(&mut out);
    out.end_node();
    out.finish()
}

/// QEMU's tree as a boot loader hands it to Xen, with modules.
fn host() -> Vec<u8> {
    edited(
        HOST_ARM,
        "pcie@10000000",
        |_| {},
        |out| {
            out.u32("#address-cells", 2).u32("#size-cells", 2).str("stdout-path", "/pl011@9000000");
            out.str("xen,xen-bootargs", "console=dtuart")
                .str("xen,dom0-bootargs", "console=hvc0 rdinit=/init");
            out.begin_node("module@48000000").strs("compatible", &["multiboot,kernel", "multiboot,module"]);
            out.cells("reg", &[0, 0x4800_0000, 0, 0x1000]).end_node();
        },
    )
}

fn try_build(host: &Tree<'_>, params: &Params<'_>) -> Result<Plan, Error> {
    dom0::build(host, &Phandles::of(host), params)
}

fn build(blob: &[u8], params: &Params<'_>) -> Plan {
    try_build(&Tree::parse(blob).unwrap(), params).unwrap()
}

/// What the hypervisor takes of QEMU's board.
fn uart<'a>(tree: &Tree<'a>) -> [Node<'a>; 1] {
    [tree.find("/pl011@9000000").unwrap()]
}

#[test]
fn it_is_the_tree_that_xen_makes() {
    let host = host();
    let host = Tree::parse(&host).unwrap();
    let plan = try_build(&host, &Params { taken: &uart(&host), ..PARAMS }).unwrap();
    let (ours, theirs) = (Tree::parse(&plan.tree).unwrap(), Tree::parse(XEN_DOM0).unwrap());
    let mut left = differences(&ours.root(), &theirs.root());
    left.sort();
    // Since 4.18 the interrupt controller keeps its name, and frames below it their unit address.
    let names = ["/intc@8000000: only ours", "/interrupt-controller: only theirs"];
    assert_eq!(left, names);
    let (ours, theirs) = (ours.find("/intc").unwrap(), theirs.find("/interrupt-controller").unwrap());
    assert_eq!(
        differences(&ours, &theirs),
        ["/intc@8000000/v2m@8020000: only ours", "/interrupt-controller/v2m: only theirs"]
    );
    assert_eq!(differences(&ours.child("v2m").unwrap(), &theirs.child("v2m").unwrap()), Vec::<String>::new());
}

#[test]
fn devices_and_interrupts_are_listed_to_be_mapped() {
    let host = host();
    let host = Tree::parse(&host).unwrap();
    let plan = try_build(&host, &Params { taken: &uart(&host), ..PARAMS }).unwrap();
    let region = |base, size| Region { base, size };
    assert_eq!(
        plan.devices.mmio,
        [
            region(0, 0x800_0000),
            region(0x802_0000, 0x1000),
            region(0x901_0000, 0x1000),
            region(0x902_0000, 0x1000),
            region(0x903_0000, 0x1000),
            region(0xa00_0000, 0x4000),
        ]
    );
    let virtio = (48..80).map(|intid| (intid, Trigger::Edge));
    let messages = (80..144).map(|intid| (intid, Trigger::Edge));
    let expected: Vec<_> =
        [(34, Trigger::Level), (39, Trigger::Level)].into_iter().chain(virtio).chain(messages).collect();
    assert_eq!(plan.devices.spis, expected);
    assert_eq!((plan.passthrough, plan.reserved), (dom0::Devices::default(), vec![]));
}

#[test]
fn pci_windows_and_interrupts_come_with_the_host_bridge() {
    let plan = build(HOST_ARM64, &Params { arch: Arch::Arm64, ..PARAMS });
    let has =
        |base| plan.devices.mmio.iter().any(|region| region.base <= base && base < region.end().unwrap());
    assert!(has(0x1000_0000) && has(0x80_0000_0000) && has(0x40_1000_0000) && has(0x3eff_0000));
    let spis: Vec<_> = plan.devices.spis.iter().filter(|(intid, _)| (35..39).contains(intid)).collect();
    assert_eq!(spis.len(), 4);
    assert!(spis.iter().all(|(_, trigger)| *trigger == Trigger::Level));
}

#[test]
fn a_gicv3_keeps_its_distributor_and_redistributors() {
    let plan = build(HOST_ARM64, &Params { arch: Arch::Arm64, ..PARAMS });
    let tree = Tree::parse(&plan.tree).unwrap();
    let gic = tree.compatible(&["arm,gic-v3"]).next().unwrap();
    let regions: Vec<_> = gic.regions().unwrap().map(|region| region.base).collect();
    assert_eq!(regions, [0x800_0000, 0x80a_0000]);
    assert_eq!(gic.children().count(), 0);
    assert_eq!(tree.find("/cpus/cpu@1").unwrap().str("enable-method"), Some("psci"));
    assert_eq!(tree.find("/timer").unwrap().str("compatible"), Some("arm,armv8-timer"));
    assert!(plan.devices.mmio.iter().all(|region| region.base != 0x800_0000));
}

#[test]
fn devices_behind_buses_and_a_nexus_are_found() {
    let plan = build(HOST_VEXPRESS, &PARAMS);
    let tree = Tree::parse(&plan.tree).unwrap();
    assert!(plan.devices.spis.contains(&(37, Trigger::Level)), "UART0, through the nexus");
    let has =
        |base| plan.devices.mmio.iter().any(|region| region.base <= base && base < region.end().unwrap());
    assert!(has(0x1c09_0000) && has(0x1a00_0000));
    assert!(tree.find("/pmu").is_none());
    assert_eq!(cells(&tree, "/hypervisor", "interrupts"), [1, 0, 0xf08]);
    assert_eq!(tree.compatible(&["arm,cortex-a15-gic"]).next().unwrap().reg().unwrap().count(), 2);
}

#[test]
fn the_first_private_interrupt_that_nothing_uses_is_for_events() {
    assert_eq!(build(&host(), &PARAMS).event_ppi, 16);
    let using = |count: u32| {
        let cells: Vec<u32> = (0..count).flat_map(|ppi| [1, ppi, 4]).collect();
        edited(
            HOST_ARM,
            "",
            |out| {
                out.begin_node("greedy").cells("interrupts", &cells).end_node();
            },
            |_| {},
        )
    };
    let plan = build(&using(3), &PARAMS);
    assert_eq!(plan.event_ppi, 19);
    assert_eq!(cells(&Tree::parse(&plan.tree).unwrap(), "/hypervisor", "interrupts"), [1, 3, 0xf08]);
    assert_eq!(try_build(&Tree::parse(&using(16)).unwrap(), &PARAMS), Err(Error::NoFreePpi));
}

#[test]
fn the_command_line_is_the_one_meant_for_dom0() {
    let with = |own: Option<&str>, chosen: &[(&str, &str)]| {
        let host = edited(
            HOST_ARM,
            "",
            |_| {},
            |out| {
                chosen.iter().for_each(|(name, value)| {
                    out.str(name, value);
                });
            },
        );
        let plan = build(&host, &Params { bootargs: own, ..PARAMS });
        Tree::parse(&plan.tree).unwrap().find("/chosen").unwrap().str("bootargs").map(str::to_string)
    };
    assert_eq!(with(None, &[]), None);
    assert_eq!(with(None, &[("bootargs", "plain")]).as_deref(), Some("plain"));
    assert_eq!(with(Some("module"), &[("bootargs", "plain")]).as_deref(), Some("module"));
    let both = [("xen,dom0-bootargs", "dom0"), ("bootargs", "plain")];
    assert_eq!(with(Some("module"), &both).as_deref(), Some("dom0"));
}

#[test]
fn a_device_to_be_passed_through_is_disabled_and_not_mapped() {
    let host = edited(
        HOST_ARM,
        "",
        |out| {
            out.begin_node("mac@20000000")
                .cells("reg", &[0, 0x2000_0000, 0, 0x800])
                .cells("interrupts", &[0, 200, 4]);
            out.str("status", "okay").property("xen,passthrough", &[]).end_node();
        },
        |_| {},
    );
    let plan = build(&host, &PARAMS);
    let tree = Tree::parse(&plan.tree).unwrap();
    let node = tree.find("/mac").unwrap();
    assert_eq!(node.str("status"), Some("disabled"));
    assert!(!node.has("xen,passthrough"));
    assert_eq!(plan.passthrough.mmio, [Region { base: 0x2000_0000, size: 0x1000 }]);
    assert_eq!(plan.passthrough.spis, [(232, Trigger::Level)]);
    assert!(!plan.devices.spis.contains(&(232, Trigger::Level)));
}

#[test]
fn reserved_memory_is_mapped_and_told_as_memory() {
    let host = edited(
        HOST_ARM,
        "",
        |out| {
            out.begin_node("reserved-memory")
                .u32("#address-cells", 2)
                .u32("#size-cells", 2)
                .property("ranges", &[]);
            out.begin_node("buffer@7f000000")
                .cells("reg", &[0, 0x7f00_0000, 0, 0x10_0000])
                .end_node()
                .end_node();
        },
        |_| {},
    );
    let plan = build(&host, &PARAMS);
    let region = Region { base: 0x7f00_0000, size: 0x10_0000 };
    assert_eq!(plan.reserved, [region]);
    assert!(!plan.devices.mmio.contains(&region));
    let tree = Tree::parse(&plan.tree).unwrap();
    assert_eq!(cells(&tree, "/memory@7f000000", "reg"), [0, 0x7f00_0000, 0, 0x10_0000]);
    assert!(tree.find("/reserved-memory/buffer").is_some());
}

#[test]
fn shared_memory_is_told_beside_what_the_firmware_has_reserved() {
    let shared = [Shared { id: "a", region: Region { base: 0x5000_0000, size: MIB } }];
    let params = Params { shared: &shared, ..PARAMS };
    let reserving = edited(
        HOST_ARM,
        "",
        |out| {
            out.begin_node("reserved-memory").u32("#address-cells", 1).u32("#size-cells", 1);
            out.property("ranges", &[]).begin_node("buffer@7f000000").end_node().end_node();
        },
        |_| {},
    );
    for (host, nodes, reg) in
        [(HOST_ARM, 1, &[0, 0x5000_0000, 0, 0x10_0000][..]), (&reserving, 2, &[0x5000_0000, 0x10_0000])]
    {
        let plan = build(host, &params);
        let tree = Tree::parse(&plan.tree).unwrap();
        assert_eq!(tree.find("/reserved-memory").unwrap().children().count(), nodes);
        assert_eq!(cells(&tree, "/reserved-memory/xen-shmem@50000000", "reg"), reg);
        let node = tree.find("/reserved-memory/xen-shmem@50000000").unwrap();
        assert_eq!((node.str("compatible"), node.str("xen,id")), (Some("xen,shared-memory-v1"), Some("a")));
        assert!(plan.reserved.is_empty(), "it is mapped in its own way");
    }
}

#[test]
fn what_only_the_hypervisor_uses_is_not_told() {
    let host = edited(
        HOST_ARM,
        "",
        |out| {
            out.begin_node("iommu@30000000").str("compatible", "arm,mmu-500").u32("phandle", 77);
            out.cells("reg", &[0, 0x3000_0000, 0, 0x1_0000]).cells("interrupts", &[0, 201, 4]).end_node();
            out.begin_node("dma").cells("iommus", &[77, 1]).end_node();
            out.begin_node("other").cells("iommus", &[0x8005, 1]).end_node();
            out.begin_node("pmu-of-cpu").cells("interrupts", &[1, 7, 4]).end_node();
            out.begin_node("hypervisor").str("compatible", "xen,xen").end_node();
        },
        |out| {
            out.begin_node("domU1").str("compatible", "xen,domain").end_node();
        },
    );
    let plan = build(&host, &PARAMS);
    let tree = Tree::parse(&plan.tree).unwrap();
    assert!(tree.find("/iommu").is_none() && tree.find("/pmu-of-cpu").is_none());
    assert!(tree.find("/chosen/domU1").is_none());
    assert!(!tree.find("/dma").unwrap().has("iommus"));
    assert!(tree.find("/other").unwrap().has("iommus"), "not one that the hypervisor drives");
    assert_eq!(tree.compatible(&["xen,xen"]).count(), 1);
    assert!(!plan.devices.spis.iter().any(|(intid, _)| *intid == 233));
}

#[test]
fn a_host_without_what_dom0_needs_is_an_error() {
    let without = |name: &str| {
        let blob = edited(HOST_ARM, name, |_| {}, |_| {});
        try_build(&Tree::parse(&blob).unwrap(), &PARAMS).unwrap_err()
    };
    assert_eq!(without("timer"), Error::NoTimer);
    assert_eq!(without("intc@8000000"), Error::NoGic);
    assert_eq!(without("cpus"), Error::NoCpu);
}

#[test]
fn a_frame_whose_interrupts_are_not_known_is_left_out() {
    let plan = build(HOST_ARM, &Params { msi_typer: None, ..PARAMS });
    assert_eq!(Tree::parse(&plan.tree).unwrap().compatible(&["arm,gic-v2m-frame"]).count(), 0);
    let nonsense = build(HOST_ARM, &Params { msi_typer: Some(&|_| 0x3ff_03ff), ..PARAMS });
    assert_eq!(Tree::parse(&nonsense.tree).unwrap().compatible(&["arm,gic-v2m-frame"]).count(), 0);
}

#[test]
fn corrupted_hosts_never_panic() {
    let good = host();
    let mut state = 0x0123_4567_89ab_cdef_u64;
    let mut random = |limit: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 16) as usize % limit
    };
    for _ in 0..1500 {
        let mut bad = good.clone();
        for _ in 0..3 {
            let at = random(bad.len());
            bad[at] = random(256) as u8;
        }
        let Ok(tree) = Tree::parse(&bad) else { continue };
        if let Ok(plan) = try_build(&tree, &PARAMS) {
            Tree::parse(&plan.tree).expect("what was made can be read");
        }
    }
}
