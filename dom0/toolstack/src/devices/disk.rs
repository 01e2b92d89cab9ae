//! Disks.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use xen_abi::Domid;
use xen_abi::io::xenbus::XenbusState;

use super::{Device, Kind, Nodes};
use crate::config::disk::{Disk, Format};
use crate::config::vdev::Vdev;
use crate::error::{Error, Result};
use crate::host::Host;
use crate::interrupt::Interrupt;
use crate::nodes::DOM0;
use crate::store::Store;

/// What libxl would run as root for a `phy:` disk; our back end needs no help.
const SCRIPT: &str = "/etc/xen/scripts/block";

/// What `xl block-list` shows of a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskInfo {
    /// The number of the disk.
    pub vdev: Vdev,
    /// The domain of the back end.
    pub backend_id: i64,
    /// The domain of the front end.
    pub frontend_id: i64,
    /// The front end's state; -1 when there is none, as for the next two.
    pub state: i64,
    /// The front end's event channel.
    pub event_channel: i64,
    /// The front end's ring.
    pub ring_ref: i64,
    /// The directory of the back end.
    pub backend: String,
}

fn device(domid: Domid, vdev: Vdev) -> Device {
    Device { kind: Kind::Vbd, domid, devid: vdev.0 }
}

fn flag(value: bool) -> String {
    u8::from(value).to_string()
}

fn nodes(domid: Domid, disk: &Disk) -> Nodes {
    let initialising = XenbusState::INITIALISING.0.to_string();
    let device_type = if disk.cdrom { "cdrom" } else { "disk" }.to_string();
    Nodes {
        back: [
            ("params", disk.target.clone()),
            ("script", SCRIPT.to_string()),
            ("frontend-id", domid.0.to_string()),
            ("online", flag(true)),
            ("removable", flag(disk.cdrom)),
            ("bootable", flag(true)),
            ("state", initialising.clone()),
            ("dev", disk.vdev_name.clone()),
            ("type", "phy".to_string()),
            ("mode", disk.mode().to_string()),
            ("device-type", device_type.clone()),
            ("discard-enable", flag(disk.discard.unwrap_or(disk.writable))),
            ("specification", "xen".to_string()),
        ]
        .into(),
        front: [
            ("backend-id", DOM0.0.to_string()),
            ("state", initialising),
            ("virtual-device", disk.vdev.0.to_string()),
            ("device-type", device_type),
            ("trusted", flag(disk.trusted)),
        ]
        .into(),
        front_read_only: Vec::new(),
    }
}

/// Gives a guest a disk, and waits until the back end serves it.
pub(crate) async fn attach<H: Host>(
    host: &H,
    domid: Domid,
    disk: &Disk,
    interrupt: &Interrupt,
) -> Result<()> {
    interrupt.check()?;
    let device = device(domid, disk.vdev);
    if disk.format == Format::Empty {
        return Err(device.error("drives without a disc are not supported"));
    }
    if device.exists(host.store()).await? {
        return Err(device.error("device already exists in xenstore"));
    }
    device.add(host.store(), &nodes(domid, disk)).await?;
    let ready = interrupt.unless(device.wait_ready(host)).await;
    // The first error is the one to tell.
    match ready {
        Err(Error::Interrupted) => drop(device.remove(host, true).await),
        // A back end that did not open the disk has nothing to close.
        Err(_) => drop(device.erase(host.store()).await),
        Ok(()) => {}
    }
    ready
}

/// Takes a disk from a guest that lets go of it, or by force.
pub(crate) async fn detach<H: Host>(host: &H, domid: Domid, vdev: Vdev, force: bool) -> Result<()> {
    let device = device(domid, vdev);
    if !device.exists(host.store()).await? {
        let name = format!("Device {}", vdev.name());
        return Err(Error::Device { name, message: "not connected".to_string() });
    }
    device.remove(host, force).await
}

/// Tells about the disks of a guest.
pub(crate) async fn list<S: Store>(store: &S, domid: Domid) -> Result<Vec<DiskInfo>> {
    let mut disks = Vec::new();
    for device in Device::list_kind(store, domid, Kind::Vbd).await? {
        let front = device.frontend_path();
        let number = async |name: &str| -> Result<i64> {
            Ok(store.number(&format!("{front}/{name}")).await?.unwrap_or(-1))
        };
        disks.push(DiskInfo {
            vdev: Vdev(device.devid),
            backend_id: number("backend-id").await?,
            frontend_id: domid.0.into(),
            state: number("state").await?,
            event_channel: number("event-channel").await?,
            ring_ref: number("ring-ref").await?,
            backend: device.backend_path(),
        });
    }
    Ok(disks)
}
