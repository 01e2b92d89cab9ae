//! The interface as a device of smoltcp.

use alloc::vec::Vec;

use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;

use crate::{Info, Interface};

/// An interface for a smoltcp `Interface` to work on. When that has nothing left to do, wait for
/// [`Interface::changed`] or the stack's own time, whichever is first.
#[derive(Debug)]
pub struct Phy {
    interface: Interface,
    info: Info,
    /// Where the stack writes a frame before it is copied to the back end's page.
    scratch: Vec<u8>,
}

impl Phy {
    /// A device for `interface`, which is as `info` says.
    pub fn new(interface: Interface, info: Info) -> Self {
        Self { interface, info, scratch: Vec::new() }
    }
}

/// A frame received.
#[derive(Debug)]
pub struct RxFrame(Vec<u8>);

impl RxToken for RxFrame {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

/// Room for a frame to send.
#[derive(Debug)]
pub struct TxSlot<'a>(&'a mut Phy);

impl TxToken for TxSlot<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let Phy { interface, scratch, .. } = self.0;
        scratch.clear();
        scratch.resize(len, 0);
        let result = f(scratch);
        // A frame that cannot be sent is lost as one on a wire is; the stack sends it again.
        if !matches!(interface.try_send(scratch), Ok(true)) {
            log::debug!("netfront: a frame of {len} bytes is lost");
        }
        result
    }
}

impl Device for Phy {
    type RxToken<'a> = RxFrame;
    type TxToken<'a> = TxSlot<'a>;

    fn receive(&mut self, _: Instant) -> Option<(RxFrame, TxSlot<'_>)> {
        if !self.interface.can_send().unwrap_or(false) {
            return None;
        }
        let frame = self.interface.try_receive().ok()??;
        Some((RxFrame(frame), TxSlot(self)))
    }

    fn transmit(&mut self, _: Instant) -> Option<TxSlot<'_>> {
        self.interface.can_send().unwrap_or(false).then_some(TxSlot(self))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        // With the Ethernet header, but without a VLAN's tag.
        capabilities.max_transmission_unit = self.info.mtu + 14;
        capabilities
    }
}
