//! Feature bits of [`crate::version::op::GET_FEATURES`] (`features.h`): bit numbers.

/// The guest may write its page tables.
pub const WRITABLE_PAGE_TABLES: u32 = 0;
/// The guest's frames are translated.
pub const AUTO_TRANSLATED_PHYSMAP: u32 = 2;
/// Grants can be mapped with bits of the guest's.
pub const GNTTAB_MAP_AVAIL_BITS: u32 = 7;
/// x86: the callback can be a vector.
pub const HVM_CALLBACK_VECTOR: u32 = 8;
/// x86: the paravirtual clock is safe.
pub const HVM_SAFE_PVCLOCK: u32 = 9;
/// x86: pirqs in such guests.
pub const HVM_PIRQS: u32 = 10;
/// The caller is the hardware domain.
pub const DOM0: u32 = 11;
/// memory_op takes virtual nodes.
pub const MEMORY_OP_VNODE_SUPPORTED: u32 = 13;
/// Calls by the SMC Calling Convention work.
pub const ARM_SMCCC_SUPPORTED: u32 = 14;
/// Guest frames are not machine frames.
pub const NOT_DIRECT_MAPPED: u32 = 16;
/// Guest frames are machine frames.
pub const DIRECT_MAPPED: u32 = 17;
/// Words of bits.
pub const NR_SUBMAPS: u32 = 1;
