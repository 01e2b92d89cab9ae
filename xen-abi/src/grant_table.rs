//! Grant tables, version 1 (`grant_table.h`).

use crate::types::{Domid, Gfn, Gref, GuestHandle};

abi! {
    /// An entry of a domain's table (`grant_entry_v1`). The guest writes `flags` last.
    pub struct EntryV1 {
        /// Bits of [`gtf`].
        pub flags: u16,
        /// Who may use it.
        pub domid: Domid,
        /// The granted frame, a gfn of the granting domain.
        pub frame: u32,
    }
}

/// Entries in a page of the table.
pub const ENTRIES_PER_FRAME: u32 = 512;
/// Entries that are kept for the toolstack.
pub const NR_RESERVED_ENTRIES: u32 = 8;
/// The console ring.
pub const RESERVED_CONSOLE: Gref = Gref(0);
/// The xenstore ring.
pub const RESERVED_XENSTORE: Gref = Gref(1);

/// Flags of an entry.
pub mod gtf {
    /// Type: unused.
    pub const INVALID: u16 = 0;
    /// Type: `domid` may map or copy the frame.
    pub const PERMIT_ACCESS: u16 = 1;
    /// Type: `domid` may transfer a frame here.
    pub const ACCEPT_TRANSFER: u16 = 2;
    /// Type: version 2 only.
    pub const TRANSITIVE: u16 = 3;
    /// The type's bits.
    pub const TYPE_MASK: u16 = 3;
    /// Reading only.
    pub const READONLY: u16 = 1 << 2;
    /// Set by the hypervisor while it is mapped or copied.
    pub const READING: u16 = 1 << 3;
    /// Set by the hypervisor while it is mapped or copied for writing.
    pub const WRITING: u16 = 1 << 4;
    /// Cache attribute; zero on ARM.
    pub const PWT: u16 = 1 << 5;
    /// Cache attribute; zero on ARM.
    pub const PCD: u16 = 1 << 6;
    /// Cache attribute; zero on ARM.
    pub const PAT: u16 = 1 << 7;
    /// Version 2: part of a page.
    pub const SUB_PAGE: u16 = 1 << 8;
}

/// Commands of grant_table_op; each takes a list of the structure of its name and the list's length.
pub mod op {
    /// [`super::MapGrantRef`].
    pub const MAP_GRANT_REF: u32 = 0;
    /// [`super::UnmapGrantRef`].
    pub const UNMAP_GRANT_REF: u32 = 1;
    /// [`super::SetupTable`].
    pub const SETUP_TABLE: u32 = 2;
    /// Not implemented by anyone.
    pub const DUMP_TABLE: u32 = 3;
    /// [`super::Transfer`].
    pub const TRANSFER: u32 = 4;
    /// [`super::Copy`].
    pub const COPY: u32 = 5;
    /// [`super::QuerySize`].
    pub const QUERY_SIZE: u32 = 6;
    /// [`super::UnmapAndReplace`].
    pub const UNMAP_AND_REPLACE: u32 = 7;
    /// [`super::SetVersion`].
    pub const SET_VERSION: u32 = 8;
    /// [`super::GetStatusFrames`].
    pub const GET_STATUS_FRAMES: u32 = 9;
    /// [`super::GetVersion`].
    pub const GET_VERSION: u32 = 10;
    /// [`super::SwapGrantRef`].
    pub const SWAP_GRANT_REF: u32 = 11;
    /// [`super::CacheFlush`].
    pub const CACHE_FLUSH: u32 = 12;
    /// The command's bits; a continued call keeps its progress above them.
    pub const MASK: u32 = 0xfff;
}

/// Flags of [`MapGrantRef`].
pub mod gntmap {
    /// Map for devices; refused on ARM.
    pub const DEVICE_MAP: u32 = 1 << 0;
    /// Map into the caller's address space.
    pub const HOST_MAP: u32 = 1 << 1;
    /// Map for reading only.
    pub const READONLY: u32 = 1 << 2;
    /// Of the application; refused on ARM.
    pub const APPLICATION_MAP: u32 = 1 << 3;
    /// The address is that of a page table entry; refused on ARM.
    pub const CONTAINS_PTE: u32 = 1 << 4;
    /// Lowest bit that the guest may use for itself.
    pub const GUEST_AVAIL_SHIFT: u32 = 16;
}

open_number! {
    /// The status that the hypervisor writes into each element; negative is a failure (`GNTST_*`).
    pub struct GrantStatus(i16);

    /// A mapping's handle (`grant_handle_t`), to be given back when unmapping.
    pub struct GrantHandle(u32);
}

impl GrantStatus {
    /// Success.
    pub const OKAY: Self = Self(0);
    /// General, undefined error.
    pub const GENERAL_ERROR: Self = Self(-1);
    /// No such domain.
    pub const BAD_DOMAIN: Self = Self(-2);
    /// No such reference, or not one to use so.
    pub const BAD_GNTREF: Self = Self(-3);
    /// No such mapping.
    pub const BAD_HANDLE: Self = Self(-4);
    /// Bad address to map at.
    pub const BAD_VIRT_ADDR: Self = Self(-5);
    /// Bad device address.
    pub const BAD_DEV_ADDR: Self = Self(-6);
    /// No room in the IOMMU.
    pub const NO_DEVICE_SPACE: Self = Self(-7);
    /// Policy refuses.
    pub const PERMISSION_DENIED: Self = Self(-8);
    /// The frame is not one to share.
    pub const BAD_PAGE: Self = Self(-9);
    /// A copy leaves its page.
    pub const BAD_COPY_ARG: Self = Self(-10);
    /// The frame lies too high.
    pub const ADDRESS_TOO_BIG: Self = Self(-11);
    /// Try again.
    pub const EAGAIN: Self = Self(-12);
    /// No handles left.
    pub const NO_SPACE: Self = Self(-13);

