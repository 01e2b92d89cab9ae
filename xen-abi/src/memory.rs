//! memory_op (`memory.h`).

use crate::types::{Domid, Gfn, GuestHandle};

/// Commands. The low [`op::MASK`] bits name the operation; a continued call keeps the first extent to do
/// next above them.
pub mod op {
    /// [`super::MemoryReservation`]: more memory, mapped nowhere.
    pub const INCREASE_RESERVATION: u32 = 0;
    /// [`super::MemoryReservation`]: gives frames back.
    pub const DECREASE_RESERVATION: u32 = 1;
    /// The highest machine frame.
    pub const MAXIMUM_RAM_PAGE: u32 = 2;
    /// [`super::MemoryDomain`]: pages it has.
    pub const CURRENT_RESERVATION: u32 = 3;
    /// [`super::MemoryDomain`]: pages it may have.
    pub const MAXIMUM_RESERVATION: u32 = 4;
    /// Not on ARM.
    pub const MACHPHYS_MFN_LIST: u32 = 5;
    /// [`super::MemoryReservation`]: puts memory at the given frames.
    pub const POPULATE_PHYSMAP: u32 = 6;
    /// [`super::AddToPhysmap`].
    pub const ADD_TO_PHYSMAP: u32 = 7;
    /// Not on ARM.
    pub const MEMORY_MAP: u32 = 9;
    /// Not on ARM.
    pub const MACHINE_MEMORY_MAP: u32 = 10;
    /// Swaps frames; refused on ARM.
    pub const EXCHANGE: u32 = 11;
    /// Not on ARM.
    pub const MACHPHYS_MAPPING: u32 = 12;
    /// Not on ARM.
    pub const SET_MEMORY_MAP: u32 = 13;
    /// [`super::MemoryDomain`]: the highest mapped frame.
    pub const MAXIMUM_GPFN: u32 = 14;
    /// [`super::RemoveFromPhysmap`].
    pub const REMOVE_FROM_PHYSMAP: u32 = 15;
    /// [`super::PodTarget`].
    pub const SET_POD_TARGET: u32 = 16;
    /// [`super::PodTarget`].
    pub const GET_POD_TARGET: u32 = 17;
    /// Pages that sharing freed.
    pub const GET_SHARING_FREED_PAGES: u32 = 18;
    /// Pages that are shared.
    pub const GET_SHARING_SHARED_PAGES: u32 = 19;
    /// Not on ARM.
    pub const PAGING_OP: u32 = 20;
    /// vm_event.
    pub const ACCESS_OP: u32 = 21;
    /// Not on ARM.
    pub const SHARING_OP: u32 = 22;
    /// [`super::AddToPhysmapBatch`].
    pub const ADD_TO_PHYSMAP_BATCH: u32 = 23;
    /// [`super::MemoryReservation`]: sets memory aside for a domain.
    pub const CLAIM_PAGES: u32 = 24;
    /// Not on ARM.
    pub const MACHPHYS_COMPAT_MFN_LIST: u32 = 25;
    /// vNUMA.
    pub const GET_VNUMAINFO: u32 = 26;
    /// [`super::ReservedDeviceMemoryMap`]: device memory ranges.
    pub const RESERVED_DEVICE_MEMORY_MAP: u32 = 27;
    /// [`super::AcquireResource`].
    pub const ACQUIRE_RESOURCE: u32 = 28;

    /// How far above the operation a continued call keeps its progress.
    pub const EXTENT_SHIFT: u32 = 6;
    /// The operation's bits.
    pub const MASK: u32 = (1 << EXTENT_SHIFT) - 1;
}

