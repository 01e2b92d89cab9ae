//! platform_op (`platform.h`): on ARM only the wall clock.

use crate::types::OpPayload;

/// What [`PlatformOp::interface_version`] must be.
pub const INTERFACE_VERSION: u32 = 0x0300_0001;

/// Commands.
pub mod op {
    /// [`super::SetTime64`].
    pub const SETTIME64: u32 = 62;
}

abi! {
    /// The envelope (`xen_platform_op`).
    pub struct PlatformOp {
        /// One of [`op`].
        pub cmd: u32,
        /// [`INTERFACE_VERSION`].
        pub interface_version: u32,
        /// The operation's structure.
        pub u: OpPayload,
    }

    /// Sets the wall clock (`xenpf_settime64`).
    pub struct SetTime64 {
        /// Seconds since 1970.
        pub secs: u64,
        /// Nanoseconds.
        pub nsecs: u32,
        /// Must be 0.
        pub mbz: u32,
        /// System time in nanoseconds at which it was that.
        pub system_time: u64,
    }
}
