//! `HVC` and `SMC` with any number in the instruction: those that are undefined are passed over.
// UNSAFETY: replaces the exception vectors for the time of one instruction, with interrupts masked. What is called takes
// no pointers; the caller names no function that stops this vCPU.
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

/// The instruction.
#[derive(Clone, Copy)]
pub enum Conduit {
    /// `HVC #0`, the SMC Calling Convention's.
    Hvc,
    /// `SMC #0`, too.
    Smc,
    /// `HVC #1`.
    Hvc1,
    /// `HVC` with the number before that of Xen's hypercalls.
    HvcEa0,
    /// `HVC` with the number of Xen's hypercalls.
    HvcEa1,
    /// `HVC` with the number after it.
    HvcEa2,
    /// `HVC` with the last number.
    HvcFfff,
    /// `SMC #1`.
    Smc1,
    /// `SMC` with the last number that 32-bit ARM has.
    SmcF,
}

impl Conduit {
    /// How it stands in the transcript.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hvc => "hvc",
            Self::Smc => "smc",
            Self::Hvc1 => "hvc 1",
            Self::HvcEa0 => "hvc ea0",
            Self::HvcEa1 => "hvc ea1",
            Self::HvcEa2 => "hvc ea2",
            Self::HvcFfff => "hvc ffff",
            Self::Smc1 => "smc 1",
            Self::SmcF => "smc f",
        }
    }
}

/// What came of it.
pub enum Outcome {
    /// The first four registers.
    Answered([usize; 4]),
    /// An undefined instruction.
    Undefined {
        /// The vector's offset.
        vector: usize,
        /// Where the exception returns to, in bytes from the instruction.
        back: usize,
        /// Its syndrome; 32-bit ARM has none.
        syndrome: usize,
    },
}

/// Executes it with these in the first registers, and a hypercall's number where Xen looks for it.
pub fn call(conduit: Conduit, registers: [usize; 4], hypercall: usize) -> Outcome {
    let masked = state::mask();
    let vectors = state::swap_vectors(state::vectors());
    let outcome = state::call(conduit, registers, hypercall);
    state::swap_vectors(vectors);
    state::restore(masked);
    outcome
}
