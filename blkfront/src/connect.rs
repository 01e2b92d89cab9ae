//! What the two ends tell each other in xenstore.

use alloc::format;
use alloc::string::String;

use guest_sdk::abi::io::blkif::{self, vdisk};
use guest_sdk::event::Port;
use guest_sdk::grant::{Access, Grant};
use guest_sdk::xenbus::frontend::{self, await_connected, await_offer};
use guest_sdk::xenbus::{Device, XenbusState};
use guest_sdk::xenstore::{self, Xenstore};

use crate::pool::Pool;
use crate::queue::Queue;
use crate::session::Session;
use crate::{Discard, Error, Flush, Info, Options};

/// The protocol of disks.
pub(crate) struct Vbd {
    pub(crate) options: Options,
}

impl frontend::Protocol for Vbd {
    const KIND: &'static str = "vbd";
    const NAME: &'static str = "blkfront: disk";
    type Session = Session;
    type Info = Info;
    type Error = Error;

    async fn connect(&self, device: &Device, id: &str) -> Result<frontend::Connected<Self>, Error> {
        let options = &self.options;
        await_offer(device).await?;
        let order = offered(device, "max-ring-page-order").await?.min(options.ring_page_order);
        let ring = Grant::of_zeroes(device.other(), 1 << order, Access::ReadWrite)
            .map_err(frontend::Error::NoMemory)?;
        let port = Port::alloc_unbound(device.other()).map_err(frontend::Error::Port)?;
        let queue = Queue::new(ring, Pool::new(device.other(), options.pages), handle(id));
        publish(device, queue.memory(), &port).await?;
        device.switch_state(XenbusState::INITIALISED).await?;
        await_connected(device).await?;
        let info = read_info(device, options).await?;
        device.switch_state(XenbusState::CONNECTED).await?;
        log::info!("{} {id}: {} sectors", Self::NAME, info.sectors);
        Ok(frontend::Connected { session: Session::new(queue, port).into(), info })
    }
}

/// The number that requests carry: the device's, as far as it fits.
fn handle(id: &str) -> u16 {
    id.parse::<u32>().map_or(0, |number| number as u16)
}

/// Tells the back end where our ring is, all at once.
async fn publish(device: &Device, ring: &Grant, port: &Port) -> xenstore::Result<()> {
    let write = async |store: &Xenstore| {
        let device = device.on(store);
        // What a front end before us may have left.
        for key in ["ring-ref", "ring-page-order", "multi-queue-num-queues"] {
            device.remove(key).await?;
        }
        match ring.grefs() {
            [gref] => device.write("ring-ref", gref.0).await?,
            grefs => {
                device.write("ring-page-order", grefs.len().ilog2()).await?;
                for (page, gref) in grefs.iter().enumerate() {
                    device.write(&format!("ring-ref{page}"), gref.0).await?;
                }
            }
        }
        device.write("event-channel", port.number().0).await?;
        device.write("protocol", "arm-abi").await?;
        device.write("feature-persistent", 1).await
    };
    device.store().transaction(write).await
}

/// A number that the back end may have left out.
async fn offered(device: &Device, key: &str) -> xenstore::Result<u32> {
    Ok(device.read_other_if_there(key).await?.unwrap_or(0))
}

async fn read_info(device: &Device, options: &Options) -> Result<Info, Error> {
    let mode: Option<String> = device.read_other_if_there("mode").await?;
    let bits = offered(device, "info").await?;
    let sector_size = device.read_other("sector-size").await?;
    let physical = device.read_other_if_there("physical-sector-size").await?;
    let info = Info {
        sectors: device.read_other("sectors").await?,
        sector_size,
        physical_sector_size: physical.unwrap_or(sector_size),
        read_only: bits & vdisk::READONLY != 0 || mode.is_some_and(|mode| mode == "r"),
        cdrom: bits & vdisk::CDROM != 0,
        removable: bits & vdisk::REMOVABLE != 0,
        flush: read_flush(device).await?,
        discard: read_discard(device, sector_size).await?,
        segments: read_segments(device, options).await?,
        persistent: offered(device, "feature-persistent").await? == 1,
    };
    if info.is_plausible() { Ok(info) } else { Err(Error::BadOffer) }
}

async fn read_flush(device: &Device) -> xenstore::Result<Flush> {
    if offered(device, "feature-flush-cache").await? == 1 {
        return Ok(Flush::Cache);
    }
    let barrier = offered(device, "feature-barrier").await? == 1;
    Ok(if barrier { Flush::Barrier } else { Flush::NotNeeded })
}

async fn read_discard(device: &Device, sector_size: u32) -> xenstore::Result<Option<Discard>> {
    if offered(device, "feature-discard").await? != 1 {
        return Ok(None);
    }
    let granularity = device.read_other_if_there("discard-granularity").await?;
    Ok(Some(Discard {
        granularity: granularity.unwrap_or(sector_size),
        alignment: offered(device, "discard-alignment").await?,
        secure: offered(device, "discard-secure").await? == 1,
    }))
}

async fn read_segments(device: &Device, options: &Options) -> xenstore::Result<usize> {
    let indirect = offered(device, "feature-max-indirect-segments").await?;
    let offered = usize::try_from(indirect).unwrap_or(usize::MAX);
    Ok(offered.min(options.segments).max(blkif::MAX_SEGMENTS_PER_REQUEST))
}
