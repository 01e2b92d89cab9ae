//! Dom0, from the modules that the loader has put into memory.
#![allow(unsafe_code)]
// UNSAFETY: makes slices of the modules.

use core::{fmt, slice};

use device_tree::{Node, Region, Tree};
use hv_core::{
    Hypervisor,
    domain_build::{BuildError, Dom0},
    host::{
        self,
        chosen::{self, Module, ModuleKind},
    },
};
use xen_abi::{Errno, Mfn};

use crate::{board::Board, mm::tables::PAGE_SIZE, mmio::Registers};

/// Why dom0 does not start.
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

/// Builds dom0 and lets it run. `image` is where the hypervisor itself lies, `taken` the nodes of
/// devices that it keeps.
pub fn start(
    hv: &'static Hypervisor<Board>,
    tree: &'static Tree<'static>,
    image: Region,
    taken: &'static [Node<'static>],
) -> Result<(), Failure> {
    let kernel = chosen::dom0_module(tree, ModuleKind::Kernel)?.ok_or(Failure::NoKernel)?;
    let ramdisk = chosen::dom0_module(tree, ModuleKind::Ramdisk)?;
    let from = Dom0 {
        tree,
        kernel: file(hv, &kernel)?,
        ramdisk: ramdisk.as_ref().map(|ramdisk| file(hv, ramdisk)).transpose()?,
        bootargs: kernel.bootargs,
        grant_table: image,
        taken,
        lines: hv.machine.gic.lines(),
        msi_typer: Some(&msi_typer),
    };
    let domain = hv.build_dom0(&from).map_err(Failure::Build)?;
    for module in [Some(kernel), ramdisk].into_iter().flatten() {
        free(hv, module.region);
    }
    hv.unpause_by_controller(&domain).map_err(Failure::Start)
}

/// What is in a module.
fn file(hv: &'static Hypervisor<Board>, module: &Module<'_>) -> Result<&'static [u8], Failure> {
    let Region { base, size } = module.region;
    let bytes = hv.machine.ram.span(base, size).ok_or(Failure::NotInRam(module.region))?;
    // SAFETY: mapped, and neither free nor anyone's until `free` below, after the last use.
    Ok(unsafe { slice::from_raw_parts(bytes as *const u8, size as usize) })
}

/// Gives the pages that a module fills to whoever wants them.
fn free(hv: &Hypervisor<Board>, region: Region) {
    let page = PAGE_SIZE as u64;
    let first = region.base.div_ceil(page);
    let end = (region.base + region.size) / page;
    if let Some(frames) = end.checked_sub(first).filter(|frames| *frames > 0) {
        hv.frames.add(Mfn(first), frames as u32);
    }
}

fn msi_typer(frame: u64) -> u32 {
    Registers::map(frame, PAGE_SIZE as u64).map_or(0, |registers| registers.read(MSI_TYPER))
}
