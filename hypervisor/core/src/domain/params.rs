//! HVM parameters: numbers that the toolstack leaves for the guest.

use xen_abi::hvm::param;

/// A domain's parameters.
#[derive(Clone, Debug)]
pub struct HvmParams([u64; param::COUNT as usize]);

impl HvmParams {
    /// One of them.
    pub fn get(&self, index: u32) -> Option<u64> {
        self.0.get(index as usize).copied()
    }

    /// Sets one; false when there is no such.
    pub fn set(&mut self, index: u32, value: u64) -> bool {
        let slot = self.0.get_mut(index as usize);
        slot.map(|slot| *slot = value).is_some()
    }
}

impl Default for HvmParams {
    fn default() -> Self {
        Self([0; param::COUNT as usize])
    }
}
