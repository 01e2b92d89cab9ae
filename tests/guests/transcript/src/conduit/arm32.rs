//! The instructions of 32-bit ARM.

use core::arch::{asm, global_asm};

use super::{Conduit, Outcome};

// What is undefined leaves in r4 where it would return to, and returns to where r5 says.
global_asm!(
    ".arm",
    ".balign 32",
    "transcript_vectors:",
    "b .",
    "b 1f",
    ".rept 6",
    "b .",
    ".endr",
    "1: mov r4, lr",
    "mov lr, r5",
    "movs pc, lr",
);

unsafe extern "C" {
    static transcript_vectors: [u32; 8];
}

pub fn vectors() -> usize {
    (&raw const transcript_vectors).addr()
}

pub fn mask() -> usize {
    let cpsr: usize;
    // SAFETY: masks interrupts.
    unsafe { asm!("mrs {}, cpsr", "cpsid i", out(reg) cpsr) };
    cpsr
}

pub fn restore(cpsr: usize) {
    // SAFETY: as they were.
    unsafe { asm!("msr cpsr_c, {}", in(reg) cpsr) };
}

pub fn swap_vectors(vectors: usize) -> usize {
    let old;
    // SAFETY: ours, or what was there.
    unsafe {
        asm!("mrc p15, 0, {old}, c12, c0, 0", "mcr p15, 0, {new}, c12, c0, 0", "isb", old = out(reg) old, new = in(reg) vectors);
    }
    old
}

/// The only vector that does not hang: that of undefined instructions.
const VECTOR: usize = 4;

macro_rules! call {
    ($text:literal, $registers:ident, $hypercall:ident) => {{
        let [mut r0, mut r1, mut r2, mut r3] = $registers;
        let (back, behind): (usize, usize);
        // SAFETY: see the module's head; the vectors are those above.
        unsafe {
            asm!(
                ".arch_extension virt",
                ".arch_extension sec",
                "mov r4, #0",
                "adr r5, 2f",
                $text,
                "2:",
                inout("r0") r0, inout("r1") r1, inout("r2") r2, inout("r3") r3,
                out("r4") back, out("r5") behind, inout("r12") $hypercall => _,
            );
        }
        match back {
            0 => Outcome::Answered([r0, r1, r2, r3]),
            _ => Outcome::Undefined { vector: VECTOR, back: back.wrapping_sub(behind - 4), syndrome: 0 },
        }
    }};
}

/// Executes the instruction.
pub fn call(conduit: Conduit, registers: [usize; 4], hypercall: usize) -> Outcome {
    match conduit {
        Conduit::Hvc => call!("hvc #0", registers, hypercall),
        Conduit::Smc => call!("smc #0", registers, hypercall),
        Conduit::Hvc1 => call!("hvc #1", registers, hypercall),
        Conduit::HvcEa0 => call!("hvc #0xea0", registers, hypercall),
        Conduit::HvcEa1 => call!("hvc #0xea1", registers, hypercall),
        Conduit::HvcEa2 => call!("hvc #0xea2", registers, hypercall),
        Conduit::HvcFfff => call!("hvc #0xffff", registers, hypercall),
        Conduit::Smc1 => call!("smc #1", registers, hypercall),
        Conduit::SmcF => call!("smc #0xf", registers, hypercall),
    }
}
