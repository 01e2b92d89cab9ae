//! A back end without manners: it offers and answers whatever a test wants.

use guest_sdk::abi::io::blkif;
use guest_sdk::abi::{Domid, EvtchnPort, Gref};
use guest_sdk::event::Port;
use guest_sdk::grant::{Access, Mapping};
use guest_sdk::ring::BackRing;
use guest_sdk::shared::Memory;
use guest_sdk::xenbus::{Device, XenbusState};
use guest_sdk::xenstore::Xenstore;

use crate::toolstack::XVDA;

/// A connected one.
#[derive(Debug)]
pub struct RawBack {
    /// Its end of the device.
    pub device: Device,
    /// Its end of the ring.
    pub ring: BackRing<blkif::Request, blkif::Response, Mapping>,
    /// Its event channel.
    pub port: Port,
}

impl RawBack {
    /// Offers `xvda` of `guest` with some nodes, and connects.
    ///
    /// # Panics
    ///
    /// If the front end does not.
    pub async fn connect(store: &Xenstore, guest: Domid, nodes: &[(&str, &str)]) -> Self {
        let device = Device::backend(store, "vbd", guest, XVDA).await.unwrap();
        for (key, value) in [("sectors", "1000"), ("sector-size", "512"), ("info", "0")] {
            device.write(key, value).await.unwrap();
        }
        for (key, value) in nodes {
            device.write(key, value).await.unwrap();
        }
        device.switch_state(XenbusState::INIT_WAIT).await.unwrap();
        device.wait_other(|state| state == XenbusState::INITIALISED).await.unwrap();
        let gref = Gref(device.read_other("ring-ref").await.unwrap());
        let port = EvtchnPort(device.read_other("event-channel").await.unwrap());
        let memory = Mapping::new(guest, &[gref], Access::ReadWrite).unwrap();
        let back = Self {
            ring: BackRing::attach(memory).unwrap(),
            port: Port::bind_interdomain(guest, port).unwrap(),
            device,
        };
        back.device.switch_state(XenbusState::CONNECTED).await.unwrap();
        back
    }

    /// Waits for the next request.
    ///
    /// # Panics
    ///
    /// If the front end breaks the ring.
    pub async fn request(&mut self) -> blkif::Request {
        loop {
            if let Some(request) = self.ring.pop().unwrap() {
                return request;
            }
            if !self.ring.arm().unwrap() {
                self.port.wait().await;
            }
        }
    }

    /// Answers.
    ///
    /// # Panics
    ///
    /// If there is nothing to answer.
    pub fn answer(&mut self, id: u64, operation: u8, status: i16) {
        let answer = blkif::Response { id, operation, status, ..Default::default() };
        self.ring.push(&answer).unwrap();
        if self.ring.publish() {
            self.port.notify().unwrap();
        }
    }

    /// Writes `byte` all over the first page of a request.
    ///
    /// # Panics
    ///
    /// If the page is not lent.
    pub fn fill(&self, request: &blkif::Request, byte: u8) {
        let guest = self.device.other();
        let page = Mapping::new(guest, &[request.seg[0].gref], Access::ReadWrite).unwrap();
        page.shared().write_bytes(0, &[byte; 4096]);
    }
}
