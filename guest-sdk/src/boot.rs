//! Start-up, as a list of steps, and the end.
// UNSAFETY: reads the device tree, and calls the program by its fixed name.
#![allow(unsafe_code)]

use core::{fmt, ptr::NonNull, slice};

use device_tree::{Region, Tree};
use spin::Once;
use xen_abi::{Errno, Gfn, PAGE_SIZE, sched::shutdown};

use crate::{
    arch,
    board::{Board, BoardError},
    console::{self, Logger},
    env::BootInfo,
    gic, hypercall,
    irq::{self, Private},
    mm::{self, tables::MapError},
    shared_info,
    time::Instant,
    timer,
};

/// What is known after start-up.
struct Known {
    info: BootInfo,
    board: Board,
    /// Where the image was loaded, less where it was linked.
    offset: u64,
}

static KNOWN: Once<Known> = Once::new();

fn known() -> &'static Known {
    KNOWN.get().expect("start-up is over")
}

/// Why a domain cannot start.
#[derive(Debug)]
enum BootError {
    Map(&'static str, MapError),
    Board(BoardError),
    Missing(&'static str),
    Hypervisor(Errno),
}

impl fmt::Display for BootError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Map(what, error) => write!(f, "mapping {what}: {error}"),
            Self::Board(error) => write!(f, "device tree: {error}"),
            Self::Missing(what) => write!(f, "the device tree names no {what}"),
            Self::Hypervisor(error) => write!(f, "sharing a page with the hypervisor: {error}"),
        }
    }
}

unsafe extern "Rust" {
    /// Made by [`crate::main!`].
    fn __guest_sdk_main() -> !;
}

/// vCPU 0, with the image mapped and nothing else. The virtual counter was `entered` at its first instruction.
pub(crate) fn first(device_tree: u64, image_at: u64, entered: u64) -> ! {
    arch::set_cpu(0);
    if let Err(error) = start(device_tree, image_at, entered) {
        panic!("cannot start: {error}");
    }
    // SAFETY: that is the program, and all is set up for it.
    unsafe { __guest_sdk_main() }
}

fn start(device_tree: u64, image_at: u64, entered: u64) -> Result<(), BootError> {
    let map = |what| move |error| BootError::Map(what, error);
    let image = arch::image(image_at);
    mm::init(image.clone()).map_err(map("the program"))?;
    timer::init(None);
    let blob = open_tree(device_tree)?;
    let tree = Tree::parse(blob).map_err(|error| BootError::Board(error.into()))?;
    let board = Board::read(&tree).map_err(BootError::Board)?;
    timer::init(board.timer_hz);
    let tree_at = Region { base: device_tree, size: blob.len() as u64 };
    mm::open_memory(&board, &image, &[tree_at]).map_err(map("memory"))?;
    console::init();
    if log::set_logger(&Logger).is_ok() {
        log::set_max_level(log::LevelFilter::Info);
    }
    start_interrupts(&board)?;
    shared_info::map().map_err(BootError::Hypervisor)?;
    let info = boot_info_of(&tree, &board, blob, timer::at(entered));
    let offset = image.physical.wrapping_sub(image.code.start);
    KNOWN.call_once(|| Known { info, board, offset });
    arch::irq_enable();
    Ok(())
}

/// The device tree, mapped: first enough of it to know how long it is.
fn open_tree(at: u64) -> Result<&'static [u8], BootError> {
    const HEAD: u64 = 8;
    let map = |error| BootError::Map("the device tree", error);
    let bytes = |start: NonNull<u8>, len: usize| {
        // SAFETY: so much is mapped, and nobody writes there.
        unsafe { slice::from_raw_parts(start.as_ptr(), len) }
    };
    let head = mm::open_at(at, HEAD).map_err(map)?;
    let size = device_tree::total_size(bytes(head, HEAD as usize))
        .ok_or(BootError::Board(device_tree::Error::NoMagic.into()))?;
    let start = mm::open_at(at, size as u64).map_err(map)?;
    Ok(bytes(start, size))
}

fn start_interrupts(board: &Board) -> Result<(), BootError> {
    let missing = BootError::Missing("interrupt controller that we know");
    gic::init(board.controller.as_ref().ok_or(missing)?)
        .map_err(|error| BootError::Map("the interrupt controller", error))?;
    arch::timer_set(None);
    irq::init(Private { events: board.events, timer: board.timer.ok_or(BootError::Missing("timer"))? });
    Ok(())
}

fn boot_info_of(tree: &Tree<'static>, board: &Board, blob: &'static [u8], entered: Instant) -> BootInfo {
    let chosen = tree.root().child("chosen");
    let initrd = board.initrd.and_then(|region| {
        let start = NonNull::new(usize::try_from(region.base).ok()? as *mut u8)?;
        let len = usize::try_from(region.size).ok()?;
        // The whole of it has to be memory that is mapped.
        let in_memory = board
            .memory
            .iter()
            .any(|bank| bank.base <= region.base && region.end() <= bank.end() && mm::is_mapped(region.base));
        // SAFETY: it is mapped memory that the allocator was not given, and nobody writes there.
        in_memory.then(|| unsafe { slice::from_raw_parts(start.as_ptr(), len) })
    });
    BootInfo {
        bootargs: chosen.and_then(|node| node.str("bootargs")).unwrap_or(""),
        device_tree: blob,
        initrd,
        vcpus: board.vcpus.len().max(1),
        memory: board.memory.iter().map(|bank| bank.size).sum(),
        entered,
    }
}

/// What the loader left for the program.
pub(crate) fn boot_info() -> &'static BootInfo {
    &known().info
}

/// What PSCI knows a vCPU by.
pub(crate) fn vcpu_affinity(cpu: usize) -> Option<u32> {
    known().board.vcpus.get(cpu).copied()
}

/// The PSCI function that starts a vCPU.
pub(crate) fn cpu_on() -> u32 {
    known().board.cpu_on.unwrap_or(arch::CPU_ON)
}

/// Where PSCI is to start a vCPU: guest-physical.
pub(crate) fn secondary_entry() -> u64 {
    arch::secondary_entry().wrapping_add(known().offset)
}

/// Where a frame of the grant table goes, mapped and empty.
pub(crate) fn grant_frame(index: usize) -> Option<Gfn> {
    let region = known().board.grant_table?;
    let offset = (index * PAGE_SIZE) as u64;
    let address = region.base.checked_add(offset)?;
    if offset + PAGE_SIZE as u64 > region.size {
        return None;
    }
    mm::map(address, address, PAGE_SIZE as u64, mm::Kind::Data).ok()?;
    Some(Gfn::containing(address))
}

/// Shuts the domain down.
pub(crate) fn shutdown(reason: u32) -> ! {
    arch::irq_save();
    console::drain();
    // It returns only when it fails, and when the domain is resumed.
    if hypercall::sched::shutdown(reason).is_err() {
        let _ = hypercall::sched::shutdown(shutdown::CRASH);
    }
    arch::halt()
}
