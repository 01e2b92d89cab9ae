//! The instructions of 32-bit ARM.

use core::arch::{asm, global_asm};

use super::faults;

// What faults marks TPIDRURW and goes on behind the instruction, all of which are 4 bytes long here.
global_asm!(
    ".arm",
    ".balign 32",
    "hostile_vectors:",
    "b .",
    "b 1f",
    "b .",
    "b .",
    "b 2f",
    "b .",
    "b .",
    "b .",
    "1: mcr p15, 0, lr, c13, c0, 2",
    "movs pc, lr",
    "2: mcr p15, 0, lr, c13, c0, 2",
    "subs pc, lr, #4",
    // A function for each register of coprocessors 14 and 15: opc1, CRn, CRm, opc2.
    ".balign 4",
    "hostile_registers:",
    ".set n, 0",
    ".rept 32768",
    ".word 0xee100e10 | (n & 1) << 8 | (n >> 12 & 7) << 21 | (n >> 8 & 15) << 16 | (n >> 1 & 7) << 5 | (n >> 4 & 15)",
    "bx lr",
    ".set n, n + 1",
    ".endr",
);

unsafe extern "C" {
    static hostile_vectors: [u32; 8];
    static hostile_registers: [u32; 2 * REGISTERS];
}

/// Registers that can be named.
pub const REGISTERS: usize = 32768;

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

pub fn probe_vectors() -> usize {
    (&raw const hostile_vectors).addr()
}

pub fn swap_vectors(vectors: usize) -> usize {
    let old;
    // SAFETY: ours, or what was there.
    unsafe {
        asm!("mrc p15, 0, {old}, c12, c0, 0", "mcr p15, 0, {new}, c12, c0, 0", "isb", old = out(reg) old, new = in(reg) vectors);
    }
    old
}

pub fn clear_mark() {
    // SAFETY: a register that nothing else here uses.
    unsafe { asm!("mcr p15, 0, {}, c13, c0, 2", in(reg) 0) };
}

pub fn is_marked() -> bool {
    let mark: u32;
    // SAFETY: as above.
    unsafe { asm!("mrc p15, 0, {}, c13, c0, 2", out(reg) mark) };
    mark != 0
}

pub fn load(address: usize, size: u8) -> u32 {
    let mut value = 0;
    // SAFETY: the caller's address, and what faults is passed over.
    unsafe {
        match size {
            1 => asm!("ldrb {}, [{}]", inout(reg) value, in(reg) address),
            2 => asm!("ldrh {}, [{}]", inout(reg) value, in(reg) address),
            _ => asm!("ldr {}, [{}]", inout(reg) value, in(reg) address),
        }
    }
    value
}

pub fn store(address: usize, size: u8, value: u32) {
    // SAFETY: as above.
    unsafe {
        match size {
            1 => asm!("strb {}, [{}]", in(reg) value, in(reg) address),
            2 => asm!("strh {}, [{}]", in(reg) value, in(reg) address),
            _ => asm!("str {}, [{}]", in(reg) value, in(reg) address),
        }
    }
}

/// Reads register `n` of coprocessors 14 and 15; whether there is one.
pub fn read_register(n: usize) -> bool {
    // HYP-mode accesses from below are undefined, and reading has no effect on what runs here.
    let at = (&raw const hostile_registers).addr() + 8 * (n % REGISTERS);
    !faults(|| {
        // SAFETY: two instructions: a read, which clobbers r0, and the return.
        unsafe { asm!("blx {}", in(reg) at, out("r0") _, out("lr") _) };
    })
}

/// Whether reading the register takes an interrupt.
pub fn takes_interrupt(n: usize) -> bool {
    // c12, c8 and c12: ICC_IAR0 and ICC_IAR1.
    n & 1 == 1 && n >> 8 & 15 == 12 && matches!(n >> 4 & 15, 8 | 12)
}

/// Counts how many of some instructions fault.
macro_rules! count {
    ($count:ident, $($text:literal)*) => { $(
        $count += u32::from(faults(|| {
            // SAFETY: nothing that runs here depends on what these change.
            unsafe { asm!(".arch_extension virt", ".arch_extension sec", $text, "nop", inout("r0") $count => _, out("r1") _, out("r2") _, out("r3") _) };
        }));
    )* };
    ($count:ident = $address:expr, $($text:literal)*) => { $(
        $count += u32::from(faults(|| {
            // SAFETY: the caller's address, and what faults is passed over.
            unsafe {
                asm!($text, inout("r0") $address => _, out("r1") _, out("r2") _, out("r3") _, out("r4") _, out("r5") _);
            }
        }));
    )* };
}

/// Writes registers that are emulated, or that there are not.
pub fn write_registers(mut value: u32) -> u32 {
    count!(value,
        "mcr p15, 0, r0, c1, c0, 1"     // ACTLR
        "mcr p15, 0, r0, c0, c0, 0"     // MIDR
        "mcr p15, 0, r0, c7, c6, 2"     // DCISW
        "mcr p15, 0, r0, c7, c10, 2"    // DCCSW
        "mcr p15, 0, r0, c7, c14, 2"    // DCCISW
        "mcr p15, 0, r0, c9, c12, 0"    // PMCR
        "mcr p15, 0, r0, c9, c12, 5"    // PMSELR
        "mcr p15, 0, r0, c9, c13, 1"    // PMXEVTYPER
        "mcr p15, 0, r0, c9, c14, 0"    // PMUSERENR
        "mcr p15, 0, r0, c9, c14, 1"    // PMINTENSET
        "mcr p15, 1, r0, c9, c0, 2"     // L2CTLR
        "mcr p15, 4, r0, c1, c1, 0"     // HCR
        "mcr p15, 4, r0, c2, c1, 2"     // VTCR
        "mcr p15, 0, r0, c14, c2, 0"    // CNTP_TVAL
        "mcrr p15, 2, r0, r0, c14"      // CNTP_CVAL
        "mcrr p15, 6, r0, r0, c2"       // VTTBR
        "mcrr p15, 4, r0, r0, c14"      // CNTVOFF
        "mcrr p14, 0, r0, r0, c2"
        "mcr p14, 0, r0, c0, c2, 2"     // DBGDSCRext
        "mcr p14, 0, r0, c0, c0, 5"     // DBGBCR0
        "mcr p14, 0, r0, c1, c0, 4"     // DBGOSLAR
        "mcr p14, 7, r0, c1, c0, 0"     // JOSCR
    );
    value
}

/// Calls to the hypervisor and to firmware whose number in the instruction means nothing. Xen has the instruction
/// behind an `HVC` fault.
pub fn calls_with_other_numbers() -> u32 {
    let mut count = 0;
    count!(count, "hvc #1" "hvc #0xea0" "hvc #0xea2" "hvc #0xffff" "smc #1" "smc #15");
    count
}

/// Accesses that tell a hypervisor little of what they want: of several registers, exclusive, with writeback.
pub fn mmio_forms(address: usize) -> u32 {
    let mut count = 0;
    count!(count = address,
        "ldrd r2, r3, [r0]"
        "strd r2, r3, [r0]"
        "ldm r0, {{r2, r3, r4, r5}}"
        "stm r0, {{r2, r3}}"
        "ldr r1, [r0], #4"
        "ldrsb r1, [r0]"
        "ldrex r1, [r0]"
        "strex r2, r1, [r0]"
        "mcr p15, 0, r0, c7, c6, 1"     // DCIMVAC
        "mcr p15, 0, r0, c7, c14, 1"    // DCCIMVAC
        "pld [r0]"
    );
    count
}
