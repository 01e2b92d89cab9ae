//! HVM parameters: numbers that the toolstack leaves for the guest.

use xen_abi::hvm::param;

/// The parameters that ARM has.
const INDEXES: [u32; 6] = [
    param::CALLBACK_IRQ,
    param::STORE_PFN,
    param::STORE_EVTCHN,
    param::CONSOLE_PFN,
    param::CONSOLE_EVTCHN,
    param::MONITOR_RING_PFN,
];

/// A domain's parameters, all 0 at first.
#[derive(Clone, Debug, Default)]
pub struct HvmParams([u64; INDEXES.len()]);

impl HvmParams {
    fn slot(index: u32) -> Option<usize> {
        INDEXES.iter().position(|known| *known == index)
    }

    /// One of them, if there is such.
    pub fn get(&self, index: u32) -> Option<u64> {
        Some(self.0[Self::slot(index)?])
    }

    /// Sets one; false when there is no such.
    pub fn set(&mut self, index: u32, value: u64) -> bool {
        let slot = Self::slot(index);
        slot.map(|slot| self.0[slot] = value).is_some()
    }
}