abi! {
    /// A list of extents (`xen_memory_reservation`).
    pub struct MemoryReservation {
        /// A gfn for each extent.
        pub extent_start: GuestHandle<Gfn>,
        /// How many.
        pub nr_extents: u64,
        /// log2 of an extent's frames.
        pub extent_order: u32,
        /// Bits of [`memf`].
        pub mem_flags: u32,
        /// Whose memory.
        pub domid: Domid,
        /// Unused.
        pub pad: [u16; 3],
    }

    /// Names a domain (`xen_memory_domain`).
    pub struct MemoryDomain {
        /// Which.
        pub domid: Domid,
    }

    /// Maps something at a frame (`xen_add_to_physmap`).
    pub struct AddToPhysmap {
        /// Whose address space.
        pub domid: Domid,
        /// Frames, with [`mapspace::GMFN_RANGE`].
        pub size: u16,
        /// One of [`mapspace`].
        pub space: u32,
        /// Which thing of that space.
        pub idx: u64,
        /// Where.
        pub gpfn: Gfn,
    }

    /// Maps several things (`xen_add_to_physmap_batch`).
    pub struct AddToPhysmapBatch {
        /// Whose address space.
        pub domid: Domid,
        /// One of [`mapspace`].
        pub space: u16,
        /// How many.
        pub size: u16,
        /// A union: the foreign domain, or zero.
        pub foreign_domid: Domid,
        /// Which things.
        pub idxs: GuestHandle<u64>,
        /// Where.
        pub gpfns: GuestHandle<Gfn>,
        /// Out: 0 or a negative errno for each.
        pub errs: GuestHandle<i32>,
    }

    /// Unmaps a frame (`xen_remove_from_physmap`).
    pub struct RemoveFromPhysmap {
        /// Whose address space.
        pub domid: Domid,
        /// Unused.
        pub pad: [u16; 3],
        /// Which frame.
        pub gpfn: Gfn,
    }

    /// Populate-on-demand figures (`xen_pod_target`).
    pub struct PodTarget {
        /// In: wanted.
        pub target_pages: u64,
        /// Out: pages the domain has.
        pub tot_pages: u64,
        /// Out.
        pub pod_cache_pages: u64,
        /// Out.
        pub pod_entries: u64,
        /// In: whose.
        pub domid: Domid,
        /// Unused.
        pub pad: [u16; 3],
    }

    /// Lists memory that is kept for devices (`xen_reserved_device_memory_map`).
    pub struct ReservedDeviceMemoryMap {
        /// [`RDM_ALL`].
        pub flags: u32,
        /// In: room. Out: entries.
        pub nr_entries: u32,
        /// Where the entries go.
        pub buffer: GuestHandle<u64>,
        /// A union: the device's PCI address.
        pub dev: u32,
        /// Unused.
        pub pad: u32,
    }

    /// Maps a domain's resource into the caller (`xen_mem_acquire_resource`).
    pub struct AcquireResource {
        /// Whose.
        pub domid: Domid,
        /// One of [`resource`].
        pub kind: u16,
        /// Which of that type.
        pub id: u32,
        /// In: frames wanted. Out, with a null list: frames there are.
        pub nr_frames: u32,
        /// Must be 0.
        pub pad: u32,
        /// First frame.
        pub frame: u64,
        /// Where to map each.
        pub frame_list: GuestHandle<Gfn>,
    }
}

/// In [`ReservedDeviceMemoryMap::flags`]: for all devices (`XENMEM_RDM_ALL`).
pub const RDM_ALL: u32 = 1;

/// Bits of [`MemoryReservation::mem_flags`].
pub mod memf {
    /// The address width's bits.
    pub const ADDRESS_BITS_MASK: u32 = 0xff;
    /// Where the NUMA node, plus one, begins.
    pub const NODE_SHIFT: u32 = 8;
    /// Populate on demand.
    pub const POPULATE_ON_DEMAND: u32 = 1 << 16;
    /// From that node only.
    pub const EXACT_NODE_REQUEST: u32 = 1 << 17;
    /// The node is a virtual one.
    pub const VNODE: u32 = 1 << 18;
}

/// What `add_to_physmap` can map.
pub mod mapspace {
    /// The shared info page.
    pub const SHARED_INFO: u32 = 0;
    /// A frame of the grant table.
    pub const GRANT_TABLE: u32 = 1;
    /// A frame of the same domain; not on ARM.
    pub const GMFN: u32 = 2;
    /// A range of such; not on ARM.
    pub const GMFN_RANGE: u32 = 3;
    /// A frame of another domain; batch only.
    pub const GMFN_FOREIGN: u32 = 4;
    /// A frame of device memory; batch only.
    pub const DEV_MMIO: u32 = 5;
    /// In the index of [`GRANT_TABLE`]: a status frame of version 2.
    pub const GRANT_TABLE_STATUS: u64 = 0x8000_0000;
}

/// Kinds of resource.
pub mod resource {
    /// Pages of an ioreq server.
    pub const IOREQ_SERVER: u16 = 0;
    /// Frames of the grant table.
    pub const GRANT_TABLE: u16 = 1;
    /// Trace buffer.
    pub const VMTRACE_BUF: u16 = 2;
    /// Id under [`GRANT_TABLE`]: the table.
    pub const GRANT_TABLE_ID_SHARED: u32 = 0;
    /// Id under [`GRANT_TABLE`]: the status frames.
    pub const GRANT_TABLE_ID_STATUS: u32 = 1;
}
