//! Calls by `HVC #0` or `SMC`: PSCI (Arm DEN0022), the SMC Calling Convention (Arm DEN0028), and the
//! services a hypervisor answers itself (`arch-arm/smccc.h`).

/// PSCI 0.1: numbers that the device tree names.
pub mod v0_1 {
    /// CPU_SUSPEND.
    pub const CPU_SUSPEND: u32 = 0;
    /// CPU_OFF.
    pub const CPU_OFF: u32 = 1;
    /// CPU_ON.
    pub const CPU_ON: u32 = 2;
    /// MIGRATE.
    pub const MIGRATE: u32 = 3;
}

/// Function ids of PSCI 0.2 and later, in the 32-bit form.
pub mod id {
    /// PSCI_VERSION.
    pub const VERSION: u32 = 0x8400_0000;
    /// CPU_SUSPEND.
    pub const CPU_SUSPEND: u32 = 0x8400_0001;
    /// CPU_OFF.
    pub const CPU_OFF: u32 = 0x8400_0002;
    /// CPU_ON.
    pub const CPU_ON: u32 = 0x8400_0003;
    /// AFFINITY_INFO.
    pub const AFFINITY_INFO: u32 = 0x8400_0004;
    /// MIGRATE.
    pub const MIGRATE: u32 = 0x8400_0005;
    /// MIGRATE_INFO_TYPE.
    pub const MIGRATE_INFO_TYPE: u32 = 0x8400_0006;
    /// MIGRATE_INFO_UP_CPU.
    pub const MIGRATE_INFO_UP_CPU: u32 = 0x8400_0007;
    /// SYSTEM_OFF.
    pub const SYSTEM_OFF: u32 = 0x8400_0008;
    /// SYSTEM_RESET.
    pub const SYSTEM_RESET: u32 = 0x8400_0009;
    /// PSCI_FEATURES.
    pub const FEATURES: u32 = 0x8400_000A;
    /// SYSTEM_SUSPEND.
    pub const SYSTEM_SUSPEND: u32 = 0x8400_000E;

    /// Set in the 64-bit form of an id.
    pub const SMC64: u32 = 0x4000_0000;
}

/// Results, to be sign-extended into the register.
pub mod ret {
    /// Done.
    pub const SUCCESS: i32 = 0;
    /// No such function.
    pub const NOT_SUPPORTED: i32 = -1;
    /// A parameter is wrong.
    pub const INVALID_PARAMETERS: i32 = -2;
    /// Refused.
    pub const DENIED: i32 = -3;
    /// The CPU is on.
    pub const ALREADY_ON: i32 = -4;
    /// The CPU is being started.
    pub const ON_PENDING: i32 = -5;
    /// It went wrong.
    pub const INTERNAL_FAILURE: i32 = -6;
    /// No such thing present.
    pub const NOT_PRESENT: i32 = -7;
    /// Disabled.
    pub const DISABLED: i32 = -8;
    /// The entry address is wrong.
    pub const INVALID_ADDRESS: i32 = -9;
}

/// PSCI version 1.1, as [`id::VERSION`] returns it.
pub const VERSION_1_1: u32 = 0x0001_0001;
/// What [`id::MIGRATE_INFO_TYPE`] returns where nothing needs migrating.
pub const MIGRATE_NOT_NEEDED: u32 = 2;

/// [`id::AFFINITY_INFO`]: a CPU there is on.
pub const AFFINITY_ON: u32 = 0;
/// [`id::AFFINITY_INFO`]: all are off.
pub const AFFINITY_OFF: u32 = 1;

/// The SMC Calling Convention's own functions.
pub mod smccc {
    /// SMCCC_VERSION.
    pub const VERSION: u32 = 0x8000_0000;
    /// SMCCC_ARCH_FEATURES.
    pub const ARCH_FEATURES: u32 = 0x8000_0001;
    /// SMCCC_ARCH_WORKAROUND_1.
    pub const ARCH_WORKAROUND_1: u32 = 0x8000_8000;
    /// SMCCC_ARCH_WORKAROUND_2.
    pub const ARCH_WORKAROUND_2: u32 = 0x8000_7FFF;
    /// SMCCC_ARCH_WORKAROUND_3.
    pub const ARCH_WORKAROUND_3: u32 = 0x8000_3FFF;

    /// Version 1.1.
    pub const VERSION_1_1: u32 = 0x0001_0001;
    /// Answer to an unknown function: all ones.
    pub const NOT_SUPPORTED: i32 = -1;
    /// ARCH_FEATURES of a workaround that this processor does not need.
    pub const NOT_REQUIRED: i32 = 1;

    /// In an id: a fast call.
    pub const FAST: u32 = 1 << 31;
    /// Where an id holds its owner.
    pub const OWNER_SHIFT: u32 = 24;
    /// The owner's bits, once shifted.
    pub const OWNER_MASK: u32 = 0x3f;
    /// Owner: the architecture.
    pub const OWNER_ARCH: u32 = 0;
    /// Owner: the silicon provider.
    pub const OWNER_SIP: u32 = 2;
    /// Owner: standard services.
    pub const OWNER_STANDARD: u32 = 4;
    /// Owner: standard hypervisor services, where Xen's own is; Arm has another owner, 6, for those of vendors.
    pub const OWNER_HYPERVISOR: u32 = 5;
    /// First owner of trusted applications and operating systems.
    pub const OWNER_TRUSTED_APP: u32 = 48;
    /// Last owner of trusted applications and operating systems.
    pub const OWNER_TRUSTED_OS_END: u32 = 63;

    /// Function number within an owner: how many functions it has.
    pub const FUNC_CALL_COUNT: u32 = 0xFF00;
    /// Function number within an owner: its UUID.
    pub const FUNC_CALL_UID: u32 = 0xFF01;
    /// Function number within an owner: its revision.
    pub const FUNC_CALL_REVISION: u32 = 0xFF03;

    /// The hypervisor service's UUID, in the order of its bytes.
    pub const XEN_UID: [u8; 16] =
        [0xa7, 0x18, 0x12, 0xdc, 0xc6, 0x98, 0x43, 0x69, 0x9a, 0xcf, 0x79, 0xd1, 0x8d, 0xde, 0xe6, 0x67];
    /// The standard service's UUID.
    pub const SSSC_UID: [u8; 16] =
        [0xf8, 0x63, 0x38, 0x6f, 0x4b, 0x39, 0x4c, 0xbd, 0x92, 0x20, 0xce, 0x16, 0x41, 0xe5, 0x9f, 0x6f];
    /// Revision of the hypervisor service: major.
    pub const XEN_MAJOR: u32 = 0;
    /// Revision of the hypervisor service: minor.
    pub const XEN_MINOR: u32 = 1;
    /// Revision of the standard service: major.
    pub const SSSC_MAJOR: u32 = 0;
    /// Revision of the standard service: minor.
    pub const SSSC_MINOR: u32 = 1;
}
