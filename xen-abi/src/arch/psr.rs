//! Program status registers (`arch-arm.h`, Arm ARM "SPSR_EL2").

/// Thumb state.
pub const THUMB: u32 = 1 << 5;
/// FIQ masked.
pub const FIQ_MASK: u32 = 1 << 6;
/// IRQ masked.
pub const IRQ_MASK: u32 = 1 << 7;
/// Asynchronous aborts masked.
pub const ABT_MASK: u32 = 1 << 8;
/// AArch32: big-endian data.
pub const BIG_ENDIAN: u32 = 1 << 9;
/// AArch64: debug exceptions masked.
pub const DBG_MASK: u32 = 1 << 9;
/// AArch32: If-Then state.
pub const IT_MASK: u32 = 0x0600_fc00;
/// AArch32: Jazelle state.
pub const JAZELLE: u32 = 1 << 24;
/// Zero flag.
pub const Z: u32 = 1 << 30;

/// AArch32 User.
pub const MODE_USR: u32 = 0x10;
/// AArch32 FIQ.
pub const MODE_FIQ: u32 = 0x11;
/// AArch32 IRQ.
pub const MODE_IRQ: u32 = 0x12;
/// AArch32 Supervisor.
pub const MODE_SVC: u32 = 0x13;
/// AArch32 Monitor.
pub const MODE_MON: u32 = 0x16;
/// AArch32 Abort.
pub const MODE_ABT: u32 = 0x17;
/// AArch32 Hyp.
pub const MODE_HYP: u32 = 0x1a;
/// AArch32 Undefined.
pub const MODE_UND: u32 = 0x1b;
/// AArch32 System.
pub const MODE_SYS: u32 = 0x1f;
/// Set in every AArch32 mode.
pub const MODE_BIT: u32 = 0x10;

/// AArch64 EL3 with its own stack.
pub const MODE_EL3H: u32 = 0x0d;
/// AArch64 EL3 with EL0's stack.
pub const MODE_EL3T: u32 = 0x0c;
/// AArch64 EL2 with its own stack.
pub const MODE_EL2H: u32 = 0x09;
/// AArch64 EL2 with EL0's stack.
pub const MODE_EL2T: u32 = 0x08;
/// AArch64 EL1 with its own stack.
pub const MODE_EL1H: u32 = 0x05;
/// AArch64 EL1 with EL0's stack.
pub const MODE_EL1T: u32 = 0x04;
/// AArch64 EL0.
pub const MODE_EL0T: u32 = 0x00;

/// What an AArch32 vCPU starts with.
pub const GUEST32_INIT: u32 = Z | ABT_MASK | FIQ_MASK | IRQ_MASK | MODE_SVC;
/// What an AArch64 vCPU starts with.
pub const GUEST64_INIT: u32 = ABT_MASK | FIQ_MASK | IRQ_MASK | MODE_EL1H;
