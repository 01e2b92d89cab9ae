//! A back end of an interface that does whatever a test wants; most of it is what an honest one needs, too.

use guest_sdk::abi::io::netif::{self, rsp, txf};
use guest_sdk::abi::{Domid, EvtchnPort, Gref};
use guest_sdk::event::Port;
use guest_sdk::grant::{Access, Mapping};
use guest_sdk::ring::BackRing;
use guest_sdk::shared::Memory;
use guest_sdk::xenbus::{Device, XenbusState};
use guest_sdk::xenstore::Xenstore;

/// A connected one.
#[derive(Debug)]
pub struct RawNetBack {
    /// Its end of the device.
    pub device: Device,
    /// Its end of the ring of frames that the guest sends.
    pub tx: BackRing<netif::TxRequest, netif::TxResponse, Mapping>,
    /// Its end of the ring of frames for the guest.
    pub rx: BackRing<netif::RxRequest, netif::RxResponse, Mapping>,
    /// Its event channel.
    pub port: Port,
}

impl RawNetBack {
    /// Offers the first interface of `guest` with some nodes, and connects, as Linux does.
    ///
    /// # Panics
    ///
    /// If the front end does not.
    pub async fn connect(store: &Xenstore, guest: Domid, nodes: &[(&str, &str)]) -> Self {
        let device = Device::backend(store, "vif", guest, "0").await.unwrap();
        Self::connect_device(device, nodes).await
    }

    /// The same, for a device that may have been connected before.
    ///
    /// # Panics
    ///
    /// If the front end does not.
    pub async fn connect_device(device: Device, nodes: &[(&str, &str)]) -> Self {
        for key in ["feature-rx-copy", "feature-sg"] {
            device.write(key, 1).await.unwrap();
        }
        for (key, value) in nodes {
            device.write(key, value).await.unwrap();
        }
        device.switch_state(XenbusState::INIT_WAIT).await.unwrap();
        device.wait_other(|state| state == XenbusState::CONNECTED).await.unwrap();
        assert_eq!(device.read_other::<u32>("request-rx-copy").await, Ok(1));
        let guest = device.other();
        let map = async |key| {
            let gref = Gref(device.read_other(key).await.unwrap());
            Mapping::new(guest, &[gref], Access::ReadWrite).unwrap()
        };
        let (tx, rx) = (map("tx-ring-ref").await, map("rx-ring-ref").await);
        let port = EvtchnPort(device.read_other("event-channel").await.unwrap());
        let back = Self {
            tx: BackRing::attach(tx).unwrap(),
            rx: BackRing::attach(rx).unwrap(),
            port: Port::bind_interdomain(guest, port).unwrap(),
            device,
        };
        back.device.switch_state(XenbusState::CONNECTED).await.unwrap();
        back
    }

    /// Waits for the next request to send.
    ///
    /// # Panics
    ///
    /// If the front end breaks the ring.
    pub async fn tx_request(&mut self) -> netif::TxRequest {
        loop {
            if let Some(request) = self.tx.pop().unwrap() {
                return request;
            }
            if !self.tx.arm().unwrap() {
                self.port.wait().await;
            }
        }
    }

    /// Waits for the next page to receive into.
    ///
    /// # Panics
    ///
    /// If the front end breaks the ring.
    pub async fn rx_request(&mut self) -> netif::RxRequest {
        loop {
            if let Some(request) = self.rx.pop().unwrap() {
                return request;
            }
            if !self.rx.arm().unwrap() {
                self.port.wait().await;
            }
        }
    }

    /// Takes the next frame that the guest sends, and answers it.
    ///
    /// # Panics
    ///
    /// If its requests are not as they have to be.
    pub async fn take_frame(&mut self) -> Vec<u8> {
        let first = self.tx_request().await;
        let mut frame = Vec::new();
        let mut request = first;
        loop {
            let more = request.flags & txf::MORE_DATA != 0;
            let rest = usize::from(first.size) - frame.len();
            let len = match (frame.is_empty(), more) {
                (true, true) => 4096,
                (true, false) => rest,
                (false, _) => usize::from(request.size),
            };
            assert_eq!(request.flags & !txf::MORE_DATA, 0, "nothing is offloaded");
            let page = Mapping::new(self.device.other(), &[request.gref], Access::ReadOnly).unwrap();
            let start = frame.len();
            frame.resize(start + len, 0);
            page.shared().read_bytes(request.offset.into(), &mut frame[start..]);
            self.answer_tx(request.id, rsp::OKAY);
            if !more {
                assert_eq!(frame.len(), usize::from(first.size), "the first slot says the whole size");
                return frame;
            }
            request = self.tx_request().await;
        }
    }

    /// Answers a request to send.
    ///
    /// # Panics
    ///
    /// If there is nothing to answer.
    pub fn answer_tx(&mut self, id: u16, status: i16) {
        self.tx.push(&netif::TxResponse { id, status }).unwrap();
        if self.tx.publish() {
            self.port.notify().unwrap();
        }
    }

    /// Answers a page to receive into.
    ///
    /// # Panics
    ///
    /// If there is nothing to answer.
    pub fn answer_rx(&mut self, response: &netif::RxResponse) {
        self.rx.push(response).unwrap();
        if self.rx.publish() {
            self.port.notify().unwrap();
        }
    }

    /// Sends the guest a frame in pieces of at most `piece` bytes, each at `offset` of its page.
    ///
    /// # Panics
    ///
    /// If the front end breaks the ring.
    pub async fn give_frame(&mut self, frame: &[u8], flags: u16, piece: usize, offset: u16) {
        let count = frame.len().div_ceil(piece);
        for (index, part) in frame.chunks(piece).enumerate() {
            let request = self.rx_request().await;
            let page = Mapping::new(self.device.other(), &[request.gref], Access::ReadWrite).unwrap();
            page.shared().write_bytes(offset.into(), part);
            let more = if index + 1 < count { netif::rxf::MORE_DATA } else { 0 };
            let status = part.len() as i16;
            self.answer_rx(&netif::RxResponse { id: request.id, offset, flags: flags | more, status });
        }
    }
}
