//! xen_version (`version.h`).

/// Commands.
pub mod op {
    /// Returns major << 16 | minor.
    pub const VERSION: u32 = 0;
    /// [`super::EXTRAVERSION_LEN`] bytes.
    pub const EXTRAVERSION: u32 = 1;
    /// [`super::CompileInfo`].
    pub const COMPILE_INFO: u32 = 2;
    /// [`super::CAPABILITIES_LEN`] bytes.
    pub const CAPABILITIES: u32 = 3;
    /// [`super::CHANGESET_LEN`] bytes.
    pub const CHANGESET: u32 = 4;
    /// [`super::PlatformParameters`].
    pub const PLATFORM_PARAMETERS: u32 = 5;
    /// [`super::FeatureInfo`].
    pub const GET_FEATURES: u32 = 6;
    /// Returns the page size.
    pub const PAGESIZE: u32 = 7;
    /// [`crate::types::DomainHandle`].
    pub const GUEST_HANDLE: u32 = 8;
    /// [`super::COMMANDLINE_LEN`] bytes.
    pub const COMMANDLINE: u32 = 9;
    /// [`super::BuildId`] and the bytes.
    pub const BUILD_ID: u32 = 10;
}

/// Bytes of the extra version, NUL terminated.
pub const EXTRAVERSION_LEN: usize = 16;
/// Bytes of the capabilities, NUL terminated.
pub const CAPABILITIES_LEN: usize = 1024;
/// Bytes of the changeset, NUL terminated.
pub const CHANGESET_LEN: usize = 64;
/// Bytes of the command line, NUL terminated.
pub const COMMANDLINE_LEN: usize = 1024;

abi! {
    /// Who built it (`xen_compile_info`); NUL terminated strings.
    pub struct CompileInfo {
        /// Compiler.
        pub compiler: [u8; 64],
        /// User.
        pub compile_by: [u8; 16],
        /// Domain.
        pub compile_domain: [u8; 32],
        /// Date.
        pub compile_date: [u8; 32],
    }

    /// Where the hypervisor lies (`xen_platform_parameters`).
    pub struct PlatformParameters {
        /// Its first virtual address.
        pub virt_start: u64,
    }

    /// A word of feature bits (`xen_feature_info`).
    pub struct FeatureInfo {
        /// In: which word; there is only 0.
        pub submap_idx: u32,
        /// Out: bits of [`crate::features`].
        pub submap: u32,
    }

    /// The head of the build id (`xen_build_id`); the bytes follow.
    pub struct BuildId {
        /// In: room for the bytes. Out: how many.
        pub len: u32,
    }
}
