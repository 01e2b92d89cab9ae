//! What a guest's board has.

use alloc::vec::Vec;
use core::ops::Range;

use device_tree::Region;
use xen_abi::arch::layout;

use crate::Error;

/// Which state a guest's CPUs start in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arch {
    /// AArch32.
    Arm32,
    /// AArch64.
    Arm64,
}

/// Which interrupt controller the guest sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gic {
    /// Up to 8 vCPUs.
    V2,
    /// Up to 128.
    V3,
}

/// Where a guest has its emulated PL011.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uart {
    /// Address of its registers.
    pub base: u64,
    /// Its interrupt id.
    pub spi: u32,
}

impl Default for Uart {
    /// As the virtual board has it.
    fn default() -> Self {
        Self { base: layout::PL011_BASE, spi: layout::VPL011_SPI }
    }
}

/// Memory that a guest shares with others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shared<'a> {
    /// Which it is.
    pub id: &'a str,
    /// Where it is.
    pub region: Region,
}

/// Where things are for a guest whose addresses are the machine's, rather than the virtual board's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Direct {
    /// Its memory.
    pub banks: Vec<Region>,
    /// Its interrupt controller's registers: the distributor's, then the CPU interface's or all redistributors'.
    pub gic: Vec<Region>,
    /// Space for the grant table, then the extended regions.
    pub hypervisor: Vec<Region>,
}

/// A guest's board.
#[derive(Clone, Copy, Debug)]
pub struct Board<'a> {
    /// Its CPUs' state.
    pub arch: Arch,
    /// Its interrupt controller.
    pub gic: Gic,
    /// How many CPUs.
    pub vcpus: u32,
    /// Its memory in bytes; [`banks`] says where it is.
    pub memory: u64,
    /// Where that and other things are instead, in a tree that is made anew.
    pub direct: Option<&'a Direct>,
    /// Width of its physical addresses in bits (`gpaddr_bits` of `getdomaininfo`).
    pub address_bits: u8,
    /// The kernel's command line.
    pub bootargs: Option<&'a str>,
    /// Where the initrd is.
    pub initrd: Option<Region>,
    /// The timer's frequency in Hz, when the CPU's register does not tell it.
    pub clock_frequency: Option<u32>,
    /// Random bytes for the kernel; none if empty. libxl gives 128.
    pub rng_seed: &'a [u8],
    /// Memory that it shares with others, in a tree that is made anew.
    pub shared: &'a [Shared<'a>],
    /// Its emulated PL011, if there is one.
    pub vpl011: Option<Uart>,
    /// The hypervisor's version, major and minor.
    pub version: (u32, u32),
    /// Whether a tree that is made anew has the hypervisor's node: some guests are not to know where they run.
    pub hypervisor: bool,
}

/// Splits a guest's memory into the banks it is in.
pub fn banks(memory: u64) -> Result<Vec<Region>, Error> {
    if memory == 0 || memory > layout::RAM_MAX {
        return Err(Error::MemorySize(memory));
    }
    let first = memory.min(layout::RAM0_SIZE);
    let mut banks = Vec::from([Region { base: layout::RAM0_BASE, size: first }]);
    if memory > first {
        banks.push(Region { base: layout::RAM1_BASE, size: memory - first });
    }
    Ok(banks)
}

/// A vCPU's affinity, as its `MPIDR` and the `reg` of its node have it: 16 in a cluster.
pub const fn affinity(vcpu: u32) -> u32 {
    (vcpu & 0xf) | (vcpu >> 4 & 0xff) << 8
}

/// The smallest extended region, and what they are aligned to.
const MIN_EXTENDED: u64 = 64 << 20;
const EXTENDED_ALIGN: u64 = 2 << 20;

/// The extended regions in ranges of addresses that nothing is at: one in each that is large enough.
pub fn extended_regions(unused: &[Range<u64>]) -> Vec<Region> {
    let mut regions = Vec::new();
    for Range { start, end } in unused {
        let Some(base) = start.checked_next_multiple_of(EXTENDED_ALIGN) else { continue };
        let size = end.saturating_sub(base) & !(EXTENDED_ALIGN - 1);
        if size >= MIN_EXTENDED {
            regions.push(Region { base, size });
        }
    }
    regions
}

impl Board<'_> {
    /// Refuses a board that cannot be.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let most = match self.gic {
            Gic::V2 => 8,
            Gic::V3 => layout::MAX_VCPUS,
        };
        if (1..=most).contains(&self.vcpus) { Ok(()) } else { Err(Error::Vcpus(self.vcpus)) }
    }

    /// Space where there will never be memory of the guest's own, for mapping that of others: what its banks
    /// leave, and what it shares.
    pub fn extended_regions(&self) -> Vec<Region> {
        let limit = 1_u64.checked_shl(self.address_bits.into()).unwrap_or(u64::MAX);
        let first = self.memory.min(layout::RAM0_SIZE);
        let second = self.memory.saturating_sub(first);
        let mut unused = Vec::from([
            layout::RAM0_BASE + first..(layout::RAM0_BASE + layout::RAM0_SIZE).min(limit),
            layout::RAM1_BASE + second..(layout::RAM1_BASE + layout::RAM1_SIZE).min(limit),
        ]);
        for Shared { region, .. } in self.shared {
            for at in 0..unused.len() {
                let Range { start, end } = unused[at];
                unused[at].end = end.min(region.base);
                unused.push(start.max(region.base.saturating_add(region.size))..end);
            }
        }
        extended_regions(&unused)
    }

    /// The regions of the hypervisor's node: space for the grant table, then the extended ones.
    pub(crate) fn hypervisor_regions(&self) -> Vec<Region> {
        let mut regions = self.extended_regions();
        regions.insert(0, Region { base: layout::GNTTAB_BASE, size: layout::GNTTAB_SIZE });
        regions
    }

    /// The interrupt controller's registers on the virtual board.
    pub(crate) fn gic_regions(&self) -> [Region; 2] {
        match self.gic {
            Gic::V2 => [
                Region { base: layout::GICD_BASE, size: layout::GICD_SIZE },
                Region { base: layout::GICC_BASE, size: layout::GICC_SIZE },
            ],
            Gic::V3 => [
                Region { base: layout::GICV3_GICD_BASE, size: layout::GICV3_GICD_SIZE },
                Region { base: layout::GICV3_GICR0_BASE, size: layout::GICV3_GICR0_SIZE },
            ],
        }
    }

    /// What the interrupt controller is compatible with.
    pub(crate) fn gic_compatible(&self) -> &'static [&'static str] {
        match self.gic {
            Gic::V2 => &["arm,cortex-a15-gic", "arm,cortex-a9-gic"],
            Gic::V3 => &["arm,gic-v3"],
        }
    }

    /// What its CPUs and its timer are compatible with.
    pub(crate) fn cpu_compatible(&self) -> &'static str {
        match self.arch {
            Arch::Arm32 => "arm,cortex-a15",
            Arch::Arm64 => "arm,armv8",
        }
    }

    /// What its timer is compatible with.
    pub(crate) fn timer_compatible(&self) -> &'static str {
        match self.arch {
            Arch::Arm32 => "arm,armv7-timer",
            Arch::Arm64 => "arm,armv8-timer",
        }
    }
}
