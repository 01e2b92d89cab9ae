//! vcpu_op (`vcpu.h`): command, vCPU, argument.

use crate::types::GuestHandle;

/// Commands. The others are not on ARM, where PSCI starts CPUs.
pub mod op {
    /// Not on ARM.
    pub const INITIALISE: u32 = 0;
    /// Not on ARM.
    pub const UP: u32 = 1;
    /// Not on ARM.
    pub const DOWN: u32 = 2;
    /// Not on ARM.
    pub const IS_UP: u32 = 3;
    /// Not on ARM.
    pub const GET_RUNSTATE_INFO: u32 = 4;
    /// [`super::RegisterRunstateMemoryArea`].
    pub const REGISTER_RUNSTATE_MEMORY_AREA: u32 = 5;
    /// [`super::RegisterVcpuInfo`].
    pub const REGISTER_VCPU_INFO: u32 = 10;
}

/// What a vCPU is doing.
pub mod runstate {
    /// On a CPU.
    pub const RUNNING: u32 = 0;
    /// Would like to be.
    pub const RUNNABLE: u32 = 1;
    /// Waits for an event.
    pub const BLOCKED: u32 = 2;
    /// Down or paused.
    pub const OFFLINE: u32 = 3;
}

/// In [`RunstateInfo::state_entry_time`], while the record is being written, if vm_assist says so.
pub const RUNSTATE_UPDATE: u64 = 1 << 63;

abi! {
    /// A vCPU's record (`vcpu_runstate_info`).
    pub struct RunstateInfo {
        /// One of [`runstate`].
        pub state: i32,
        /// Unused.
        pub pad: u32,
        /// When that began: system time in nanoseconds.
        pub state_entry_time: u64,
        /// Nanoseconds spent in each state.
        pub time: [u64; 4],
    }

    /// Says where the record goes (`vcpu_register_runstate_memory_area`).
    pub struct RegisterRunstateMemoryArea {
        /// A guest-virtual address; null to stop.
        pub addr: GuestHandle<RunstateInfo>,
    }

    /// Moves a vCPU's event state to a page of the guest (`vcpu_register_vcpu_info`).
    pub struct RegisterVcpuInfo {
        /// The page's gfn, in spite of its name.
        pub mfn: u64,
        /// Byte offset in it, a multiple of 8.
        pub offset: u32,
        /// Unused.
        pub rsvd: u32,
    }
}
