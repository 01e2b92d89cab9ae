//! The block protocol (`io/blkif.h`).

use crate::types::Gref;

/// Operations of a request.
pub mod op {
    /// Reads.
    pub const READ: u8 = 0;
    /// Writes.
    pub const WRITE: u8 = 1;
    /// Writes, ordered against all others.
    pub const WRITE_BARRIER: u8 = 2;
    /// Flushes the back end's write cache.
    pub const FLUSH_DISKCACHE: u8 = 3;
    /// Discards; see [`super::RequestDiscard`].
    pub const DISCARD: u8 = 5;
    /// Segments in pages of their own; see [`super::RequestIndirect`].
    pub const INDIRECT: u8 = 6;
}

/// Status of a response.
pub mod rsp {
    /// Done.
    pub const OKAY: i16 = 0;
    /// Failed.
    pub const ERROR: i16 = -1;
    /// Not an operation the back end has.
    pub const EOPNOTSUPP: i16 = -2;
}

/// The most segments of a plain request.
pub const MAX_SEGMENTS_PER_REQUEST: usize = 11;
/// The most pages of segments of an indirect one.
pub const MAX_INDIRECT_PAGES_PER_REQUEST: usize = 8;
/// Segments in a page of them.
pub const SEGMENTS_PER_INDIRECT_PAGE: usize = 512;
/// Bytes of a sector in the protocol, whatever the disk's is.
pub const SECTOR_SIZE: usize = 512;
/// Flag of a discard: erase for good.
pub const DISCARD_SECURE: u8 = 1;

/// Bits of the back end's `info` node.
pub mod vdisk {
    /// A CD-ROM.
    pub const CDROM: u32 = 1;
    /// Removable.
    pub const REMOVABLE: u32 = 2;
    /// Read-only.
    pub const READONLY: u32 = 4;
}

abi! {
    /// Part of a page (`blkif_request_segment`).
    pub struct Segment {
        /// The page.
        pub gref: Gref,
        /// First sector in it, 0 to 7.
        pub first_sect: u8,
        /// Last sector in it, inclusive.
        pub last_sect: u8,
        /// Unused.
        pub pad: u16,
    }

    /// A request (`blkif_request`): one entry of the ring.
    pub struct Request {
        /// One of [`op`].
        pub operation: u8,
        /// How many of `seg` count.
        pub nr_segments: u8,
        /// The disk's number.
        pub handle: u16,
        /// Unused.
        pub pad: u32,
        /// Of the front end; the response repeats it.
        pub id: u64,
        /// Where on the disk, in sectors of 512 bytes.
        pub sector_number: u64,
        /// The pages.
        pub seg: [Segment; MAX_SEGMENTS_PER_REQUEST],
    }

    /// A request to discard (`blkif_request_discard`).
    pub struct RequestDiscard {
        /// [`op::DISCARD`].
        pub operation: u8,
        /// [`DISCARD_SECURE`].
        pub flag: u8,
        /// The disk's number.
        pub handle: u16,
        /// Unused.
        pub pad: u32,
        /// Of the front end.
        pub id: u64,
        /// First sector.
        pub sector_number: u64,
        /// How many.
        pub nr_sectors: u64,
    }

    /// A request whose segments are in pages of their own (`blkif_request_indirect`).
    pub struct RequestIndirect {
        /// [`op::INDIRECT`].
        pub operation: u8,
        /// The operation meant.
        pub indirect_op: u8,
        /// How many segments.
        pub nr_segments: u16,
        /// Unused.
        pub pad0: u32,
        /// Of the front end.
        pub id: u64,
        /// Where on the disk, in sectors of 512 bytes.
        pub sector_number: u64,
        /// The disk's number.
        pub handle: u16,
        /// Unused.
        pub pad1: u16,
        /// Pages of [`Segment`].
        pub indirect_grefs: [Gref; MAX_INDIRECT_PAGES_PER_REQUEST],
        /// Unused.
        pub pad2: u32,
    }

    /// A response (`blkif_response`): the beginning of an entry of the ring.
    pub struct Response {
        /// The request's.
        pub id: u64,
        /// The request's operation.
        pub operation: u8,
        /// Unused.
        pub pad0: u8,
        /// One of [`rsp`].
        pub status: i16,
        /// Unused.
        pub pad1: u32,
    }
}
