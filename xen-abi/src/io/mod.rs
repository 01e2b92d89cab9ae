//! The protocols between front and back ends (`io/*.h`).

pub mod blkif;
pub mod console;
pub mod netif;
pub mod ring;
pub mod xenbus;
pub mod xs_wire;

/// What an ARM front end writes in its `protocol` node (`io/protocols.h`).
pub const PROTOCOL_ABI_ARM: &str = "arm-abi";
