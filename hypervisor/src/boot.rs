//! Start-up of the first CPU: a list of steps, each of which needs those before it.
#![allow(unsafe_code)]
// UNSAFETY: hands pieces of RAM to the heap and to the core, and reads the loader's device tree.

use alloc::boxed::Box;
use core::{fmt, ops::Range, slice, sync::atomic::AtomicU32};

use device_tree::{Node, Phandles, Region, Tree};
use hv_core::{
    Hypervisor, Params,
    cmdline::Options,
    frames::{Frames, Storage},
    host::{
        self, Described,
        chosen::Chosen,
        devices::{self, Psci},
        gic as controller,
    },
    machine::{CpuId, Trigger},
};
use lock::Once;
use xen_abi::Mfn;

use crate::{
    arch,
    board::{Board, Interrupts},
    domains,
    gic::{Gic, v2, v3},
    logger,
    mm::{
        heap,
        plan::Plan,
        tables::{MAP, MapError, PAGE_SIZE},
        window,
    },
    mmio::Registers,
    panic,
    percpu::{MAX_CPUS, PerCpu},
    run, smp, uart,
};

unsafe extern "C" {
    static _start: u8;
    static _memory_end: u8;
    static _stack_guard: u8;
    static _fault_stack_guard: u8;
    static _fault_stack_top: u8;
}

/// The heap's share of RAM, and its bounds.
const HEAP_SHARE: u64 = 64;
const HEAP_MIN: u64 = 2 << 20;
const HEAP_MAX: u64 = 64 << 20;

static HYPERVISOR: Once<Hypervisor<Board>> = Once::new();

/// The hypervisor, which exists before any CPU but the first comes up.
pub fn hypervisor() -> &'static Hypervisor<Board> {
    HYPERVISOR.wait()
}

/// The same, if it exists yet.
pub fn started() -> Option<&'static Hypervisor<Board>> {
    HYPERVISOR.get()
}

/// Why the hypervisor cannot start.
enum Failure<'a> {
    /// The board, or its description.
    Host(host::Error<'a>),
    /// Memory could not be mapped.
    Map(&'static str, MapError),
    /// There is nothing to run.
    Domains(domains::Failure),
    /// Anything else.
    Other(&'static str),
}

impl<'a> From<host::Error<'a>> for Failure<'a> {
    fn from(error: host::Error<'a>) -> Self {
        Self::Host(error)
    }
}

impl fmt::Display for Failure<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(error) => error.fmt(f),
            Self::Map(what, error) => write!(f, "cannot map {what}: {error:?}"),
            Self::Domains(error) => write!(f, "no dom0: {error}"),
            Self::Other(what) => f.write_str(what),
        }
    }
}

/// Says that the image was entered in the wrong mode, as far as that is possible.
pub fn refuse(dtb: u64, mode: &str) -> ! {
    logger::init();
    if let Some(tree) = boot_tree(dtb) {
        start_console(&Chosen::of(&tree), None);
        log::error!("entered in {mode} mode: the boot loader has to enter in {} mode", arch::BOOT_MODE_NAME);
    }
    panic::halt()
}

/// Starts everything, then runs guests.
pub fn start(dtb: u64) -> ! {
    PerCpu::install(0, (&raw const _fault_stack_top).addr());
    arch::init_cpu();
    guard_stacks();
    logger::init();
    // Without a tree nobody knows where a console is, to complain on.
    let Some(tree) = boot_tree(dtb) else { panic::halt() };
    let chosen = Chosen::of(&tree);
    start_console(&chosen, Options::parse(chosen.command_line(), &mut |_| {}).dtuart);
    log::info!("Xen-compatible hypervisor {}, {}", env!("CARGO_PKG_VERSION"), arch::NAME);
    match bring_up(&tree, &chosen, dtb) {
        Ok(hv) => run::run(hv),
        Err(why) => {
            log::error!("cannot start: {why}");
            panic::halt()
        }
    }
}

