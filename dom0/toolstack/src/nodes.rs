//! The nodes that every domain has in the store, as libxl makes them.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use guest_sdk::xenstore::{Access, Permission, Result};
use xen_abi::{Domid, EvtchnPort, Gfn};

use crate::config::DomainConfig;
use crate::config::uuid::Uuid;
use crate::store::Store;

/// The domain of the toolstack, the store and all back ends.
pub(crate) const DOM0: Domid = Domid(0);

/// Nodes that the guest may read.
pub(crate) fn read_only(domid: Domid) -> [Permission; 2] {
    [Permission { domid: DOM0, access: Access::None }, Permission { domid, access: Access::Read }]
}

/// Nodes that are the guest's own.
fn own(domid: Domid) -> [Permission; 1] {
    [Permission { domid, access: Access::None }]
}

/// Nodes of which the guest knows nothing.
pub(crate) fn none() -> [Permission; 1] {
    [Permission { domid: DOM0, access: Access::None }]
}

/// Gives the directory of a domain.
pub(crate) fn domain_path(domid: Domid) -> String {
    format!("/local/domain/{}", domid.0)
}

/// Gives the directory of what outlives a restart.
fn vm_path(uuid: &Uuid) -> String {
    format!("/vm/{uuid}")
}

fn record_path(domid: Domid) -> String {
    format!("/libxl/{}", domid.0)
}

/// Directories that the guest may only read; [`OWN`] are its own.
const READ_ONLY: [&str; 4] = ["cpu", "memory", "device", "control"];
const OWN: [&str; 11] = [
    "device/suspend/event-channel",
    "control/shutdown",
    "control/feature-poweroff",
    "control/feature-reboot",
    "control/feature-suspend",
    "control/sysrq",
    "data",
    "drivers",
    "feature",
    "attr",
    "error",
];

/// Makes the directories of a new domain.
pub(crate) async fn make<S: Store>(store: &S, domid: Domid, uuid: &Uuid, name: &str) -> Result<()> {
    let (domain, vm, record) = (domain_path(domid), vm_path(uuid), record_path(domid));
    let make = async |store: &S| {
        for (path, permissions) in
            [(&domain, &read_only(domid)[..]), (&vm, &read_only(domid)), (&record, &none())]
        {
            store.remove_if_there(path).await?;
            store.write_with(path, "", permissions).await?;
        }
        store.write_with(&format!("{record}/device"), "", &none()).await?;
        store.write(&format!("{domain}/vm"), &vm).await?;
        store.write(&format!("{domain}/name"), name).await?;
        for name in READ_ONLY {
            store.write_with(&format!("{domain}/{name}"), "", &read_only(domid)).await?;
        }
        for name in OWN {
            store.write_with(&format!("{domain}/{name}"), "", &own(domid)).await?;
        }
        store.write(&format!("{vm}/uuid"), &format!("{uuid}")).await?;
        store.write(&format!("{vm}/name"), name).await?;
        for feature in ["multiprocessor-suspend", "xs_reset_watches"] {
            store.write(&format!("{domain}/control/platform-feature-{feature}"), "1").await?;
        }
        store.write(&format!("{record}/type"), "pvh").await
    };
    store.transaction(make).await
}

/// What a built domain tells in the store.
pub(crate) struct Facts<'a> {
    pub domid: Domid,
    pub config: &'a DomainConfig,
    pub store_ring: Gfn,
    pub store_port: EvtchnPort,
    /// When it was started, since 1970.
    pub started: Option<Duration>,
    pub uuid: Uuid,
}

impl Facts<'_> {
    /// Writes them.
    pub async fn write<S: Store>(&self, store: &S) -> Result<()> {
        let domain = domain_path(self.domid);
        let mut nodes: Vec<(String, String)> = [
            ("memory/static-max", format!("{}", self.config.max_memory_kib)),
            ("memory/target", format!("{}", self.config.memory_kib)),
            ("memory/videoram", "0".into()),
            ("domid", format!("{}", self.domid.0)),
            ("store/port", format!("{}", self.store_port.0)),
            ("store/ring-ref", format!("{}", self.store_ring.0)),
        ]
        .map(|(name, value)| (format!("{domain}/{name}"), value))
        .into();
        for vcpu in 0..self.config.max_vcpus {
            let state = if vcpu < self.config.vcpus { "online" } else { "offline" };
            nodes.push((format!("{domain}/cpu/{vcpu}/availability"), state.into()));
        }
        if let Some(started) = self.started {
            let hundredths = started.subsec_millis() / 10;
            let value = format!("{}.{hundredths:02}", started.as_secs());
            nodes.push((format!("{}/start_time", vm_path(&self.uuid)), value));
        }
        let write = async |store: &S| {
            for (path, value) in &nodes {
                store.write(path, value).await?;
            }
            Ok(())
        };
        store.transaction(write).await
    }
}

/// Gives a domain another name and UUID, as one that is kept while its successor runs.
pub(crate) async fn rename<S: Store>(store: &S, domid: Domid, uuid: &Uuid, name: &str) -> Result<()> {
    let (domain, vm) = (domain_path(domid), vm_path(uuid));
    let rename = async |store: &S| {
        let old_vm = store.read_if_there(&format!("{domain}/vm")).await?.unwrap_or_default();
        let started = store.read_if_there(&format!("{old_vm}/start_time")).await?;
        store.write_with(&vm, "", &read_only(domid)).await?;
        if let Some(started) = started {
            store.write(&format!("{vm}/start_time"), &started).await?;
        }
        store.write(&format!("{domain}/vm"), &vm).await?;
        store.write(&format!("{domain}/name"), name).await?;
        store.write(&format!("{vm}/uuid"), &format!("{uuid}")).await?;
        store.write(&format!("{vm}/name"), name).await
    };
    store.transaction(rename).await
}

/// Removes what the store says of a domain.
pub(crate) async fn remove<S: Store>(store: &S, domid: Domid) -> Result<()> {
    let (domain, record) = (domain_path(domid), record_path(domid));
    let remove = async |store: &S| {
        let vm = store.read_if_there(&format!("{domain}/vm")).await?;
        if let Some(vm) = vm.filter(|vm| vm.starts_with("/vm/")) {
            store.remove_if_there(&vm).await?;
        }
        store.remove_if_there(&record).await?;
        store.remove_if_there(&domain).await
    };
    store.transaction(remove).await
}
