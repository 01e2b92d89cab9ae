//! The toolstack: what xl's commands are made of.

use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::RefCell;

use xen_abi::domctl::GetVcpuInfo;
use xen_abi::{Domid, VcpuId};

use crate::config::DomainConfig;
use crate::config::cpus::CpuMap;
use crate::config::disk::Disk;
use crate::config::vdev::Vdev;
use crate::control::Control;
use crate::devices::disk::{self, DiskInfo};
use crate::domains::{self, Listed, Registry};
use crate::error::{Error, Result};
use crate::host::Host;
use crate::interrupt::Interrupt;
use crate::nodes::{DOM0, domain_path};
use crate::store::Store;

/// Makes guests, looks after them and takes them down.
#[derive(Debug)]
pub struct Toolstack<H> {
    host: H,
    registry: RefCell<Registry>,
}

/// What `xl vcpu-list` shows of a vCPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedVcpu {
    /// Its number.
    pub vcpu: VcpuId,
    /// What the hypervisor knows of it.
    pub info: GetVcpuInfo,
    /// Where it may run.
    pub hard: CpuMap,
    /// Where it likes to run.
    pub soft: CpuMap,
}

impl<H: Host> Toolstack<H> {
    /// Makes a toolstack that knows of no guest.
    pub fn new(host: H) -> Self {
        Self { host, registry: RefCell::default() }
    }

    /// Gives the surroundings.
    pub fn host(&self) -> &H {
        &self.host
    }

    pub(crate) fn registry(&self) -> &RefCell<Registry> {
        &self.registry
    }

    /// Writes what the store says of dom0, which no toolstack made.
    pub async fn register_dom0(&self) -> Result<()> {
        let path = domain_path(DOM0);
        let write = async |store: &H::Store| {
            store.write(&alloc::format!("{path}/domid"), "0").await?;
            store.write(&alloc::format!("{path}/name"), domains::DOM0_NAME).await?;
            for dir in ["/vm", "/libxl"] {
                store.mkdir(dir).await?;
            }
            store.write("/pool/0/name", "Pool-0").await
        };
        Ok(self.host.store().transaction(write).await?)
    }

    /// Lists all domains.
    pub async fn list(&self) -> Result<Vec<Listed>> {
        domains::list(&self.host).await
    }

    /// Gives what a guest was made of, if it was made here.
    pub fn config(&self, domid: Domid) -> Option<Rc<DomainConfig>> {
        self.registry.borrow().guests.get(&domid).map(|guest| guest.config.clone())
    }

    /// Finds the domain that a user means by a name or an id.
    pub async fn find(&self, name_or_id: &str) -> Result<Domid> {
        domains::find(&self.host, &self.registry, name_or_id).await
    }

    /// Gives a domain's name.
    pub async fn name_of(&self, domid: Domid) -> Result<String> {
        domains::name_of(self.host.store(), domid).await
    }

    /// Stops a domain until it is unpaused.
    pub fn pause(&self, domid: Domid) -> Result<()> {
        self.host.control().pause(domid).map_err(Error::hypercall("pause the domain"))
    }

    /// Lets a paused domain run again.
    pub fn unpause(&self, domid: Domid) -> Result<()> {
        self.host.control().unpause(domid).map_err(Error::hypercall("unpause the domain"))
    }

    /// Lists the vCPUs of a domain.
    pub fn vcpus(&self, domid: Domid) -> Result<Vec<ListedVcpu>> {
        let control = self.host.control();
        let cpus = control.physinfo().map_err(Error::hypercall("count the CPUs"))?.max_cpu_id + 1;
        let info = control.domain(domid).map_err(Error::hypercall("look at the domain"))?;
        let count = info.max_vcpu_id.wrapping_add(1);
        let describe = |number| {
            let vcpu = VcpuId(number);
            let info = control.vcpu(domid, vcpu).map_err(Error::hypercall("look at the vCPU"))?;
            let (hard, soft) =
                control.affinity(domid, vcpu, cpus).map_err(Error::hypercall("look at the vCPU"))?;
            Ok(ListedVcpu { vcpu, info, hard, soft })
        };
        (0..count).map(describe).collect()
    }

    /// Lists the disks of a domain.
    pub async fn disks(&self, domid: Domid) -> Result<Vec<DiskInfo>> {
        disk::list(self.host.store(), domid).await
    }

    /// Gives a running guest a disk; none when it is interrupted, for which it must not be dropped.
    pub async fn attach_disk(&self, domid: Domid, disk: Disk, interrupt: &Interrupt) -> Result<()> {
        disk::attach(&self.host, domid, &disk, interrupt).await?;
        self.update_config(domid, |config| config.disks.push(disk));
        Ok(())
    }

    /// Takes a disk from a running guest, which is asked to let go of it unless it is by force.
    pub async fn detach_disk(&self, domid: Domid, vdev: Vdev, force: bool) -> Result<()> {
        disk::detach(&self.host, domid, vdev, force).await?;
        self.update_config(domid, |config| config.disks.retain(|disk| disk.vdev != vdev));
        Ok(())
    }

    /// Changes what a guest will have after a restart.
    fn update_config(&self, domid: Domid, change: impl FnOnce(&mut DomainConfig)) {
        if let Some(guest) = self.registry.borrow_mut().guests.get_mut(&domid) {
            change(Rc::make_mut(&mut guest.config));
        }
    }

    /// Gives the seconds that a domain has been running, if anybody knows.
    pub async fn uptime(&self, domid: Domid) -> Result<Option<u64>> {
        let uptime = self.host.uptime();
        if domid == DOM0 {
            return Ok(Some(uptime.as_secs()));
        }
        let known = self.registry.borrow().guests.get(&domid).map(|guest| guest.started);
        match known {
            Some(started) => Ok(Some(uptime.saturating_sub(started).as_secs())),
            None => self.recorded_uptime(domid).await,
        }
    }

    /// Gives the seconds since the start that the store tells of, for a domain that was not made here.
    async fn recorded_uptime(&self, domid: Domid) -> Result<Option<u64>> {
        let store = self.host.store();
        let path = alloc::format!("{}/vm", domain_path(domid));
        let Some(vm) = store.read_if_there(&path).await? else { return Ok(None) };
        let Some(started) = store.read_if_there(&alloc::format!("{vm}/start_time")).await? else {
            return Ok(None);
        };
        let started: Option<u64> = started.split('.').next().and_then(|seconds| seconds.parse().ok());
        let now = self.host.wallclock().map(|now| now.as_secs());
        Ok(started.zip(now).map(|(started, now)| now.saturating_sub(started)))
    }
}
