//! What the two ends tell each other in xenstore.

use guest_sdk::abi::io::PROTOCOL_ABI_ARM;
use guest_sdk::event::Port;
use guest_sdk::grant::Grant;
use guest_sdk::xenbus::frontend::{self, await_connected, await_offer};
use guest_sdk::xenbus::{Device, XenbusState};
use guest_sdk::xenstore::{self, Xenstore};

use crate::info::Mac;
use crate::receive::Receive;
use crate::session::Session;
use crate::transmit::Transmit;
use crate::{Error, Info, Options};

/// The protocol of network interfaces.
pub(crate) struct Vif {
    pub(crate) options: Options,
}

impl frontend::Protocol for Vif {
    const KIND: &'static str = "vif";
    const NAME: &'static str = "netfront: interface";
    type Session = Session;
    type Info = Info;
    type Error = Error;

    async fn connect(&self, device: &Device, id: &str) -> Result<frontend::Connected<Self>, Error> {
        await_offer(device).await?;
        let info = read_info(device).await?;
        let no_memory = frontend::Error::NoMemory;
        let transmit = Transmit::new(device.other(), self.options.transmit_pages).map_err(no_memory)?;
        let receive = Receive::new(device.other(), self.options.receive_pages).map_err(no_memory)?;
        let port = Port::alloc_unbound(device.other()).map_err(frontend::Error::Port)?;
        publish(device, transmit.memory(), receive.memory(), &port).await?;
        device.switch_state(XenbusState::CONNECTED).await?;
        await_connected(device).await?;
        let session = Session::new(transmit, receive, port);
        // Pages to receive into are there since before the back end was.
        session.notify();
        log::info!("{} {id}: {}", Self::NAME, info.mac);
        Ok(frontend::Connected { session: session.into(), info })
    }
}

/// What another front end before us may have left, and would be taken for ours.
const LEFTOVERS: [&str; 9] = [
    "multi-queue-num-queues",
    "event-channel-tx",
    "event-channel-rx",
    "ctrl-ring-ref",
    "feature-gso-tcpv4",
    "feature-gso-tcpv6",
    "feature-gso-tcpv4-prefix",
    "feature-ipv6-csum-offload",
    "request-multicast-control",
];

/// Tells the back end where our rings are and what we can do, all at once.
async fn publish(device: &Device, tx: &Grant, rx: &Grant, port: &Port) -> xenstore::Result<()> {
    let write = async |store: &Xenstore| {
        let device = device.on(store);
        for key in LEFTOVERS {
            device.remove(key).await?;
        }
        device.write("tx-ring-ref", tx.gref().0).await?;
        device.write("rx-ring-ref", rx.gref().0).await?;
        device.write("event-channel", port.number().0).await?;
        device.write("protocol", PROTOCOL_ABI_ARM).await?;
        for key in ["request-rx-copy", "feature-rx-notify", "feature-sg", "feature-no-csum-offload"] {
            device.write(key, 1).await?;
        }
        Ok(())
    };
    device.store().transaction(write).await
}

async fn read_info(device: &Device) -> Result<Info, Error> {
    let offers = async |key| Ok::<_, Error>(device.read_other_if_there(key).await? == Some(1));
    if !offers("feature-rx-copy").await? {
        return Err(Error::BadOffer);
    }
    let mac = match device.read_if_there::<Mac>("mac").await {
        Ok(Some(mac)) => mac,
        Ok(None) | Err(xenstore::Error::Malformed) => return Err(Error::BadOffer),
        Err(error) => return Err(error.into()),
    };
    let mtu = match device.read_if_there("mtu").await? {
        Some(mtu) => Some(mtu),
        None => device.read_other_if_there("mtu").await?,
    };
    Ok(Info::new(mac, mtu, offers("feature-sg").await?))
}
