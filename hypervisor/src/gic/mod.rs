//! The physical interrupt controller, and the virtual CPU interface for guests.

pub mod v2;

/// First interrupt id of shared peripherals.
pub const FIRST_SPI: u32 = 32;
/// Ids from here on are not interrupts.
pub const SPECIAL: u32 = 1020;
