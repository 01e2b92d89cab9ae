//! A front end without manners: it puts into its ring whatever a test wants.

use guest_sdk::abi::io::blkif;
use guest_sdk::abi::{Gref, PAGE_SIZE};
use guest_sdk::event::Port;
use guest_sdk::exec::timeout;
use guest_sdk::grant::{Access, Grant};
use guest_sdk::ring::FrontRing;
use guest_sdk::shared::Memory;
use guest_sdk::xenbus::{Device, XenbusState};
use guest_sdk::xenstore::Xenstore;
use std::time::Duration;

use crate::toolstack::XVDA;

/// A connected one.
#[derive(Debug)]
pub struct RawFront {
    /// Its end of the device.
    pub device: Device,
    /// Its ring.
    pub ring: FrontRing<blkif::Request, blkif::Response, Grant>,
    /// Its event channel.
    pub port: Port,
    /// Pages that the back end may write.
    pub pages: Grant,
    /// Pages that it may only read.
    pub read_only: Grant,
    next_id: u64,
}

/// A segment of a whole page.
#[must_use]
pub fn whole(gref: Gref) -> blkif::Segment {
    blkif::Segment { gref, first_sect: 0, last_sect: 7, pad: 0 }
}

impl RawFront {
    /// Connects to the disk `xvda` of this domain.
    ///
    /// # Panics
    ///
    /// If the back end does not connect.
    pub async fn connect(store: &Xenstore, persistent: bool) -> Self {
        let mut front = Self::new(store).await;
        front.publish(persistent).await;
        front.device.wait_other(|state| state == XenbusState::CONNECTED).await.unwrap();
        front.device.switch_state(XenbusState::CONNECTED).await.unwrap();
        front
    }

    /// One that has not told the back end of itself yet.
    ///
    /// # Panics
    ///
    /// If there is no disk.
    pub async fn new(store: &Xenstore) -> Self {
        let device = Device::frontend(store, "vbd", XVDA).await.unwrap();
        device.wait_other(|state| state == XenbusState::INIT_WAIT).await.unwrap();
        let back = device.other();
        Self {
            ring: FrontRing::new(Grant::of_zeroes(back, 1, Access::ReadWrite).unwrap()),
            port: Port::alloc_unbound(back).unwrap(),
            pages: Grant::of_zeroes(back, 16, Access::ReadWrite).unwrap(),
            read_only: Grant::of_zeroes(back, 4, Access::ReadOnly).unwrap(),
            device,
            next_id: 1000,
        }
    }

    /// Tells the back end where the ring is.
    ///
    /// # Panics
    ///
    /// If xenstore fails.
    pub async fn publish(&mut self, persistent: bool) {
        let gref = self.ring.memory().gref();
        self.device.write("ring-ref", gref.0).await.unwrap();
        self.device.write("event-channel", self.port.number().0).await.unwrap();
        self.device.write("protocol", "arm-abi").await.unwrap();
        self.device.write("feature-persistent", u8::from(persistent)).await.unwrap();
        self.device.switch_state(XenbusState::INITIALISED).await.unwrap();
    }

    /// Puts a request into the ring and waits for the answer; gives its status.
    ///
    /// # Panics
    ///
    /// If no answer comes, or one to something else.
    pub async fn ask(&mut self, mut request: blkif::Request) -> i16 {
        self.next_id += 1;
        request.id = self.next_id;
        self.put(&request);
        let answer = timeout(Duration::from_secs(60), self.answer()).await.expect("no answer");
        assert_eq!(answer.id, request.id);
        answer.status
    }

    /// Puts a request into the ring.
    ///
    /// # Panics
    ///
    /// If the ring is full.
    pub fn put(&mut self, request: &blkif::Request) {
        self.ring.push(request).unwrap();
        if self.ring.publish() {
            self.port.notify().unwrap();
        }
    }

    /// Waits for the next answer.
    ///
    /// # Panics
    ///
    /// If the back end breaks the ring.
    pub async fn answer(&mut self) -> blkif::Response {
        loop {
            if let Some(answer) = self.ring.pop().unwrap() {
                return answer;
            }
            if !self.ring.arm().unwrap() {
                self.port.wait().await;
            }
        }
    }

    /// What one of the writable pages holds.
    #[must_use]
    pub fn page(&self, index: usize) -> Vec<u8> {
        let mut bytes = vec![0; PAGE_SIZE];
        self.pages.shared().read_bytes(index * PAGE_SIZE, &mut bytes);
        bytes
    }

    /// Fills one of the writable pages.
    pub fn fill(&self, index: usize, bytes: &[u8]) {
        self.pages.shared().write_bytes(index * PAGE_SIZE, bytes);
    }
}

/// A request to read or write.
#[must_use]
pub fn transfer(operation: u8, sector: u64, segments: &[blkif::Segment]) -> blkif::Request {
    let mut request = blkif::Request {
        operation,
        nr_segments: segments.len() as u8,
        sector_number: sector,
        ..Default::default()
    };
    request.seg[..segments.len()].copy_from_slice(segments);
    request
}
