//! Building a guest in a domain that was just made: vCPUs, memory, kernel, the pages that it shares with dom0, and
//! the state that it starts in. These are the operations of libxl and libxc, in their order.

use guest_board::{Arch, Board, Gic, banks, boot};
use xen_abi::arch::{gic, layout};
use xen_abi::domctl::{CreateDomain, SchedCredit, cdf, scheduler};
use xen_abi::grant_table::{RESERVED_CONSOLE, RESERVED_XENSTORE};
use xen_abi::hvm::{callback, param};
use xen_abi::types::DomainHandle;
use xen_abi::{Domid, EvtchnPort, Gfn, PAGE_SIZE, VcpuId};

use crate::config::{DomainConfig, GicVersion};
use crate::control::{Control, Version};
use crate::error::{Error, Result};
use crate::host::Host;
use crate::image::{Image, Ramdisk};
use crate::interrupt::Interrupt;
use crate::memory;
use crate::nodes::DOM0;

/// What a guest may have beyond its memory: the pages that it shares with dom0, in KiB.
const SLACK_KIB: u64 = 1024;
/// Of the pages with tables: for what lies outside of memory.
const TABLES_FOR_DEVICES: u64 = 16;
/// Random bytes that the guest's kernel is given.
const SEED: usize = 128;

/// What a guest is built after.
pub(crate) struct Plan<'a, S> {
    pub config: &'a DomainConfig,
    pub image: &'a Image<S>,
    /// The hypervisor that it will see.
    pub version: &'a Version,
    /// Looked at between the pieces of what takes long.
    pub interrupt: &'a Interrupt,
}

/// What connects a built guest with dom0.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Built {
    pub store_ring: Gfn,
    pub store_port: EvtchnPort,
    pub console_ring: Gfn,
    pub console_port: EvtchnPort,
}

/// Gives the bytes that a guest needs for its second-stage tables, even if all its memory is mapped in single pages.
pub(crate) fn paging_pool_bytes(config: &DomainConfig) -> u64 {
    let mib = config.max_memory_kib.div_ceil(1024);
    let tables = mib.div_ceil(2) + mib.div_ceil(1024) + TABLES_FOR_DEVICES;
    config.shadow_memory_kib.map_or(tables * PAGE_SIZE as u64, |kib| kib * 1024)
}

/// Gives what the hypervisor is asked to make.
pub(crate) fn domain_request(config: &DomainConfig, handle: DomainHandle) -> CreateDomain {
    let frames = |count: Option<u32>| count.map_or(-1, |count| count as i32);
    let mut request = CreateDomain {
        handle,
        flags: cdf::HVM | cdf::HAP,
        max_vcpus: config.max_vcpus,
        max_evtchn_port: config.max_event_channels,
        max_grant_frames: frames(config.max_grant_frames),
        max_maptrack_frames: frames(config.max_maptrack_frames),
        grant_opts: 1,
        ..CreateDomain::default()
    };
    request.arch.gic_version = match config.gic_version {
        GicVersion::Default => gic::NATIVE,
        GicVersion::V2 => gic::V2,
        GicVersion::V3 => gic::V3,
    };
    request.arch.nr_spis = config.nr_spis;
    request
}

/// Refuses a guest of a kind that the machine does not run.
pub(crate) fn check_arch(arch: Arch, version: &Version) -> Result<()> {
    let (kind, name) = match arch {
        Arch::Arm32 => ("xen-3.0-armv7l", "32-bit"),
        Arch::Arm64 => ("xen-3.0-aarch64", "64-bit"),
    };
    if version.capabilities.split(' ').any(|known| known == kind) {
        Ok(())
    } else {
        Err(Error::guest(alloc::format!("this machine does not run {name} guests")))
    }
}

