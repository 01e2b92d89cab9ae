//! The first domains, from the modules that the loader has put into memory.
#![allow(unsafe_code)]
// UNSAFETY: makes slices of the modules.

use alloc::{sync::Arc, vec::Vec};
use core::{fmt, slice};

use device_tree::{Node, Region};
use hv_core::{
    Hypervisor,
    domain::Domain,
    domain_build::{self, BuildError, Dom0},
    host::{
        self, Described,
        chosen::{Chosen, Module, ModuleKind},
    },
};
use xen_abi::Errno;

use crate::{board::Board, mm::tables::PAGE_SIZE, mmio::Registers};

/// Why there is nothing to run.
pub enum Failure {
    /// The tree, or what it says.
    Host(host::Error<'static>),
    /// There is no kernel among the modules.
    NoKernel,
    /// A module does not lie in RAM.
    NotInRam(Region),
    /// It cannot be built.
    Build(BuildError<'static>),
    /// It cannot be started.
    Start(Errno),
}

impl From<host::Error<'static>> for Failure {
    fn from(error: host::Error<'static>) -> Self {
        Self::Host(error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(error) => error.fmt(f),
            Self::NoKernel => f.write_str("no kernel among the boot modules in /chosen"),
            Self::NotInRam(region) => {
                write!(f, "the boot module at {:#x}+{:#x} is not in RAM", region.base, region.size)
            }
            Self::Build(error) => error.fmt(f),
            Self::Start(errno) => write!(f, "unpausing fails: {errno}"),
        }
    }
}

/// Offset of MSI_TYPER in a GICv2m frame.
const MSI_TYPER: usize = 0x8;

/// What the domains are built from.
pub struct Source<'c> {
    /// The board.
    pub board: &'static Described<'static>,
    /// Its `/chosen`.
    pub chosen: Chosen<'static>,
    /// Where the hypervisor itself lies.
    pub image: Region,
    /// The nodes of devices that it keeps.
    pub taken: &'static [Node<'static>],
    /// The affinities of the CPUs, by number.
    pub cpus: &'c [u64],
}

/// Builds dom0 and the guests that the tree describes, and lets them run. Dom0 may be missing if
/// there are guests; a guest that cannot be built is left out. A function of its own in backtraces.
#[inline(never)]
pub fn start(hv: &'static Hypervisor<Board>, source: &Source<'_>) -> Result<(), Failure> {
    let pools = hv.make_pools(&source.chosen, &source.board.phandles, source.cpus).map_err(Failure::Build)?;
    let mut built = Vec::new();
    match (source.chosen.dom0_module(ModuleKind::Kernel)?, source.chosen.node()) {
        (Some(kernel), Some(node)) => built.push((node, build_dom0(hv, source, &kernel)?)),
        _ if source.chosen.domains().next().is_some() => hv.learn_board(source.board),
        _ => return Err(Failure::NoKernel),
    };
    let from = domain_build::Source {
        board: source.board,
        chosen: source.chosen,
        pools: &pools,
        console: source.taken.first().copied(),
        grant_table: source.image,
        file: &|region| file(hv, region),
        lines: hv.machine.gic.lines(),
    };
    for node in source.chosen.domains() {
        match hv.build_guest(&node, &from) {
            Ok(domain) => built.push((node, domain)),
            Err(why) => log::error!("{node} is left out: {why}"),
        }
    }
    hv.share_memory(&mut built).map_err(Failure::Build)?;
    hv.connect_channels(&source.chosen, &source.board.phandles, &mut built).map_err(Failure::Build)?;
    for (_, domain) in &built {
        hv.unpause_by_controller(domain).map_err(Failure::Start)?;
    }
    Ok(())
}

fn build_dom0(
    hv: &'static Hypervisor<Board>,
    source: &Source<'_>,
    kernel: &Module<'static>,
) -> Result<Arc<Domain<Board>>, Failure> {
    let file = |module: &Module<'static>| file(hv, module.region).ok_or(Failure::NotInRam(module.region));
    let ramdisk = source.chosen.dom0_module(ModuleKind::Ramdisk)?;
    let from = Dom0 {
        board: source.board,
        chosen: source.chosen,
        kernel: file(kernel)?,
        ramdisk: ramdisk.as_ref().map(file).transpose()?,
        bootargs: kernel.bootargs,
        grant_table: source.image,
        taken: source.taken,
        lines: hv.machine.gic.lines(),
        msi_typer: Some(&msi_typer),
    };
    hv.build_dom0(&from).map_err(Failure::Build)
}

/// What is in a boot module.
fn file(hv: &'static Hypervisor<Board>, region: Region) -> Option<&'static [u8]> {
    let bytes = hv.machine.ram.span(region.base, region.size)?;
    // SAFETY: mapped, and its frames are not free until all domains have been built.
    Some(unsafe { slice::from_raw_parts(bytes as *const u8, region.size as usize) })
}

fn msi_typer(frame: u64) -> u32 {
    Registers::<PAGE_SIZE>::map(frame).map_or(0, |registers| registers.read(MSI_TYPER))
}
