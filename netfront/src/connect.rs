//! What the two ends tell each other in xenstore.

use guest_sdk::abi::io::PROTOCOL_ABI_ARM;
use guest_sdk::event::Port;
use guest_sdk::grant::Grant;
use guest_sdk::xenbus::{Device, XenbusState};
use guest_sdk::xenstore::{self, Xenstore};

use crate::info::Mac;
use crate::link::Connected;
use crate::receive::Receive;
use crate::session::Session;
use crate::transmit::Transmit;
use crate::{Error, Info, Options};

/// Goes through all states from the one found to [`XenbusState::CONNECTED`].
pub(crate) async fn connect(device: &Device, options: &Options) -> Result<Connected, Error> {
    await_offer(device).await?;
    let info = read_info(device).await?;
    let transmit = Transmit::new(device.other(), options.transmit_pages).map_err(Error::NoMemory)?;
    let receive = Receive::new(device.other(), options.receive_pages).map_err(Error::NoMemory)?;
    let port = Port::alloc_unbound(device.other()).map_err(Error::Port)?;
    publish(device, transmit.memory(), receive.memory(), &port).await?;
    device.switch_state(XenbusState::CONNECTED).await?;
    await_connected(device).await?;
    let session = Session::new(transmit, receive, port);
    // Pages to receive into are there since before the back end was.
    session.notify();
    Ok(Connected { session: session.into(), info })
}

/// Waits for a back end that waits for us. One that is still connected, to whoever ran in this domain before, is
/// asked to close first.
async fn await_offer(device: &Device) -> Result<(), Error> {
    let mut states = device.watch_other().await?;
    loop {
        match states.next().await? {
            XenbusState::INIT_WAIT => return Ok(()),
            XenbusState::INITIALISED | XenbusState::CONNECTED => {
                device.switch_state(XenbusState::CLOSING).await?;
            }
            XenbusState::CLOSING => {
                still_wanted(device).await?;
                device.switch_state(XenbusState::CLOSED).await?;
            }
            XenbusState::CLOSED => {
                still_wanted(device).await?;
                device.switch_state(XenbusState::INITIALISING).await?;
            }
            XenbusState::UNKNOWN => still_wanted(device).await?,
            _ => {}
        }
    }
}

/// Waits for the back end to have taken what we offer.
async fn await_connected(device: &Device) -> Result<(), Error> {
    let wanted = |state| {
        !matches!(state, XenbusState::INITIALISING | XenbusState::INIT_WAIT | XenbusState::INITIALISED)
    };
    match device.wait_other(wanted).await? {
        XenbusState::CONNECTED => Ok(()),
        _ => Err(Error::Refused),
    }
}

/// Whether the toolstack wants the interface to stay when an end of it closes.
///
/// # Errors
///
/// [`Error::Removed`] when it does not.
pub(crate) async fn still_wanted(device: &Device) -> Result<(), Error> {
    match device.read_other_if_there("online").await? {
        Some(1) => Ok(()),
        _ => Err(Error::Removed),
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
