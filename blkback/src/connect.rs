//! What the two ends tell each other in xenstore.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use guest_sdk::abi::io::blkif::{self, vdisk};
use guest_sdk::abi::{Errno, EvtchnPort, Gref};
use guest_sdk::event::Port;
use guest_sdk::grant::{Access, MapError, Mapping};
use guest_sdk::ring::{BackRing, RingError};
use guest_sdk::xenbus::Device;
use guest_sdk::xenstore;

use crate::disks::Description;
use crate::queue::Limits;
use crate::request::Rules;
use crate::store::SECTOR_SIZE;

/// Why a front end could not be connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConnectError {
    /// A node is missing, or does not say what it should.
    Node(xenstore::Error),
    /// A ring larger than was offered.
    RingOrder(u32),
    /// Rings of another architecture.
    Protocol,
    /// More queues than were offered.
    Queues(u32),
    /// The ring's pages could not be mapped.
    Map(MapError),
    /// The event channel could not be bound.
    Port(Errno),
    /// The ring made no sense from the start.
    Ring(RingError),
}

impl From<xenstore::Error> for ConnectError {
    fn from(error: xenstore::Error) -> Self {
        Self::Node(error)
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(error) => write!(f, "reading the front end's nodes: {error}"),
            Self::RingOrder(order) => write!(f, "a ring of order {order} was not offered"),
            Self::Protocol => f.write_str("unknown protocol"),
            Self::Queues(count) => write!(f, "{count} queues were not offered"),
            Self::Map(error) => write!(f, "mapping the ring: {error}"),
            Self::Port(error) => write!(f, "binding the event channel: {error}"),
            Self::Ring(error) => write!(f, "attaching to the ring: {error}"),
        }
    }
}

/// A front end's end of the connection.
pub(crate) struct Connection {
    pub(crate) ring: BackRing<blkif::Request, blkif::Response, Mapping>,
    pub(crate) port: Port,
    pub(crate) persistent: bool,
}

/// What the toolstack wrote of a disk.
pub(crate) async fn describe(device: &Device, id: &str) -> xenstore::Result<Description> {
    let mode: String = device.read("mode").await?;
    let device_type: Option<String> = device.read_if_there("device-type").await?;
    Ok(Description {
        domid: device.other(),
        id: id.into(),
        params: device.read("params").await?,
        kind: device.read_if_there("type").await?.unwrap_or_default(),
        read_only: !mode.contains('w'),
        cdrom: device_type.as_deref() == Some("cdrom"),
        removable: device.read_if_there("removable").await? == Some(1),
        no_discard: device.read_if_there("discard-enable").await? == Some(0),
    })
}

/// Tells the front end what the disk is and what the back end can do, all at once.
pub(crate) async fn publish(
    device: &Device,
    disk: &Description,
    rules: &Rules,
    limits: &Limits,
) -> xenstore::Result<()> {
    let nodes = offer(disk, rules, limits);
    let write = async |store: &xenstore::Xenstore| {
        let device = device.on(store);
        for (key, value) in &nodes {
            device.write(key, value).await?;
        }
        Ok(())
    };
    device.store().transaction(write).await
}

fn offer(disk: &Description, rules: &Rules, limits: &Limits) -> Vec<(&'static str, u64)> {
    let geometry = &rules.geometry;
    let bits = [
        (disk.cdrom, vdisk::CDROM),
        (disk.removable, vdisk::REMOVABLE),
        (geometry.read_only, vdisk::READONLY),
    ];
    let info = bits.iter().filter(|(set, _)| *set).fold(0, |info, (_, bit)| info | bit);
    let cache = u64::from(geometry.volatile_cache);
    let mut nodes = Vec::from([
        ("sectors", geometry.sectors),
        ("sector-size", geometry.sector_size.into()),
        ("physical-sector-size", geometry.physical_sector_size.into()),
        ("info", info.into()),
        ("feature-flush-cache", cache),
        ("feature-barrier", cache),
        ("feature-persistent", 1),
        ("max-ring-page-order", limits.ring_page_order.into()),
    ]);
    if rules.max_indirect > 0 {
        nodes.push(("feature-max-indirect-segments", rules.max_indirect.into()));
    }
    let discard = geometry.discard.filter(|_| !geometry.read_only);
    nodes.push(("feature-discard", discard.is_some().into()));
    if let Some(discard) = discard {
        nodes.extend([
            ("discard-granularity", discard.granularity.into()),
            ("discard-alignment", discard.alignment.into()),
            ("discard-secure", discard.secure.into()),
        ]);
    }
    nodes
}

/// Maps the front end's ring and binds its event channel. What it wrote may be anything.
pub(crate) async fn connect(device: &Device, limits: &Limits) -> Result<Connection, ConnectError> {
    let protocol: Option<String> = device.read_other_if_there("protocol").await?;
    if protocol.is_some_and(|name| name != "arm-abi") {
        return Err(ConnectError::Protocol);
    }
    let queues = device.read_other_if_there("multi-queue-num-queues").await?.unwrap_or(1);
    if queues != 1 {
        return Err(ConnectError::Queues(queues));
    }
    let grefs = ring_refs(device, limits).await?;
    let port = device.read_other("event-channel").await?;
    let persistent = device.read_other_if_there("feature-persistent").await? == Some(1);

    let peer = device.other();
    let memory = Mapping::new(peer, &grefs, Access::ReadWrite).map_err(ConnectError::Map)?;
    let ring = BackRing::attach(memory).map_err(ConnectError::Ring)?;
    let port = Port::bind_interdomain(peer, EvtchnPort(port)).map_err(ConnectError::Port)?;
    Ok(Connection { ring, port, persistent })
}

/// The pages of the ring: one under its plain name, or a power of two of numbered ones.
async fn ring_refs(device: &Device, limits: &Limits) -> Result<Vec<Gref>, ConnectError> {
    let Some(order) = device.read_other_if_there("ring-page-order").await? else {
        return Ok(Vec::from([Gref(device.read_other("ring-ref").await?)]));
    };
    if order > limits.ring_page_order {
        return Err(ConnectError::RingOrder(order));
    }
    let mut grefs = Vec::new();
    for page in 0..1_u32 << order {
        grefs.push(Gref(device.read_other(&format!("ring-ref{page}")).await?));
    }
    Ok(grefs)
}

const _: () = assert!(SECTOR_SIZE == blkif::SECTOR_SIZE);
