//! The general registers of a guest, for both register conventions.
//!
//! Both implementations compile everywhere: the same hypercall and trap tests run through each.

mod arm32;
mod arm64;

pub use arm32::Arm32Regs;
pub use arm64::Arm64Regs;

/// General registers as a trap left them.
pub trait GuestRegs: Default + Clone + Send + Sync + 'static {
    /// Whether the guest runs in AArch32 state now.
    fn is_aarch32(&self) -> bool;
    /// Hypercall number: r12 or x16.
    fn hypercall_number(&self) -> u64;
    /// Argument `n` (0..5) of a hypercall or SMCCC call, zero-extended.
    fn arg(&self, n: usize) -> u64;
    /// Rewrites argument `n`, for continuations and SMCCC results.
    fn set_arg(&mut self, n: usize, value: u64);
    /// Rewrites the hypercall number, for continuations.
    fn set_hypercall_number(&mut self, value: u64);
    /// Stores a hypercall's result, sign extended to the register.
    fn set_result(&mut self, value: i64);
    /// Whether register `n`, as an instruction syndrome names it, is one that the mode banks: then it
    /// is not here but with the machine.
    fn is_banked(&self, n: u8) -> bool;
    /// Register `n` as an instruction syndrome names it (31 reads as zero in AArch64). Zero for a
    /// banked one.
    fn get(&self, n: u8) -> u64;
    /// Writes register `n` as a syndrome names it (31 is ignored in AArch64), if it is not banked.
    fn set(&mut self, n: u8, value: u64);
    /// Program counter.
    fn pc(&self) -> u64;
    /// Sets the program counter.
    fn set_pc(&mut self, value: u64);
    /// Processor state as in SPSR.
    fn pstate(&self) -> u64;
    /// Sets the processor state.
    fn set_pstate(&mut self, value: u64);
    /// Whether the trap came from EL0 (User mode).
    fn is_user(&self) -> bool;
}
