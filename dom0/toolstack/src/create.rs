//! Making a guest, of which nothing is left when it fails.

use alloc::rc::Rc;

use xen_abi::domctl::CreateDomain;
use xen_abi::types::DomainHandle;
use xen_abi::{Domid, Errno, PAGE_SIZE};

use crate::build::{self, Built, Plan};
use crate::config::DomainConfig;
use crate::config::uuid::Uuid;
use crate::control::Control;
use crate::destroy;
use crate::devices::{console, disk};
use crate::domains::{Claim, Guest};
use crate::error::{Error, Result};
use crate::host::Host;
use crate::image::Image;
use crate::interrupt::Interrupt;
use crate::nodes;
use crate::store::Store;
use crate::toolstack::Toolstack;

/// vCPUs for which a GICv2 has registers.
const GICV2_VCPUS: u32 = 8;

impl<H: Host> Toolstack<H> {
    /// Makes a guest and starts it, unless it is to stay paused. When this fails, or is interrupted, there is nothing
    /// of it left. It must not be dropped before it ends, or there may be.
    pub async fn create(&self, config: DomainConfig, paused: bool, interrupt: &Interrupt) -> Result<Domid> {
        let claim = Claim::new(self.registry(), &config.name)?;
        let host = self.host();
        let image = interrupt.unless(Image::read(host, &config)).await?;
        check_room(host, &config)?;
        let version =
            host.control().version().map_err(Error::hypercall("ask for the hypervisor's version"))?;
        build::check_arch(image.arch(&config)?, &version)?;
        let uuid = config.uuid.unwrap_or_else(|| self.random_uuid());
        let config = Rc::new(DomainConfig { uuid: Some(uuid), ..config });
        let (domid, created) = make(host.control(), &config, uuid.0)?;
        let plan = Plan { config: &config, image: &image, version: &version, interrupt };
        if let Err(error) = furnish(host, domid, &plan, uuid, &created, paused).await {
            if let Err(also) = destroy::destroy(host, domid).await {
                log::error!("cannot remove what is left of domain {}: {also}", domid.0);
            }
            return Err(error);
        }
        let guest = Guest { name: config.name.clone(), config, started: host.uptime(), handled: false };
        self.registry().borrow_mut().insert(domid, guest);
        drop(claim);
        Ok(domid)
    }

    /// Makes up a UUID.
    pub(crate) fn random_uuid(&self) -> Uuid {
        let mut bytes = [0; 16];
        self.host().control().random(&mut bytes);
        Uuid::from_random(bytes)
    }
}

/// Refuses a guest for which there is not enough memory, before anything is done.
fn check_room<H: Host>(host: &H, config: &DomainConfig) -> Result<()> {
    let info = host.control().physinfo().map_err(Error::hypercall("ask for the free memory"))?;
    let free_kib = info.free_pages.saturating_sub(info.outstanding_pages) * PAGE_SIZE as u64 / 1024;
    let wanted_kib = config.memory_kib + build::paging_pool_bytes(config) / 1024;
    if wanted_kib > free_kib { Err(Error::NoMemory { wanted_kib, free_kib }) } else { Ok(()) }
}

/// Makes an empty domain.
fn make<C: Control>(
    control: &C,
    config: &DomainConfig,
    handle: DomainHandle,
) -> Result<(Domid, CreateDomain)> {
    control.create(&build::domain_request(config, handle)).map_err(|errno| match errno {
        Errno::EINVAL if config.max_vcpus > GICV2_VCPUS => Error::guest(alloc::format!(
            "{} vCPUs are more than the guest's interrupt controller takes: with a GICv2 {GICV2_VCPUS}",
            config.max_vcpus
        )),
        errno => Error::hypercall("create the domain")(errno),
    })
}

/// Does all that makes a guest of an empty domain.
async fn furnish<H: Host>(
    host: &H,
    domid: Domid,
    plan: &Plan<'_, H::Source>,
    uuid: Uuid,
    created: &CreateDomain,
    paused: bool,
) -> Result<()> {
    let (store, config) = (host.store(), plan.config);
    nodes::make(store, domid, &uuid, &config.name).await?;
    let built: Built = build::build(host, domid, plan, created).await?;
    let Built { store_ring, store_port, console_ring, console_port } = built;
    let started = host.wallclock();
    nodes::Facts { domid, config, store_ring, store_port, started, uuid }.write(store).await?;
    // Who hears of the domain finds its console described.
    console::add(store, domid, console_ring, console_port).await?;
    store.introduce(domid, store_ring, store_port).await?;
    for disk in &config.disks {
        disk::attach(host, domid, disk, plan.interrupt).await?;
    }
    plan.interrupt.check()?;
    if paused {
        return Ok(());
    }
    host.control().unpause(domid).map_err(Error::hypercall("start the domain"))
}
