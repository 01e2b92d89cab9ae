//! dm_op (`hvm/dm_op.h`), a build option: domid, number of buffers, list of [`Buf`].

use crate::types::GuestHandle;

/// Operations that ARM has.
pub mod op {
    /// Makes an ioreq server.
    pub const CREATE_IOREQ_SERVER: u32 = 1;
    /// Tells its port and frames.
    pub const GET_IOREQ_SERVER_INFO: u32 = 2;
    /// Routes a range to it.
    pub const MAP_IO_RANGE_TO_IOREQ_SERVER: u32 = 3;
    /// Takes it back.
    pub const UNMAP_IO_RANGE_FROM_IOREQ_SERVER: u32 = 4;
    /// Enables it.
    pub const SET_IOREQ_SERVER_STATE: u32 = 5;
    /// Destroys it.
    pub const DESTROY_IOREQ_SERVER: u32 = 6;
    /// Raises or lowers an interrupt.
    pub const SET_IRQ_LEVEL: u32 = 19;
    /// Tells the number of vCPUs.
    pub const NR_VCPUS: u32 = 20;
}

abi! {
    /// One buffer (`xen_dm_op_buf`).
    pub struct Buf {
        /// Where.
        pub h: GuestHandle<u8>,
        /// Bytes.
        pub size: u64,
    }
}
