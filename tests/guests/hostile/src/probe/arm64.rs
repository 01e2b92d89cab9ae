//! The instructions of 64-bit ARM.

use core::arch::{asm, global_asm};

use super::faults;

// What faults marks TPIDR_EL0 and goes on behind the instruction. The program runs on SP_EL0.
global_asm!(
    ".balign 0x800",
    "hostile_vectors:",
    ".rept 2",
    "msr tpidrro_el0, x0",
    "mrs x0, elr_el1",
    "msr tpidr_el0, x0",
    "add x0, x0, #4",
    "msr elr_el1, x0",
    "mrs x0, tpidrro_el0",
    "eret",
    ".balign 0x200",
    ".endr",
    ".balign 0x800",
    // A function for each register: op0, op1, CRn, CRm, op2.
    "hostile_registers:",
    ".set n, 0",
    ".rept 32768",
    ".word 0xd5300000 | (n >> 14 & 1) << 19 | (n >> 11 & 7) << 16 | (n >> 7 & 15) << 12 | (n >> 3 & 15) << 8 | (n & 7) << 5",
    "ret",
    ".set n, n + 1",
    ".endr",
);

unsafe extern "C" {
    static hostile_vectors: [u32; 512];
    static hostile_registers: [u32; 2 * REGISTERS];
}

/// Registers that can be named.
pub const REGISTERS: usize = 32768;

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

pub fn probe_vectors() -> usize {
    (&raw const hostile_vectors).addr()
}

pub fn swap_vectors(vectors: usize) -> usize {
    let old;
    // SAFETY: ours, or what was there.
    unsafe { asm!("mrs {}, vbar_el1", "msr vbar_el1, {}", "isb", out(reg) old, in(reg) vectors) };
    old
}

pub fn clear_mark() {
    // SAFETY: a register that nothing else here uses.
    unsafe { asm!("msr tpidr_el0, xzr") };
}

pub fn is_marked() -> bool {
    let mark: u64;
    // SAFETY: as above.
    unsafe { asm!("mrs {}, tpidr_el0", out(reg) mark) };
    mark != 0
}

pub fn load(address: usize, size: u8) -> u32 {
    let mut value = 0;
    // SAFETY: the caller's address, and what faults is passed over.
    unsafe {
        match size {
            1 => asm!("ldrb {:w}, [{}]", inout(reg) value, in(reg) address),
            2 => asm!("ldrh {:w}, [{}]", inout(reg) value, in(reg) address),
            _ => asm!("ldr {:w}, [{}]", inout(reg) value, in(reg) address),
        }
    }
    value
}

pub fn store(address: usize, size: u8, value: u32) {
    // SAFETY: as above.
    unsafe {
        match size {
            1 => asm!("strb {:w}, [{}]", in(reg) value, in(reg) address),
            2 => asm!("strh {:w}, [{}]", in(reg) value, in(reg) address),
            _ => asm!("str {:w}, [{}]", in(reg) value, in(reg) address),
        }
    }
}

/// Reads register `n` of those with op0 2 and 3; whether there is one.
pub fn read_register(n: usize) -> bool {
    let at = (&raw const hostile_registers).addr() + 8 * (n % REGISTERS);
    !faults(|| {
        // SAFETY: two instructions: a read, which clobbers x0, and the return.
        unsafe { asm!("blr {}", in(reg) at, out("x0") _, out("lr") _) };
    })
}

/// Whether reading the register takes an interrupt.
pub fn takes_interrupt(n: usize) -> bool {
    // op0 3, c12, c8 and c12: ICC_IAR0 and ICC_IAR1.
    n >> 14 == 1 && n >> 7 & 15 == 12 && matches!(n >> 3 & 15, 8 | 12)
}

/// Counts how many of some instructions fault.
macro_rules! count {
    ($count:ident, $($text:literal)*) => { $(
        $count += u32::from(faults(|| {
            // SAFETY: nothing that runs here depends on what these change.
            unsafe { asm!(
                $text, "nop", inout("x0") u64::from($count) => _, out("x1") _, out("x2") _, out("x3") _, out("x4") _,
                out("x5") _, out("x6") _, out("x7") _, out("x8") _, out("x9") _, out("x10") _, out("x11") _,
                out("x12") _, out("x13") _, out("x14") _, out("x15") _, out("x16") _, out("x17") _
            ) };
        }));
    )* };
    ($count:ident = $address:expr, $($text:literal)*) => { $(
        $count += u32::from(faults(|| {
            // SAFETY: the caller's address, and what faults is passed over.
            unsafe { asm!($text, inout("x0") $address => _, out("x1") _, out("x2") _, out("x3") _) };
        }));
    )* };
}

/// Writes registers that are emulated, or that there are not.
pub fn write_registers(mut value: u32) -> u32 {
    count!(value,
        "msr actlr_el1, x0"
        "dc isw, x0"
        "dc csw, x0"
        "dc cisw, x0"
        "msr pmcr_el0, x0"
        "msr pmselr_el0, x0"
        "msr pmuserenr_el0, x0"
        "msr pmintenset_el1, x0"
        "msr cntp_tval_el0, x0"
        "msr cntp_cval_el0, x0"
        "msr hcr_el2, x0"
        "msr vttbr_el2, x0"
        "msr oslar_el1, x0"
        "msr mdscr_el1, x0"
        "msr dbgbcr0_el1, x0"
        "msr s3_0_c12_c11_5, x0"        // ICC_SGI1R
        "msr s3_7_c15_c7_7, x0"
    );
    value
}

/// Calls to the hypervisor and to firmware whose number in the instruction means nothing. Xen has the instruction
/// behind an `HVC` fault.
pub fn calls_with_other_numbers() -> u32 {
    let mut count = 0;
    count!(count, "hvc #1" "hvc #0xea0" "hvc #0xea2" "hvc #0xffff" "smc #1" "smc #0xffff");
    count
}

/// Accesses that tell a hypervisor little of what they want: of several registers, exclusive, with writeback.
pub fn mmio_forms(address: usize) -> u32 {
    let mut count = 0;
    count!(count = address,
        "ldp w1, w2, [x0]"
        "stp w1, w2, [x0]"
        "ldr x1, [x0]"
        "ldr w1, [x0], #4"
        "ldrsb w1, [x0]"
        "ldrsw x1, [x0]"
        "ldxr w1, [x0]"
        "ldar w1, [x0]"
        "stxr w2, w1, [x0]"
        "dc ivac, x0"
        "dc civac, x0"
        "prfm pldl1keep, [x0]"
    );
    count
}