/// Takes the pages below the stacks out of the map.
fn guard_stacks() {
    for guard in [(&raw const _stack_guard).addr(), (&raw const _fault_stack_guard).addr()] {
        MAP.lock().unmap_image_pages(guard..guard + PAGE_SIZE);
    }
}

/// The loader's device tree, where it lies.
fn boot_tree(dtb: u64) -> Option<Tree<'static>> {
    let (va, len) = window::map_boot_data(dtb).ok()?;
    // SAFETY: just mapped; nobody writes there before the window is closed, after the last use.
    let start = unsafe { slice::from_raw_parts(va as *const u8, len) };
    Tree::parse(start).ok()
}

/// Uses the serial port that the command line or the tree names as console, if it is one we know.
fn start_console(chosen: &Chosen<'_>, dtuart: Option<&str>) {
    let Some(node) = chosen.console(dtuart) else { return };
    let Some((_, sbsa)) = uart::COMPATIBLE.into_iter().find(|(name, _)| node.is_compatible(&[name])) else {
        return;
    };
    if let Ok(region) = devices::register(&node, 0)
        && let Ok(registers) = uart::Block::map(region.base)
    {
        uart::start(registers, sbsa);
    }
}

fn bring_up<'a>(
    tree: &Tree<'a>,
    chosen: &Chosen<'a>,
    dtb: u64,
) -> Result<&'static Hypervisor<Board>, Failure<'a>> {
    let blob = tree.as_bytes();
    let mut plan = Plan::new(tree, chosen, image(), dtb..dtb + blob.len() as u64)?;
    give_heap(&mut plan)?;
    let tree = copy(tree)?;
    window::unmap_boot_data();

    let chosen = Chosen::of(tree);
    let options = options(&chosen);
    let described: &Described<'_> = Box::leak(Box::new(Described::read(tree)?));
    let Described { phandles, nodes, gic: gic_node, timer, .. } = described;
    let gic = start_gic(gic_node)?;
    if let Some(frequency) = timer.frequency {
        arch::set_ticks_per_second(frequency);
    }
    if arch::ticks_per_second() == 0 {
        return Err(Failure::Other("the timer has no frequency"));
    }
    let console_node = chosen.console(options.dtuart).filter(|_| uart::is_in_use());
    let console = console_interrupt(console_node.as_ref(), phandles);
    let interrupts = Interrupts {
        timer: timer.hypervisor,
        virtual_timer: timer.virtual_timer,
        maintenance: gic_node.maintenance(),
        console: console.map(|(id, _)| id),
    };
    let psci = Psci::read(nodes).inspect_err(|why| log::warn!("only one CPU: {why}")).ok();

    let frames = frames(&mut plan)?;
    let affinities = devices::processors(tree)?;
    let most = options.maxcpus.map_or(MAX_CPUS, |most| most as usize);
    let boot_data = plan.boot_data().clone();
    let board = Board::new(plan.ram, gic, interrupts, psci);
    let params = Params { cpus: affinities.len().min(most), frames, options };
    let hv = HYPERVISOR.call_once(|| Hypervisor::new(board, params));
    logger::attach(hv);
    hv.machine.start_cpu_interrupts();
    if let Some((id, trigger)) = console {
        hv.machine.gic.route(id, trigger, 0);
        hv.machine.gic.enable(id, true);
        uart::listen();
    }
    hv.add_cpu(CpuId(0));
    let cpus = smp::start_others(hv, &affinities, most);
    let taken = Box::leak(Box::from(console_node.as_slice()));
    let image = image();
    let image = Region { base: image.start, size: image.end - image.start };
    domains::start(hv, &domains::Source { board: described, chosen, image, taken, cpus: &cpus })
        .map_err(Failure::Domains)?;
    for range in boot_data.as_slice() {
        give_frames(&hv.frames, range);
    }
    log::info!(
        "{} CPUs, {} MiB of RAM, {} MiB free",
        hv.online_cpus(),
        hv.frames.total() >> 8,
        hv.frames.free() >> 8
    );
    Ok(hv)
}

/// Where this image lies, with all that it uses.
fn image() -> Range<u64> {
    // SAFETY: only the addresses of these symbols are used.
    let [start, end] = unsafe { [&_start, &_memory_end] };
    arch::image_to_physical(start)..arch::image_to_physical(end)
}

