//! Instructions that may fault: each is executed with vectors of our own, which note the fault and go on behind it.
// UNSAFETY: replaces the exception vectors for the time of one instruction, with interrupts masked, and executes
// instructions whose only effect is on registers that are named, or on memory that the caller names.
#![allow(unsafe_code)]

#[cfg(target_arch = "arm")]
mod arm32;
#[cfg(target_arch = "aarch64")]
mod arm64;
#[cfg(not(any(target_arch = "arm", target_arch = "aarch64")))]
mod host;

#[cfg(target_arch = "arm")]
use arm32 as state;
#[cfg(target_arch = "aarch64")]
use arm64 as state;
#[cfg(not(any(target_arch = "arm", target_arch = "aarch64")))]
use host as state;

pub use state::{
    REGISTERS, calls_with_other_numbers, mmio_forms, read_register, takes_interrupt, write_registers,
};

/// Interrupts are masked as long as this lives.
pub struct Masked(usize);

/// Masks interrupts on this vCPU.
pub fn mask_interrupts() -> Masked {
    Masked(state::mask())
}

impl Drop for Masked {
    fn drop(&mut self) {
        state::restore(self.0);
    }
}

/// Executes something that may fault; says whether it did.
fn faults(what: impl FnOnce()) -> bool {
    let _masked = mask_interrupts();
    let vectors = state::swap_vectors(state::probe_vectors());
    state::clear_mark();
    what();
    let fault = state::is_marked();
    state::swap_vectors(vectors);
    fault
}

/// Loads 1, 2 or 4 bytes; nothing if that faults.
pub fn load(address: usize, size: u8) -> Option<u32> {
    let mut value = 0;
    let fault = faults(|| value = state::load(address, size));
    (!fault).then_some(value)
}

/// Stores 1, 2 or 4 bytes; says whether that was possible.
pub fn store(address: usize, size: u8, value: u32) -> bool {
    !faults(|| state::store(address, size, value))
}