    /// Success or this status as an error.
    pub const fn check(self) -> Result<(), Self> {
        if self.0 == Self::OKAY.0 { Ok(()) } else { Err(self) }
    }
}

abi! {
    /// Maps a granted frame.
    pub struct MapGrantRef {
        /// Guest-physical address to map at.
        pub host_addr: u64,
        /// Bits of [`gntmap`].
        pub flags: u32,
        /// Which entry.
        pub gref: Gref,
        /// Of whom.
        pub dom: Domid,
        /// Out.
        pub status: GrantStatus,
        /// Out: what to give to [`UnmapGrantRef`].
        pub handle: GrantHandle,
        /// Out: machine address of the frame.
        pub dev_bus_addr: u64,
    }

    /// Undoes a mapping.
    pub struct UnmapGrantRef {
        /// Where it was mapped, or 0 to leave that.
        pub host_addr: u64,
        /// Device address to unmap.
        pub dev_bus_addr: u64,
        /// Which mapping.
        pub handle: GrantHandle,
        /// Out.
        pub status: GrantStatus,
        /// Unused.
        pub pad: u16,
    }

    /// Grows a table and tells its frames.
    pub struct SetupTable {
        /// Whose table.
        pub dom: Domid,
        /// Unused.
        pub pad0: u16,
        /// Frames wanted.
        pub nr_frames: u32,
        /// Out.
        pub status: GrantStatus,
        /// Unused.
        pub pad1: [u16; 3],
        /// Out: a gfn for each frame, all ones where it is not mapped.
        pub frame_list: GuestHandle<Gfn>,
    }

    /// Gives a frame away; refused on ARM.
    pub struct Transfer {
        /// The frame.
        pub mfn: u64,
        /// To whom.
        pub domid: Domid,
        /// Unused.
        pub pad0: u16,
        /// Entry that accepts it.
        pub gref: Gref,
        /// Out.
        pub status: GrantStatus,
        /// Unused.
        pub pad1: [u16; 3],
    }

    /// One end of a [`struct@Copy`].
    pub struct CopyPtr {
        /// A union: the reference in the low half, or a whole gfn.
        pub u: u64,
        /// Whose.
        pub domid: Domid,
        /// First byte within the frame.
        pub offset: u16,
        /// Unused.
        pub pad: u32,
    }

    /// Copies between two frames.
    pub struct Copy {
        /// From.
        pub source: CopyPtr,
        /// To.
        pub dest: CopyPtr,
        /// Bytes.
        pub len: u16,
        /// Bits of [`gntcopy`].
        pub flags: u16,
        /// Out.
        pub status: GrantStatus,
        /// Unused.
        pub pad: u16,
    }

    /// Tells a table's size.
    pub struct QuerySize {
        /// Whose table.
        pub dom: Domid,
        /// Unused.
        pub pad0: u16,
        /// Out: frames it has.
        pub nr_frames: u32,
        /// Out: frames it may have.
        pub max_nr_frames: u32,
        /// Out.
        pub status: GrantStatus,
        /// Unused.
        pub pad1: u16,
    }

    /// Undoes a mapping and puts another in its place.
    pub struct UnmapAndReplace {
        /// Where it was mapped.
        pub host_addr: u64,
        /// Whose mapping to move there; must be 0 on ARM.
        pub new_addr: u64,
        /// Which mapping.
        pub handle: GrantHandle,
        /// Out.
        pub status: GrantStatus,
        /// Unused.
        pub pad: u16,
    }

    /// Chooses the table's version.
    pub struct SetVersion {
        /// In: wanted. Out: now.
        pub version: u32,
    }

    /// Tells the status frames of version 2.
    pub struct GetStatusFrames {
        /// Frames wanted.
        pub nr_frames: u32,
        /// Whose.
        pub dom: Domid,
        /// Out.
        pub status: GrantStatus,
        /// Out: gfns.
        pub frame_list: GuestHandle<u64>,
    }

    /// Tells the table's version.
    pub struct GetVersion {
        /// Whose.
        pub dom: Domid,
        /// Unused.
        pub pad: u16,
        /// Out.
        pub version: u32,
    }

    /// Swaps two entries.
    pub struct SwapGrantRef {
        /// One.
        pub ref_a: Gref,
        /// The other.
        pub ref_b: Gref,
        /// Out.
        pub status: GrantStatus,
        /// Unused.
        pub pad: u16,
    }

    /// Cache maintenance on a frame, own or granted.
    pub struct CacheFlush {
        /// A union: machine address, or a reference in the low half.
        pub a: u64,
        /// First byte within the frame.
        pub offset: u16,
        /// Bytes.
        pub length: u16,
        /// Bits of [`cache`].
        pub op: u32,
    }
}

impl CopyPtr {
    /// The end that names a grant reference.
    pub const fn gref(&self) -> Gref {
        Gref(self.u as u32)
    }

    /// The end that names a frame.
    pub const fn gfn(&self) -> Gfn {
        Gfn(self.u)
    }
}

/// Flags of [`struct@Copy`].
pub mod gntcopy {
    /// The source is a reference.
    pub const SOURCE_GREF: u16 = 1 << 0;
    /// The destination is a reference.
    pub const DEST_GREF: u16 = 1 << 1;
}

/// Operations of [`CacheFlush`].
pub mod cache {
    /// Clean.
    pub const CLEAN: u32 = 1 << 0;
    /// Invalidate.
    pub const INVAL: u32 = 1 << 1;
    /// The frame is named by a reference.
    pub const SOURCE_GREF: u32 = 1 << 31;
}