/// Builds a guest in a new domain, of whose making `created` tells.
pub(crate) async fn build<H: Host>(
    host: &H,
    domid: Domid,
    plan: &Plan<'_, H::Source>,
    created: &CreateDomain,
) -> Result<Built> {
    let config = plan.config;
    prepare(host.control(), domid, config)?;
    let port = |doing| host.control().alloc_port(domid, DOM0).map_err(Error::hypercall(doing));
    let store_port = port("make the store's event channel")?;
    let console_port = port("make the console's event channel")?;
    let built = Built {
        store_ring: magic(layout::MAGIC_XENSTORE),
        store_port,
        console_ring: magic(layout::MAGIC_CONSOLE),
        console_port,
    };
    give_memory(host, domid, plan).await?;
    share_pages(host.control(), domid, &built)?;
    load(host, domid, plan, created).await?;
    let grants = [(RESERVED_CONSOLE, DOM0, built.console_ring), (RESERVED_XENSTORE, DOM0, built.store_ring)];
    host.control().seed_grants(domid, &grants).map_err(Error::hypercall("grant the domain's rings"))?;
    set_credit(host.control(), domid, config)?;
    Ok(built)
}

fn magic(index: u64) -> Gfn {
    Gfn(layout::MAGIC_BASE / PAGE_SIZE as u64 + index)
}

/// Makes vCPUs and sets the limits.
fn prepare<C: Control>(control: &C, domid: Domid, config: &DomainConfig) -> Result<()> {
    control.max_vcpus(domid, config.max_vcpus).map_err(Error::hypercall("make the domain's vCPUs"))?;
    set_affinity(control, domid, config)?;
    let limit = config.memory_kib + SLACK_KIB;
    control.max_memory(domid, limit).map_err(Error::hypercall("limit the domain's memory"))?;
    control
        .set_paging_pool(domid, paging_pool_bytes(config))
        .map_err(Error::hypercall("set memory aside for the domain's page tables"))
}

fn set_affinity<C: Control>(control: &C, domid: Domid, config: &DomainConfig) -> Result<()> {
    if config.cpus.is_empty() && config.cpus_soft.is_empty() {
        return Ok(());
    }
    let cpus = control.physinfo().map_err(Error::hypercall("count the CPUs"))?.max_cpu_id + 1;
    for vcpu in 0..config.max_vcpus {
        let list = |lists: &[crate::config::cpus::CpuList]| {
            lists.get(vcpu as usize).map(|list| list.resolve(cpus)).transpose().map_err(Error::guest)
        };
        let (hard, soft) = (list(&config.cpus)?, list(&config.cpus_soft)?);
        if hard.is_some() || soft.is_some() {
            control
                .set_affinity(domid, VcpuId(vcpu), hard.as_ref(), soft.as_ref())
                .map_err(Error::hypercall("pin the domain's vCPUs"))?;
        }
    }
    Ok(())
}

/// Sets the share of the CPUs where it is not the default.
fn set_credit<C: Control>(control: &C, domid: Domid, config: &DomainConfig) -> Result<()> {
    if config.weight.is_none() && config.cap.is_none() {
        return Ok(());
    }
    let number = control.scheduler().map_err(Error::hypercall("ask for the scheduler"))?;
    if !matches!(number, scheduler::CREDIT | scheduler::CREDIT2) {
        return Err(Error::guest("cpu_weight and cap are not supported by the scheduler"));
    }
    // What is to stay as it is.
    let credit = SchedCredit { weight: config.weight.unwrap_or(0), cap: config.cap.unwrap_or(u16::MAX) };
    control.set_credit(domid, number, credit).map_err(Error::hypercall("set the domain's share of the CPUs"))
}

async fn give_memory<H: Host>(host: &H, domid: Domid, plan: &Plan<'_, H::Source>) -> Result<()> {
    let bits = match plan.image.arch(plan.config)? {
        Arch::Arm32 => 32,
        Arch::Arm64 => 64,
    };
    host.control().set_address_size(domid, bits).map_err(Error::hypercall("set the domain's state"))?;
    for bank in banks(plan.config.memory_kib * 1024).map_err(Error::guest)? {
        memory::populate(host, domid, &bank, plan.interrupt).await?;
    }
    Ok(())
}

