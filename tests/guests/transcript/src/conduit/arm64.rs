//! The instructions of 64-bit ARM.

use core::arch::{asm, global_asm};

use super::{Conduit, Outcome};

// What is undefined leaves in x21 where it would return to, in x22 by which vector it came, and returns to where x20
// says.
global_asm!(
    ".balign 0x800",
    "transcript_vectors:",
    "mov x22, #0",
    "1: mrs x21, elr_el1",
    "msr elr_el1, x20",
    "eret",
    ".balign 0x200",
    "mov x22, #0x200",
    "b 1b",
    ".balign 0x800",
);

unsafe extern "C" {
    static transcript_vectors: [u32; 512];
}

pub fn vectors() -> usize {
    (&raw const transcript_vectors).addr()
}

pub fn mask() -> usize {
    let daif: usize;
    // SAFETY: masks interrupts.
    unsafe { asm!("mrs {}, daif", "msr daifset, #2", out(reg) daif) };
    daif
}

pub fn restore(daif: usize) {
    // SAFETY: as they were.
    unsafe { asm!("msr daif, {}", in(reg) daif) };
}

pub fn swap_vectors(vectors: usize) -> usize {
    let old;
    // SAFETY: ours, or what was there.
    unsafe { asm!("mrs {}, vbar_el1", "msr vbar_el1, {}", "isb", out(reg) old, in(reg) vectors) };
    old
}

fn syndrome() -> usize {
    let esr;
    // SAFETY: only reads it.
    unsafe { asm!("mrs {}, esr_el1", out(reg) esr, options(nomem, nostack)) };
    esr
}

macro_rules! call {
    ($text:literal, $registers:ident, $hypercall:ident) => {{
        let [mut x0, mut x1, mut x2, mut x3] = $registers;
        let (back, behind, vector): (usize, usize, usize);
        // SAFETY: see the module's head; the vectors are those above. The convention lets x4 to x17 come back as
        // anything.
        unsafe {
            asm!(
                "adr x20, 2f",
                "mov x21, xzr",
                $text,
                "2:",
                inout("x0") x0, inout("x1") x1, inout("x2") x2, inout("x3") x3,
                out("x4") _, out("x5") _, out("x6") _, out("x7") _, out("x8") _, out("x9") _, out("x10") _,
                out("x11") _, out("x12") _, out("x13") _, out("x14") _, out("x15") _,
                inout("x16") $hypercall => _, out("x17") _, out("x20") behind, out("x21") back, out("x22") vector,
            );
        }
        match back {
            0 => Outcome::Answered([x0, x1, x2, x3]),
            _ => Outcome::Undefined { vector, back: back.wrapping_sub(behind - 4), syndrome: syndrome() },
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
