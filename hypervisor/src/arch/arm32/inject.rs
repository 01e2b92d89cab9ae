//! Exceptions that the hypervisor raises in a guest.
//!
//! What the core would have done: link register and SPSR of the mode, fault status and address,
//! and the vector as the guest has set it up (Arm ARM B1.9). Aborts are reported as synchronous
//! external ones, in the format that the guest's translation regime has.

use hv_core::regs::GuestRegs;
use xen_abi::arch::psr;

use super::{Regs, sysregs::*};
use crate::context::HCR_VSE;

const SCTLR_V: u32 = 1 << 13;
const SCTLR_EE: u32 = 1 << 25;
const SCTLR_TE: u32 = 1 << 30;
const TTBCR_EAE: u32 = 1 << 31;
const HIGH_VECTORS: u32 = 0xffff_0000;

const VECTOR_UNDEFINED: u32 = 0x04;
const VECTOR_PREFETCH: u32 = 0x0c;
const VECTOR_DATA: u32 = 0x10;

/// Synchronous external abort: short format; long format with its LPAE bit.
const EXTERNAL_SHORT: u32 = 0x008;
const EXTERNAL_LONG: u32 = 0x210;

const CPSR_MODE: u32 = 0x1f;
const CPSR_T: u32 = 1 << 5;
const CPSR_I: u32 = 1 << 7;
const CPSR_A: u32 = 1 << 8;
const CPSR_E: u32 = 1 << 9;
const CPSR_IT: u32 = 0x0600_fc00;
const CPSR_J: u32 = 1 << 24;

/// Undefined instruction: the one at the program counter.
pub fn undefined(regs: &mut Regs) {
    let size = if regs.cpsr & CPSR_T != 0 { 2 } else { 4 };
    LR_UND::write(regs.pc.wrapping_add(size));
    SPSR_UND::write(regs.cpsr);
    enter(regs, psr::MODE_UND, 0, VECTOR_UNDEFINED);
}

/// Abort of the access at the program counter to `va`, or of the fetch from there.
pub fn abort(regs: &mut Regs, va: u64, instruction: bool) {
    let va = va as u32;
    let status = if TCR_EL1::read() & TTBCR_EAE != 0 { EXTERNAL_LONG } else { EXTERNAL_SHORT };
    let (return_offset, vector) = if instruction {
        IFSR32_EL2::write(status);
        IFAR::write(va);
        (4, VECTOR_PREFETCH)
    } else {
        DFSR::write(status);
        DFAR::write(va);
        (8, VECTOR_DATA)
    };
    LR_ABT::write(regs.pc.wrapping_add(return_offset));
    SPSR_ABT::write(regs.cpsr);
    enter(regs, psr::MODE_ABT, CPSR_A, vector);
}

/// An asynchronous abort, taken when the guest unmasks them.
pub fn serror() {
    HCR_EL2::write(HCR_EL2::read() | HCR_VSE);
}

fn enter(regs: &mut Regs, mode: u32, mask: u32, vector: u32) {
    let sctlr = SCTLR_EL1::read();
    let base = if sctlr & SCTLR_V != 0 { HIGH_VECTORS } else { VBAR_EL1::read() };
    let kept = regs.cpsr & !(CPSR_MODE | CPSR_T | CPSR_E | CPSR_IT | CPSR_J);
    let thumb = if sctlr & SCTLR_TE != 0 { CPSR_T } else { 0 };
    let big_endian = if sctlr & SCTLR_EE != 0 { CPSR_E } else { 0 };
    regs.cpsr = kept | mode | CPSR_I | mask | thumb | big_endian;
    regs.set_pc(u64::from(base.wrapping_add(vector)));
}
