//! Exceptions that the hypervisor raises in a guest.
//!
//! What the core would have done in the state that the guest's EL1 is in: link register, saved state,
//! syndrome and address, and the vector as the guest has set it up (Arm ARM D1.10 and G1.12). Aborts are
//! reported as synchronous external ones.

use xen_abi::arch::{aarch32 as index, psr};

use super::{Regs, context::HCR_RW, sysregs::*};
use crate::context::HCR_VSE;

/// ESR: EC of the exceptions raised, and that the instruction is 4 bytes long.
const EC_UNKNOWN: u64 = 0x00;
const EC_FETCH_LOWER: u64 = 0x20;
const EC_FETCH_SAME: u64 = 0x21;
const EC_DATA_LOWER: u64 = 0x24;
const EC_DATA_SAME: u64 = 0x25;
const ESR_IL: u64 = 1 << 25;
/// DFSC, IFSC of a synchronous external abort.
const EXTERNAL: u64 = 0x10;

/// Offsets of the vectors for synchronous exceptions: by the stack pointer in use, or the state.
const VECTOR_SP0: u64 = 0x000;
const VECTOR_SPX: u64 = 0x200;
const VECTOR_LOWER64: u64 = 0x400;
const VECTOR_LOWER32: u64 = 0x600;

const MODE: u64 = 0x1f;

/// Undefined instruction: the one at the program counter.
pub fn undefined(regs: &mut Regs) {
    if is_aarch32() {
        return aarch32::undefined(regs);
    }
    synchronous(regs, EC_UNKNOWN << 26 | ESR_IL);
}

/// Abort of the access at the program counter to `va`, or of the fetch from there.
pub fn abort(regs: &mut Regs, va: u64, instruction: bool) {
    if is_aarch32() {
        return aarch32::abort(regs, va as u32, instruction);
    }
    let same = matches!(regs.pstate & MODE, EL1T | EL1H);
    let class = match (instruction, same) {
        (true, true) => EC_FETCH_SAME,
        (true, false) => EC_FETCH_LOWER,
        (false, true) => EC_DATA_SAME,
        (false, false) => EC_DATA_LOWER,
    };
    FAR_EL1::write(va);
    synchronous(regs, class << 26 | ESR_IL | EXTERNAL);
}

/// An asynchronous abort, taken when the guest unmasks them.
pub fn serror() {
    HCR_EL2::write(HCR_EL2::read() | HCR_VSE);
}

/// Whether the loaded guest's EL1 is in AArch32 state.
fn is_aarch32() -> bool {
    HCR_EL2::read() & HCR_RW == 0
}

const EL1T: u64 = psr::MODE_EL1T as u64;
const EL1H: u64 = psr::MODE_EL1H as u64;

fn synchronous(regs: &mut Regs, syndrome: u64) {
    let vector = match regs.pstate & MODE {
        EL1T => VECTOR_SP0,
        EL1H => VECTOR_SPX,
        mode if mode & u64::from(psr::MODE_BIT) != 0 => VECTOR_LOWER32,
        _ => VECTOR_LOWER64,
    };
    ESR_EL1::write(syndrome);
    ELR_EL1::write(regs.pc);
    SPSR_EL1::write(regs.pstate);
    let masks = psr::DBG_MASK | psr::ABT_MASK | psr::IRQ_MASK | psr::FIQ_MASK;
    regs.pstate = u64::from(masks | psr::MODE_EL1H);
    regs.pc = VBAR_EL1::read().wrapping_add(vector);
}

/// The same for a guest whose EL1 is in AArch32 state.
mod aarch32 {
    use super::*;

    const SCTLR_V: u64 = 1 << 13;
    const SCTLR_EE: u64 = 1 << 25;
    const SCTLR_TE: u64 = 1 << 30;
    const TTBCR_EAE: u64 = 1 << 31;
    const HIGH_VECTORS: u64 = 0xffff_0000;

    const VECTOR_UNDEFINED: u64 = 0x04;
    const VECTOR_PREFETCH: u64 = 0x0c;
    const VECTOR_DATA: u64 = 0x10;

    /// Synchronous external abort: short format; long format with its LPAE bit.
    const EXTERNAL_SHORT: u64 = 0x008;
    const EXTERNAL_LONG: u64 = 0x210;
    const LOW: u64 = 0xffff_ffff;

    pub fn undefined(regs: &mut Regs) {
        let size = if regs.pstate & u64::from(psr::THUMB) != 0 { 2 } else { 4 };
        regs.x[index::LR_UND] = regs.pc.wrapping_add(size) & LOW;
        SPSR_UND::write(regs.pstate);
        enter(regs, psr::MODE_UND, 0, VECTOR_UNDEFINED);
    }

    pub fn abort(regs: &mut Regs, va: u32, instruction: bool) {
        let status = if TCR_EL1::read() & TTBCR_EAE != 0 { EXTERNAL_LONG } else { EXTERNAL_SHORT };
        let address = FAR_EL1::read();
        let (return_offset, vector) = if instruction {
            IFSR32_EL2::write(status);
            FAR_EL1::write(address & LOW | u64::from(va) << 32);
            (4, VECTOR_PREFETCH)
        } else {
            ESR_EL1::write(status);
            FAR_EL1::write(address & !LOW | u64::from(va));
            (8, VECTOR_DATA)
        };
        regs.x[index::LR_ABT] = regs.pc.wrapping_add(return_offset) & LOW;
        SPSR_ABT::write(regs.pstate);
        enter(regs, psr::MODE_ABT, psr::ABT_MASK, vector);
    }

    fn enter(regs: &mut Regs, mode: u32, mask: u32, vector: u64) {
        let sctlr = SCTLR_EL1::read();
        let base = if sctlr & SCTLR_V != 0 { HIGH_VECTORS } else { VBAR_EL1::read() & LOW };
        let changed = psr::THUMB | psr::BIG_ENDIAN | psr::IT_MASK | psr::JAZELLE;
        let kept = regs.pstate & !(MODE | u64::from(changed));
        let thumb = if sctlr & SCTLR_TE != 0 { psr::THUMB } else { 0 };
        let big_endian = if sctlr & SCTLR_EE != 0 { psr::BIG_ENDIAN } else { 0 };
        regs.pstate = kept | u64::from(mode | psr::IRQ_MASK | mask | thumb | big_endian);
        regs.pc = base.wrapping_add(vector) & LOW;
    }
}
