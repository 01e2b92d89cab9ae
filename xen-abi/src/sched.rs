//! sched_op (`sched.h`).

use crate::types::{Domid, EvtchnPort, GuestHandle};

/// Commands.
pub mod op {
    /// Gives up the CPU.
    pub const YIELD: u32 = 0;
    /// Sleeps until something is pending.
    pub const BLOCK: u32 = 1;
    /// [`super::Shutdown`].
    pub const SHUTDOWN: u32 = 2;
    /// [`super::Poll`].
    pub const POLL: u32 = 3;
    /// [`super::RemoteShutdown`].
    pub const REMOTE_SHUTDOWN: u32 = 4;
    /// [`super::Shutdown`]: only remembers the reason.
    pub const SHUTDOWN_CODE: u32 = 5;
    /// [`super::Watchdog`].
    pub const WATCHDOG: u32 = 6;
    /// [`super::PinOverride`].
    pub const PIN_OVERRIDE: u32 = 7;
}

/// Reasons of a shutdown.
pub mod shutdown {
    /// The domain is done.
    pub const POWEROFF: u32 = 0;
    /// It wants to start again.
    pub const REBOOT: u32 = 1;
    /// It is ready to be saved.
    pub const SUSPEND: u32 = 2;
    /// It crashed.
    pub const CRASH: u32 = 3;
    /// Its watchdog expired.
    pub const WATCHDOG: u32 = 4;
    /// It wants to start again with its memory kept.
    pub const SOFT_RESET: u32 = 5;
    /// The largest reason.
    pub const MAX: u32 = 5;
}

abi! {
    /// Shuts the domain down (`sched_shutdown`).
    pub struct Shutdown {
        /// One of [`shutdown`]; only the low 8 bits count.
        pub reason: u32,
    }

    /// Sleeps until one of some ports is pending (`sched_poll`).
    pub struct Poll {
        /// The ports.
        pub ports: GuestHandle<EvtchnPort>,
        /// How many.
        pub nr_ports: u32,
        /// Unused.
        pub pad: u32,
        /// System time in nanoseconds to give up at; 0 for never.
        pub timeout: u64,
    }

    /// Shuts another domain down (`sched_remote_shutdown`).
    pub struct RemoteShutdown {
        /// Whom.
        pub domain_id: Domid,
        /// Unused.
        pub pad: u16,
        /// One of [`shutdown`].
        pub reason: u32,
    }

    /// Arms a watchdog (`sched_watchdog`).
    pub struct Watchdog {
        /// 0 for a new one.
        pub id: u32,
        /// Seconds; 0 disables it.
        pub timeout: u32,
    }

    /// Pins the caller's vCPU for a while (`sched_pin_override`).
    pub struct PinOverride {
        /// Physical CPU, or -1 to release.
        pub pcpu: i32,
    }
}
