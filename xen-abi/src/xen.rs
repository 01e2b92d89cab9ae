//! The page that a domain shares with the hypervisor, virtual interrupts and vm_assist (`xen.h`).

/// Words of 64 ports in the 2-level event bitmaps.
pub const EVTCHN_WORDS: usize = 64;
/// How many vCPUs have their [`VcpuInfo`] in the shared page.
pub const LEGACY_MAX_VCPUS: usize = 1;

abi! {
    /// Time record of a vCPU (`vcpu_time_info`). Never updated on ARM.
    pub struct VcpuTimeInfo {
        /// Odd while being written.
        pub version: u32,
        /// Unused.
        pub pad0: u32,
        /// Counter at the last update.
        pub tsc_timestamp: u64,
        /// Nanoseconds since boot at the last update.
        pub system_time: u64,
        /// Scale: 32.32 fixed point multiplier.
        pub tsc_to_system_mul: u32,
        /// Scale: shift before the multiplication.
        pub tsc_shift: i8,
        /// Flags.
        pub flags: u8,
        /// Unused.
        pub pad1: [u8; 2],
    }

    /// A vCPU's event state (`vcpu_info`).
    pub struct VcpuInfo {
        /// Set by the hypervisor when an event is pending, cleared by the guest before it scans.
        pub evtchn_upcall_pending: u8,
        /// The upcall mask of other architectures.
        pub pad0: u8,
        /// Unused.
        pub pad1: [u8; 6],
        /// One bit for each word of [`SharedInfo::evtchn_pending`] that may have news.
        pub evtchn_pending_sel: u64,
        /// Time record.
        pub time: VcpuTimeInfo,
    }

    /// What a domain shares with the hypervisor (`shared_info`): the beginning of one page.
    pub struct SharedInfo {
        /// vCPU 0; the others register a place of their own.
        pub vcpu_info: [VcpuInfo; LEGACY_MAX_VCPUS],
        /// 2-level events: pending ports.
        pub evtchn_pending: [u64; EVTCHN_WORDS],
        /// 2-level events: masked ports; all ones at first.
        pub evtchn_mask: [u64; EVTCHN_WORDS],
        /// Odd while the wall clock is being written.
        pub wc_version: u32,
        /// Seconds, low half, of wall-clock time when system time was 0.
        pub wc_sec: u32,
        /// Nanoseconds.
        pub wc_nsec: u32,
        /// Seconds, high half.
        pub wc_sec_hi: u32,
    }
}

/// Virtual interrupts.
pub mod virq {
    /// Timer; per vCPU, never raised on ARM.
    pub const TIMER: u32 = 0;
    /// Debug key; per vCPU.
    pub const DEBUG: u32 = 1;
    /// Serial input waits for dom0.
    pub const CONSOLE: u32 = 2;
    /// A domain shut down or died.
    pub const DOM_EXC: u32 = 3;
    /// Trace buffer filled up.
    pub const TBUF: u32 = 4;
    /// Debugger.
    pub const DEBUGGER: u32 = 6;
    /// Profiler; per vCPU.
    pub const XENOPROF: u32 = 7;
    /// New text in the hypervisor's log.
    pub const CON_RING: u32 = 8;
    /// A physical CPU came or went.
    pub const PCPU_STATE: u32 = 9;
    /// vm_event.
    pub const MEM_EVENT: u32 = 10;
    /// Argo.
    pub const ARGO: u32 = 11;
    /// Free memory is low.
    pub const ENOMEM: u32 = 12;
    /// Performance monitor; per vCPU.
    pub const XENPMU: u32 = 13;
    /// First of the architecture's eight.
    pub const ARCH_0: u32 = 16;
    /// Last of the architecture's eight.
    pub const ARCH_7: u32 = 23;
    /// How many there are.
    pub const COUNT: u32 = 24;
}

/// vm_assist: commands and the one type that ARM has.
pub mod vm_assist {
    /// Command: switch on.
    pub const ENABLE: u32 = 0;
    /// Command: switch off.
    pub const DISABLE: u32 = 1;
    /// Type: mark a runstate record with [`crate::vcpu::RUNSTATE_UPDATE`] while it is written.
    pub const RUNSTATE_UPDATE_FLAG: u32 = 5;
}
