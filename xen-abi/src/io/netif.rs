//! The network protocol (`io/netif.h`).

use crate::types::Gref;

/// Slots of one packet that every back end takes.
pub const NR_SLOTS_MIN: u32 = 18;
/// The largest packet.
pub const MAX_TX_SIZE: u32 = 0xFFFF;

/// Flags of a transmit request.
pub mod txf {
    /// The checksum is blank.
    pub const CSUM_BLANK: u16 = 1 << 0;
    /// The data was checked.
    pub const DATA_VALIDATED: u16 = 1 << 1;
    /// The packet goes on in the next slot.
    pub const MORE_DATA: u16 = 1 << 2;
    /// An [`super::ExtraInfo`] follows.
    pub const EXTRA_INFO: u16 = 1 << 3;
}

/// Flags of a receive response.
pub mod rxf {
    /// The data was checked.
    pub const DATA_VALIDATED: u16 = 1 << 0;
    /// The checksum is blank.
    pub const CSUM_BLANK: u16 = 1 << 1;
    /// The packet goes on in the next slot.
    pub const MORE_DATA: u16 = 1 << 2;
    /// An [`super::ExtraInfo`] follows.
    pub const EXTRA_INFO: u16 = 1 << 3;
    /// Only tells the segment size.
    pub const GSO_PREFIX: u16 = 1 << 4;
}

/// Kinds of [`ExtraInfo`].
pub mod extra {
    /// None.
    pub const TYPE_NONE: u8 = 0;
    /// Segmentation offload.
    pub const TYPE_GSO: u8 = 1;
    /// Joins a multicast group.
    pub const TYPE_MCAST_ADD: u8 = 2;
    /// Leaves one.
    pub const TYPE_MCAST_DEL: u8 = 3;
    /// A hash.
    pub const TYPE_HASH: u8 = 4;
    /// One more than the largest.
    pub const TYPE_MAX: u8 = 5;
    /// Flag: another one follows.
    pub const FLAG_MORE: u8 = 1;
}

/// Kinds of segmentation offload.
pub mod gso {
    /// None.
    pub const NONE: u8 = 0;
    /// TCP over IPv4.
    pub const TCPV4: u8 = 1;
    /// TCP over IPv6.
    pub const TCPV6: u8 = 2;
}

/// Status of a response.
pub mod rsp {
    /// The packet was dropped.
    pub const DROPPED: i16 = -2;
    /// Failed.
    pub const ERROR: i16 = -1;
    /// Done.
    pub const OKAY: i16 = 0;
    /// The slot held extra information.
    pub const NULL: i16 = 1;
}

abi! {
    /// A packet, or part of one, to send (`netif_tx_request`).
    pub struct TxRequest {
        /// The page.
        pub gref: Gref,
        /// First byte in it.
        pub offset: u16,
        /// Bits of [`txf`].
        pub flags: u16,
        /// Of the front end.
        pub id: u16,
        /// Bytes; in the first slot of the whole packet.
        pub size: u16,
    }

    /// The answer (`netif_tx_response`).
    pub struct TxResponse {
        /// The request's.
        pub id: u16,
        /// One of [`rsp`].
        pub status: i16,
    }

    /// A page to receive into (`netif_rx_request`).
    pub struct RxRequest {
        /// Of the front end.
        pub id: u16,
        /// Unused.
        pub pad: u16,
        /// The page.
        pub gref: Gref,
    }

    /// A packet, or part of one, received (`netif_rx_response`).
    pub struct RxResponse {
        /// The request's.
        pub id: u16,
        /// First byte in the page.
        pub offset: u16,
        /// Bits of [`rxf`].
        pub flags: u16,
        /// Bytes, or one of [`rsp`].
        pub status: i16,
    }

    /// Extra information in a slot (`netif_extra_info`).
    pub struct ExtraInfo {
        /// One of [`extra`].
        pub kind: u8,
        /// [`extra::FLAG_MORE`].
        pub flags: u8,
        /// A union: for segmentation size, kind (one of [`gso`]) and features; see [`ExtraInfo::gso`].
        pub u: [u16; 3],
    }

    /// A request on the control ring (`xen_netif_ctrl_request`).
    pub struct CtrlRequest {
        /// Of the front end.
        pub id: u16,
        /// What.
        pub kind: u16,
        /// Arguments.
        pub data: [u32; 3],
    }

    /// The answer (`xen_netif_ctrl_response`).
    pub struct CtrlResponse {
        /// The request's.
        pub id: u16,
        /// The request's.
        pub kind: u16,
        /// One of [`ctrl`].
        pub status: u32,
        /// Result.
        pub data: u32,
    }
}

impl ExtraInfo {
    /// Segmentation: size of a segment in bytes, and one of [`gso`].
    pub const fn gso(&self) -> (u16, u8) {
        (self.u[0], self.u[1] as u8)
    }
}

/// The control ring.
pub mod ctrl {
    /// Request: none.
    pub const TYPE_INVALID: u16 = 0;
    /// Request.
    pub const TYPE_GET_HASH_FLAGS: u16 = 1;
    /// Request.
    pub const TYPE_SET_HASH_FLAGS: u16 = 2;
    /// Request.
    pub const TYPE_SET_HASH_KEY: u16 = 3;
    /// Request.
    pub const TYPE_GET_HASH_MAPPING_SIZE: u16 = 4;
    /// Request.
    pub const TYPE_SET_HASH_MAPPING_SIZE: u16 = 5;
    /// Request.
    pub const TYPE_SET_HASH_MAPPING: u16 = 6;
    /// Request.
    pub const TYPE_SET_HASH_ALGORITHM: u16 = 7;
    /// Request.
    pub const TYPE_GET_GREF_MAPPING_SIZE: u16 = 8;
    /// Request.
    pub const TYPE_ADD_GREF_MAPPING: u16 = 9;
    /// Request.
    pub const TYPE_DEL_GREF_MAPPING: u16 = 10;
    /// Status: done.
    pub const STATUS_SUCCESS: u32 = 0;
    /// Status: not something the back end has.
    pub const STATUS_NOT_SUPPORTED: u32 = 1;
    /// Status: an argument is wrong.
    pub const STATUS_INVALID_PARAMETER: u32 = 2;
    /// Status: too much.
    pub const STATUS_BUFFER_OVERFLOW: u32 = 3;
}
