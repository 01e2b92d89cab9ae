//! Devices of guests: their nodes in the store, as libxl writes them, and their coming and going.
//!
//! What this toolstack believes of a device lies below `/libxl/<domid>/device`, where neither the guest nor the back
//! end can write; everything else there is about a device is read for display only.

pub mod console;
pub mod disk;

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;

use guest_sdk::xenstore::{Access, Permission};
use xen_abi::Domid;
use xen_abi::io::xenbus::XenbusState;

use crate::error::{Error, Result};
use crate::host::Host;
use crate::nodes::{DOM0, none, read_only};
use crate::store::{Store, Watch};

/// How long a back end may take to be ready, and to let go.
const INIT_TIMEOUT: Duration = Duration::from_secs(40);
const REMOVE_TIMEOUT: Duration = Duration::from_secs(10);

/// What a device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A disk.
    Vbd,
    /// A console.
    Console,
}

impl Kind {
    const ALL: [Self; 2] = [Self::Vbd, Self::Console];

    fn name(self) -> &'static str {
        match self {
            Self::Vbd => "vbd",
            Self::Console => "console",
        }
    }
}

/// A device of a guest, whose back end is in dom0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device {
    /// What it is.
    pub kind: Kind,
    /// Whose it is.
    pub domid: Domid,
    /// Its number.
    pub devid: u32,
}

