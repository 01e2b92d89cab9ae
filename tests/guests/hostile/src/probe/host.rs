//! On the host nothing faults, and nothing is there.

/// Registers that can be named.
pub const REGISTERS: usize = 0;

pub fn mask() -> usize {
    0
}

pub fn restore(_: usize) {}

pub fn probe_vectors() -> usize {
    0
}

pub fn swap_vectors(_: usize) -> usize {
    0
}

pub fn clear_mark() {}

pub fn is_marked() -> bool {
    true
}

pub fn load(_: usize, _: u8) -> u32 {
    0
}

pub fn store(_: usize, _: u8, _: u32) {}

/// Reads a register.
pub fn read_register(_: usize) -> bool {
    false
}

/// Writes registers.
pub fn write_registers(_: u32) -> u32 {
    0
}

/// Calls with numbers that mean nothing.
pub fn calls_with_other_numbers() -> u32 {
    0
}

/// Accesses of other kinds.
pub fn mmio_forms(_: usize) -> u32 {
    0
}

/// Whether reading the register takes an interrupt.
pub fn takes_interrupt(_: usize) -> bool {
    false
}
