//! What is ARM's own (`arch-arm.h`): a vCPU's registers, a domain's configuration, and (in
//! [`layout`]) the guest-physical address space of the virtual board.

pub mod layout;
pub mod psr;

abi! {
    /// The registers of a vCPU (`vcpu_guest_core_regs`), by their AArch64 names. An AArch32 vCPU keeps its
    /// registers in the low half of these as the architecture maps them; see [`aarch32`].
    pub struct CoreRegs {
        /// x0 to x30; for AArch32 indexed by [`aarch32`].
        pub x: [u64; 31],
        /// Program counter.
        pub pc: u64,
        /// CPSR; for AArch64 the SPSR that returns to the guest.
        pub cpsr: u64,
        /// SPSR of EL1; of SVC mode.
        pub spsr_el1: u64,
        /// SPSR of FIQ mode.
        pub spsr_fiq: u32,
        /// SPSR of IRQ mode.
        pub spsr_irq: u32,
        /// SPSR of Undefined mode.
        pub spsr_und: u32,
        /// SPSR of Abort mode.
        pub spsr_abt: u32,
        /// AArch64 only.
        pub sp_el0: u64,
        /// AArch64 only.
        pub sp_el1: u64,
        /// AArch64 only.
        pub elr_el1: u64,
    }

    /// What a vCPU starts from (`vcpu_guest_context`).
    pub struct VcpuGuestContext {
        /// [`VGCF_ONLINE`].
        pub flags: u32,
        /// Unused.
        pub pad: u32,
        /// The registers.
        pub user_regs: CoreRegs,
        /// SCTLR of EL1.
        pub sctlr: u64,
        /// TCR of EL1; TTBCR.
        pub ttbcr: u64,
        /// TTBR0 of EL1.
        pub ttbr0: u64,
        /// TTBR1 of EL1.
        pub ttbr1: u64,
    }

    /// What a new domain's hardware looks like (`xen_arch_domainconfig`).
    pub struct ArchDomainconfig {
        /// In and out: one of [`gic`].
        pub gic_version: u8,
        /// Unused.
        pub pad: u8,
        /// One of [`tee`].
        pub tee_type: u16,
        /// Shared interrupts wanted.
        pub nr_spis: u32,
        /// Out: the timer's frequency for the device tree, or 0 when the register tells it.
        pub clock_frequency: u32,
    }
}

/// In [`VcpuGuestContext::flags`]: the vCPU runs.
pub const VGCF_ONLINE: u32 = 1;

/// SCTLR of a vCPU that starts: MMU and caches off.
pub const SCTLR_GUEST_INIT: u64 = 0x00c5_0078;

/// Which of [`CoreRegs::x`] holds an AArch32 register; r0 to r12 are 0 to 12.
pub mod aarch32 {
    /// sp of User mode.
    pub const SP_USR: usize = 13;
    /// lr of User mode.
    pub const LR_USR: usize = 14;
    /// lr of IRQ mode.
    pub const LR_IRQ: usize = 16;
    /// sp of IRQ mode.
    pub const SP_IRQ: usize = 17;
    /// lr of Supervisor mode.
    pub const LR_SVC: usize = 18;
    /// sp of Supervisor mode.
    pub const SP_SVC: usize = 19;
    /// lr of Abort mode.
    pub const LR_ABT: usize = 20;
    /// sp of Abort mode.
    pub const SP_ABT: usize = 21;
    /// lr of Undefined mode.
    pub const LR_UND: usize = 22;
    /// sp of Undefined mode.
    pub const SP_UND: usize = 23;
    /// r8 of FIQ mode; r9 to r12 follow.
    pub const R8_FIQ: usize = 24;
    /// sp of FIQ mode.
    pub const SP_FIQ: usize = 29;
    /// lr of FIQ mode.
    pub const LR_FIQ: usize = 30;
}

impl CoreRegs {
    /// SPSR of Supervisor mode, for an AArch32 vCPU.
    pub const fn spsr_svc(&self) -> u32 {
        self.spsr_el1 as u32
    }
}

/// Versions of the interrupt controller.
pub mod gic {
    /// The host's.
    pub const NATIVE: u8 = 0;
    /// GICv2.
    pub const V2: u8 = 1;
    /// GICv3.
    pub const V3: u8 = 2;
}

/// Trusted execution environments.
pub mod tee {
    /// None.
    pub const NONE: u16 = 0;
    /// OP-TEE.
    pub const OPTEE: u16 = 1;
}
