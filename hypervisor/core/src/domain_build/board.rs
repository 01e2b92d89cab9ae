//! What the hypervisor remembers of its board for the domains that are built later.

use guest_board::Region;
use xen_abi::arch::gic;

use crate::machine::Trigger;

const WORDS: usize = 32;

/// The board, as later domains need to know it.
#[derive(Clone, Debug)]
pub struct Board {
    /// The virtual CPU interface of version 2 of the interrupt controller; none in version 3.
    pub virtual_cpu: Option<Region>,
    /// Frequency of the timer for guests' device trees; 0 when the register tells it.
    pub timer_frequency: u32,
    /// Which interrupts are edge triggered.
    edges: [u32; WORDS],
}

impl Board {
    /// A board whose interrupts are all level sensitive.
    pub fn new(virtual_cpu: Option<Region>, timer_frequency: u32) -> Self {
        Self { virtual_cpu, timer_frequency, edges: [0; WORDS] }
    }

    /// The version of the interrupt controller, which is its guests' too.
    pub fn gic_version(&self) -> u8 {
        if self.virtual_cpu.is_some() { gic::V2 } else { gic::V3 }
    }

    /// Notes that an interrupt is edge triggered.
    pub fn set_edge(&mut self, spi: u32) {
        if let Some(word) = self.edges.get_mut((spi / 32) as usize) {
            *word |= 1 << (spi % 32);
        }
    }

    /// How an interrupt line signals.
    pub fn trigger(&self, spi: u32) -> Trigger {
        let word = self.edges.get((spi / 32) as usize).copied().unwrap_or(0);
        if word >> (spi % 32) & 1 != 0 { Trigger::Edge } else { Trigger::Level }
    }
}
