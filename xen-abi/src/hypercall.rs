//! Hypercall numbers (`xen.h`) and the multicall entry. A number not listed here answers `ENOSYS`.
//!
//! The call is `HVC #HVC_TAG` with the number in r12 (x16), up to five arguments from r0 (x0) and the
//! result in r0 (x0).

/// The immediate of the `HVC` instruction (`XEN_HYPERCALL_TAG`).
pub const HVC_TAG: u16 = 0xEA1;
/// One more than the largest number in use.
pub const COUNT: u32 = 64;

/// The first form of sched_op.
pub const SCHED_OP_COMPAT: u32 = 6;
/// [`crate::platform`].
pub const PLATFORM_OP: u32 = 7;
/// [`crate::memory`].
pub const MEMORY_OP: u32 = 12;
/// A list of [`MulticallEntry`] and its length.
pub const MULTICALL: u32 = 13;
/// The first form of event_channel_op: one pointer to the number and a union.
pub const EVENT_CHANNEL_OP_COMPAT: u32 = 16;
/// [`crate::version`].
pub const XEN_VERSION: u32 = 17;
/// [`crate::console_io`].
pub const CONSOLE_IO: u32 = 18;
/// The first form of physdev_op.
pub const PHYSDEV_OP_COMPAT: u32 = 19;
/// [`crate::grant_table`].
pub const GRANT_TABLE_OP: u32 = 20;
/// [`crate::xen::vm_assist`].
pub const VM_ASSIST: u32 = 21;
/// [`crate::vcpu`].
pub const VCPU_OP: u32 = 24;
/// [`crate::xsm`].
pub const XSM_OP: u32 = 27;
/// [`crate::sched`].
pub const SCHED_OP: u32 = 29;
/// [`crate::event_channel`].
pub const EVENT_CHANNEL_OP: u32 = 32;
/// [`crate::physdev`].
pub const PHYSDEV_OP: u32 = 33;
/// [`crate::hvm`].
pub const HVM_OP: u32 = 34;
/// [`crate::sysctl`].
pub const SYSCTL: u32 = 35;
/// [`crate::domctl`].
pub const DOMCTL: u32 = 36;
/// Argo, a build option.
pub const ARGO_OP: u32 = 39;
/// [`crate::dm_op`].
pub const DM_OP: u32 = 41;
/// [`crate::hypfs`].
pub const HYPFS_OP: u32 = 42;

/// Arguments of one entry of a multicall.
pub const MULTICALL_ARGS: usize = 6;

abi! {
    /// One call of a multicall (`multicall_entry`).
    pub struct MulticallEntry {
        /// Hypercall number.
        pub op: u64,
        /// Written by the hypervisor: the result, sign-extended.
        pub result: u64,
        /// Arguments.
        pub args: [u64; MULTICALL_ARGS],
    }
}