fn give_heap<'a>(plan: &mut Plan) -> Result<(), Failure<'a>> {
    let size = (plan.free().total() / HEAP_SHARE).clamp(HEAP_MIN, HEAP_MAX) as usize;
    let start = plan.take(size).ok_or(Failure::Other("too little memory"))?;
    // SAFETY: the plan gives each page once.
    unsafe { heap::add(start, size) };
    Ok(())
}

/// The tree, for good.
fn copy<'a>(tree: &Tree<'_>) -> Result<&'static Tree<'static>, Failure<'a>> {
    let copy: &'static [u8] = Box::leak(Box::from(tree.as_bytes()));
    let tree = tree.in_copy(copy).ok_or(Failure::Other("the device tree changes"))?;
    Ok(Box::leak(Box::new(tree)))
}

fn options(chosen: &Chosen<'static>) -> Options<'static> {
    let line = chosen.command_line();
    log::info!("command line: {line}");
    Options::parse(line, &mut |word| log::warn!("command line: {word} is not known or makes no sense"))
}

/// Where the CPU interface's two pages are next to each other. Boards for pages of 64 KiB repeat
/// each of the two sixteen times.
fn cpu_interface(region: &Region) -> u64 {
    if region.size == 0x2_0000 { region.base + 0xf000 } else { region.base }
}

fn start_gic<'a>(node: &controller::Gic<'_>) -> Result<Gic, Failure<'a>> {
    let failed = |error| Failure::Map("interrupt controller", error);
    match node {
        controller::Gic::V2(node) => {
            let blocks = v2::Blocks {
                distributor: Registers::map(node.distributor.base).map_err(failed)?,
                cpu: Registers::map(cpu_interface(&node.cpu)).map_err(failed)?,
                control: Registers::map(node.control.base).map_err(failed)?,
            };
            Ok(Gic::V2(v2::Gic::new(blocks)))
        }
        controller::Gic::V3(node) => v3::Gic::new(node).map(Gic::V3).map_err(|why| match why {
            v3::Failure::Map(error) => failed(error),
            v3::Failure::NoRegisters => Failure::Other("firmware keeps the GIC's system registers away"),
            v3::Failure::NoRedistributor => Failure::Other("this CPU has no redistributor"),
        }),
    }
}

fn console_interrupt<'a>(node: Option<&Node<'a>>, phandles: &Phandles<'a>) -> Option<(u32, Trigger)> {
    let (id, trigger) = devices::interrupt(node?, 0, phandles).ok()?;
    let trigger = match trigger {
        device_tree::gic::Trigger::Edge => Trigger::Edge,
        device_tree::gic::Trigger::Level => Trigger::Level,
    };
    Some((id, trigger))
}

/// The frame table, with all free RAM in it.
fn frames<'a>(plan: &mut Plan) -> Result<Frames, Failure<'a>> {
    let banks = plan.banks();
    let (entries, words) = Storage::sizes(&banks);
    let too_little = Failure::Other("too little memory");
    let bytes = (entries + words) * size_of::<u32>();
    let start = plan.take(bytes).ok_or(too_little)?;
    // SAFETY: the plan gives each page once, so both slices are this function's alone; zeroes are
    // good words.
    let storage = unsafe {
        arch::zero(start, bytes);
        let first = start as *mut u32;
        Storage {
            entries: slice::from_raw_parts(first.cast::<AtomicU32>(), entries),
            words: slice::from_raw_parts_mut(first.add(entries), words),
        }
    };
    let mut frames = Frames::new(&banks, storage);
    frames.set_aside(plan.set_aside());
    for range in plan.free().as_slice() {
        give_frames(&frames, range);
    }
    frames.set_reserve(heap::RESERVE);
    Ok(frames)
}

fn give_frames(frames: &Frames, range: &Range<u64>) {
    let page = PAGE_SIZE as u64;
    frames.add(Mfn(range.start / page), ((range.end - range.start) / page) as u32);
}
