//! hvm_op and a domain's parameters (`hvm/hvm_op.h`, `hvm/params.h`).

use crate::types::Domid;

/// Commands that ARM has.
pub mod op {
    /// [`super::HvmParam`].
    pub const SET_PARAM: u32 = 0;
    /// [`super::HvmParam`].
    pub const GET_PARAM: u32 = 1;
    /// vm_event.
    pub const GUEST_REQUEST_VM_EVENT: u32 = 24;
    /// altp2m.
    pub const ALTP2M: u32 = 25;
}

abi! {
    /// A parameter (`xen_hvm_param`).
    pub struct HvmParam {
        /// Whose.
        pub domid: Domid,
        /// Unused.
        pub pad: u16,
        /// One of [`param`].
        pub index: u32,
        /// In or out.
        pub value: u64,
    }
}

/// Parameters that ARM has.
pub mod param {
    /// Which interrupt tells of events; see [`super::callback`].
    pub const CALLBACK_IRQ: u32 = 0;
    /// Gfn of the xenstore ring; all ones: not yet.
    pub const STORE_PFN: u32 = 1;
    /// Port of the xenstore ring.
    pub const STORE_EVTCHN: u32 = 2;
    /// Gfn of the console ring.
    pub const CONSOLE_PFN: u32 = 17;
    /// Port of the console ring.
    pub const CONSOLE_EVTCHN: u32 = 18;
    /// Gfn of the paging ring.
    pub const PAGING_RING_PFN: u32 = 27;
    /// Gfn of the monitor ring.
    pub const MONITOR_RING_PFN: u32 = 28;
    /// Gfn of the sharing ring.
    pub const SHARING_RING_PFN: u32 = 29;
    /// How many indexes there are.
    pub const COUNT: u32 = 39;
}

/// How [`param::CALLBACK_IRQ`] is put together: type << 56, flags, PPI in the low byte.
pub mod callback {
    /// The type's bits.
    pub const TYPE_MASK: u64 = 0xFF00_0000_0000_0000;
    /// Where the type begins.
    pub const TYPE_SHIFT: u32 = 56;
    /// Type: a PPI.
    pub const TYPE_PPI: u64 = 2;
    /// The flags' bits.
    pub const PPI_FLAG_MASK: u64 = 0xFF00;
    /// Where the flags begin.
    pub const PPI_FLAG_SHIFT: u32 = 8;
    /// Flag: active low, level.
    pub const PPI_FLAG_LOW_LEVEL: u64 = 2;

    /// The value for a PPI that is active low and level.
    pub const fn ppi(intid: u8) -> u64 {
        (TYPE_PPI << TYPE_SHIFT) | (PPI_FLAG_LOW_LEVEL << PPI_FLAG_SHIFT) | intid as u64
    }
}