/// Makes the pages through which guest and dom0 speak, and tells the guest of them.
fn share_pages<C: Control>(control: &C, domid: Domid, built: &Built) -> Result<()> {
    let gfns: alloc::vec::Vec<Gfn> = (0..layout::MAGIC_PAGES).map(magic).collect();
    let done =
        control.populate(domid, &gfns, 0).map_err(Error::hypercall("make the domain's shared pages"))?;
    if done < gfns.len() {
        let free_kib = control.physinfo().map_or(0, |info| info.free_pages * PAGE_SIZE as u64 / 1024);
        return Err(Error::NoMemory {
            wanted_kib: ((gfns.len() - done) * PAGE_SIZE / 1024) as u64,
            free_kib,
        });
    }
    control
        .clear_frames(domid, magic(0), layout::MAGIC_PAGES)
        .map_err(Error::hypercall("clear the domain's shared pages"))?;
    for (index, value) in [
        (param::CONSOLE_PFN, built.console_ring.0),
        (param::STORE_PFN, built.store_ring.0),
        (param::MONITOR_RING_PFN, magic(layout::MAGIC_MEMACCESS).0),
        (param::CONSOLE_EVTCHN, built.console_port.0.into()),
        (param::STORE_EVTCHN, built.store_port.0.into()),
        (param::CALLBACK_IRQ, callback::ppi(layout::EVTCHN_PPI as u8)),
    ] {
        control
            .set_param(domid, index, value)
            .map_err(Error::hypercall("tell the domain of its shared pages"))?;
    }
    Ok(())
}

/// Fills the memory and sets the first vCPU's registers.
async fn load<H: Host>(
    host: &H,
    domid: Domid,
    plan: &Plan<'_, H::Source>,
    created: &CreateDomain,
) -> Result<()> {
    let control = host.control();
    let Plan { config, image, version, interrupt } = *plan;
    let info = control.domain(domid).map_err(Error::hypercall("look at the domain"))?;
    let mut seed = [0; SEED];
    // A seed that others can guess is worse than none, as the guest would believe in it.
    let seed = if control.random(&mut seed) { &seed[..] } else { &[] };
    let board = Board {
        arch: image.arch(config)?,
        gic: if created.arch.gic_version == gic::V3 { Gic::V3 } else { Gic::V2 },
        vcpus: config.max_vcpus,
        memory: config.memory_kib * 1024,
        direct: None,
        address_bits: info.gpaddr_bits,
        bootargs: config.cmdline.as_deref(),
        initrd: None,
        clock_frequency: Some(created.arch.clock_frequency).filter(|&frequency| frequency != 0),
        rng_seed: seed,
        shared: &[],
        vpl011: None,
        version: (version.major.into(), version.minor.into()),
        hypervisor: true,
    };
    let layout = image.lay_out(config, &board)?;
    let placement = &layout.placement;
    memory::load(host, domid, placement.kernel_base, placement.kernel, interrupt).await?;
    if let (Some(place), Some(ramdisk)) = (&placement.initrd, image.ramdisk()?) {
        match ramdisk {
            Ramdisk::File(path, file) => {
                memory::load_file(host, domid, place, (path, file), interrupt).await?
            }
            Ramdisk::Bytes(bytes) => memory::load(host, domid, place.base, bytes, interrupt).await?,
        }
    }
    memory::load(host, domid, placement.tree.base, &layout.tree, interrupt).await?;
    let context = boot::first_vcpu(placement.arch, placement.entry, placement.tree.base);
    control
        .set_context(domid, VcpuId(0), &context)
        .map_err(Error::hypercall("set the first vCPU's registers"))
}