/// Nodes of a device: names and values.
type Entries = Vec<(&'static str, String)>;

/// What is written for a device.
#[derive(Clone, Debug, Default)]
pub(crate) struct Nodes {
    /// For the back end.
    pub back: Entries,
    /// For the front end, which may change them.
    pub front: Entries,
    /// For the front end, which may read them.
    pub front_read_only: Entries,
}

impl Device {
    /// Gives the directory of the front end. The first console has one of its own.
    pub fn frontend_path(&self) -> String {
        let Self { kind, domid, devid } = self;
        match (kind, devid) {
            (Kind::Console, 0) => format!("/local/domain/{}/console", domid.0),
            _ => format!("/local/domain/{}/device/{}/{devid}", domid.0, kind.name()),
        }
    }

    /// Gives the directory of the back end.
    pub fn backend_path(&self) -> String {
        let Self { kind, domid, devid } = self;
        format!("/local/domain/{}/backend/{}/{}/{devid}", DOM0.0, kind.name(), domid.0)
    }

    /// Gives the directory that only the toolstack reads and writes.
    pub fn record_path(&self) -> String {
        let Self { kind, domid, devid } = self;
        format!("/libxl/{}/device/{}/{devid}", domid.0, kind.name())
    }

    /// Gives the directory in which the back end leaves word of a failure, beside those of its own domain.
    fn error_path(&self) -> String {
        let Self { kind, domid, devid } = self;
        format!("/local/domain/{}/error/backend/{}/{}/{devid}", DOM0.0, kind.name(), domid.0)
    }

    /// Lists the devices of a guest.
    pub async fn list<S: Store>(store: &S, domid: Domid) -> Result<Vec<Self>> {
        let mut devices = Vec::new();
        for kind in Kind::ALL {
            devices.extend(Self::list_kind(store, domid, kind).await?);
        }
        Ok(devices)
    }

    /// Lists the devices of one kind of a guest.
    pub async fn list_kind<S: Store>(store: &S, domid: Domid, kind: Kind) -> Result<Vec<Self>> {
        let names = store.children(&format!("/libxl/{}/device/{}", domid.0, kind.name())).await?;
        let mut devids: Vec<u32> = names.iter().filter_map(|name| name.parse().ok()).collect();
        devids.sort_unstable();
        Ok(devids.into_iter().map(|devid| Self { kind, domid, devid }).collect())
    }

    /// Tells whether the guest has the device.
    pub(crate) async fn exists<S: Store>(&self, store: &S) -> Result<bool> {
        Ok(store.read_if_there(&self.record_path()).await?.is_some())
    }

    /// Writes the nodes of a new device.
    pub(crate) async fn add<S: Store>(&self, store: &S, nodes: &Nodes) -> Result<()> {
        let own = [
            Permission { domid: self.domid, access: Access::None },
            Permission { domid: DOM0, access: Access::Read },
        ];
        let theirs = read_only(self.domid);
        // Into the directory of the first console nobody but dom0 writes.
        let directory = if (self.kind, self.devid) == (Kind::Console, 0) { &theirs } else { &own };
        let (front, back, record) = (self.frontend_path(), self.backend_path(), self.record_path());
        let write = async |store: &S| {
            store.remove_if_there(&record).await?;
            store.write_with(&record, "", &none()).await?;
            store.write(&format!("{record}/frontend"), &front).await?;
            store.write(&format!("{record}/backend"), &back).await?;
            store.remove_if_there(&front).await?;
            store.write_with(&front, "", directory).await?;
            store.write(&format!("{front}/backend"), &back).await?;
            for (entries, permissions) in [(&nodes.front, &own), (&nodes.front_read_only, &theirs)] {
                for (name, value) in entries {
                    store.write_with(&format!("{front}/{name}"), value, permissions).await?;
                }
            }
            store.remove_if_there(&back).await?;
            store.write_with(&back, "", &theirs).await?;
            store.write(&format!("{back}/frontend"), &front).await?;
            for (name, value) in &nodes.back {
                store.write(&format!("{back}/{name}"), value).await?;
                store.write(&format!("{record}/{name}"), value).await?;
            }
            Ok(())
        };
        Ok(store.transaction(write).await?)
    }

    /// Waits until the back end is ready for the guest.
    pub(crate) async fn wait_ready<H: Host>(&self, host: &H) -> Result<()> {
        let ready = async {
            let back = self.backend_path();
            let mut watch = host.store().watch(&back).await?;
            loop {
                watch.next().await?;
                if let Some(outcome) = self.readiness(host.store()).await? {
                    return outcome;
                }
            }
        };
        let too_late = || self.error("the back end does not get ready");
        host.timeout(INIT_TIMEOUT, ready).await.unwrap_or_else(|| Err(too_late()))
    }

    /// Looks whether the back end is ready or has failed.
    async fn readiness<S: Store>(&self, store: &S) -> Result<Option<Result<()>>> {
        let back = self.backend_path();
        let status = store.read_if_there(&format!("{back}/hotplug-status")).await?;
        if status.as_deref() == Some("error") {
            let reason = store.read_if_there(&format!("{back}/hotplug-error")).await?;
            let reason = reason.unwrap_or_else(|| "the back end cannot open it".to_string());
            return Ok(Some(Err(self.error(reason))));
        }
        let state = store.number(&format!("{back}/state")).await?.map(XenbusState);
        let ready =
            matches!(state, Some(XenbusState::INIT_WAIT | XenbusState::INITIALISED | XenbusState::CONNECTED));
        Ok(ready.then_some(Ok(())))
    }

    fn error(&self, message: impl Into<String>) -> Error {
        let name = match self.kind {
            Kind::Vbd => format!("disk {}", crate::config::vdev::Vdev(self.devid).name()),
            Kind::Console => format!("console {}", self.devid),
        };
        Error::Device { name, message: message.into() }
    }

    /// Takes the device from its guest. One that does not let go in time keeps it, unless this is by `force`: then
    /// its end goes first, and the back end has to make do.
    pub(crate) async fn remove<H: Host>(&self, host: &H, force: bool) -> Result<()> {
        if self.kind != Kind::Console {
            let closed = self.close(host, force).await;
            if !force {
                closed?;
            } else if let Err(error) = closed {
                log::warn!("{error}");
            }
        }
        self.erase(host.store()).await
    }

    /// Removes all nodes of the device, and what the back end noted of its failure.
    pub(crate) async fn erase<S: Store>(&self, store: &S) -> Result<()> {
        let paths = [self.frontend_path(), self.backend_path(), self.record_path(), self.error_path()];
        let erase = async |store: &S| {
            for path in &paths {
                store.prune(path).await?;
            }
            Ok(())
        };
        Ok(store.transaction(erase).await?)
    }

    /// Asks the back end to close, and waits until it has.
    async fn close<H: Host>(&self, host: &H, force: bool) -> Result<()> {
        let (front, back) = (self.frontend_path(), self.backend_path());
        let state = format!("{back}/state");
        let ask = async |store: &H::Store| {
            if force {
                store.remove_if_there(&front).await?;
            }
            let Some(old) = store.number::<u32>(&state).await? else { return Ok(false) };
            store.write(&format!("{back}/online"), "0").await?;
            if XenbusState(old) != XenbusState::CLOSED {
                store.write(&state, &XenbusState::CLOSING.0.to_string()).await?;
            }
            Ok(true)
        };
        if !host.store().transaction(ask).await? {
            return Ok(());
        }
        let closed = async {
            let mut watch = host.store().watch(&state).await?;
            loop {
                watch.next().await?;
                match host.store().number(&state).await?.map(XenbusState) {
                    None | Some(XenbusState::CLOSED) => return Ok(()),
                    Some(_) => {}
                }
            }
        };
        let too_late = || self.error("the guest does not let go of it");
        host.timeout(REMOVE_TIMEOUT, closed).await.unwrap_or_else(|| Err(too_late()))
    }

    /// Takes all devices from a guest that ends. What cannot be taken is left, and the first error given.
    pub(crate) async fn remove_all<H: Host>(host: &H, domid: Domid) -> Result<()> {
        let mut outcome = Ok(());
        for device in Self::list(host.store(), domid).await? {
            outcome = outcome.and(device.remove(host, true).await);
        }
        outcome
    }
}
