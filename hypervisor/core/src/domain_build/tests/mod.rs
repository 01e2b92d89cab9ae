mod channels;
mod direct_map;
mod dom0;
mod guests;
mod passthrough;
mod pools;
mod shared_memory;
mod static_memory;

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
/// Where the hypervisor is.
const IMAGE: u64 = 0x3000_0000;

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
    writer.begin_node("rtc@9010000").regions("reg", &[region(0x901_0000, 0x1000)]);
    interrupts(&mut writer, &[(0, 2, 4)]);
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
fn board_with_chosen(gic: fn(&mut Writer), fill: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let plain = board(gic);
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
        grant_table: region(IMAGE, 0x4_0000),
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

/// The board with one domain to build, with these properties and modules.
fn domain_node(fill: impl FnOnce(&mut Writer)) -> Vec<u8> {
    domain_node_on(gicv2, fill)
}

/// The same with an interrupt controller.
fn domain_node_on(gic: fn(&mut Writer), fill: impl FnOnce(&mut Writer)) -> Vec<u8> {
    board_with_chosen(gic, |writer| {
        writer.begin_node("domU1").str("compatible", "xen,domain");
        writer.u32("#address-cells", 1).u32("#size-cells", 1);
        fill(writer);
        writer.end_node();
    })
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
    let described = Described::read(&tree).unwrap();
    let file = |region: Region| match region.base {
        1 => Some(&kernel[..]),
        2 => Some(&ramdisk[..]),
        3 => Some(fragment),
        _ => None,
    };
    let from = source(&described, &file);
    let node = from.chosen.domains().next().unwrap();
    hv.build_guest(&node, &from).map_err(|error| error.to_string())
}

/// What guests are built from on a board whose console is the UART, if it has that.
fn source<'f, 'a>(board: &'a Described<'a>, file: File<'f, 'a>) -> Source<'f, 'a> {
    let (chosen, console) = (Chosen::of(board.tree), board.tree.find("/pl011@9000000"));
    Source { board, chosen, pools: &[], console, grant_table: region(IMAGE, 0x4_0000), file, lines: 288 }
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
