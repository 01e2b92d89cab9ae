//! More than one vCPU.
//!
//! A program begins on vCPU 0. [`start`] sets another one to work on a function of its own, which
//! usually is an [`exec::block_on`](crate::exec::block_on): each vCPU has its own executor, timers
//! and tasks, and a waker works from any of them.

#[cfg(target_os = "none")]
pub(crate) mod bare;

use core::fmt;

/// Why a vCPU could not be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartError {
    /// There is none of that number, or it is the first.
    NoSuchVcpu,
    /// It runs already.
    AlreadyOn,
    /// No memory for its stacks.
    NoMemory,
    /// The hypervisor refused, with this PSCI error.
    Refused(i32),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchVcpu => f.write_str("no such vCPU"),
            Self::AlreadyOn => f.write_str("vCPU is running already"),
            Self::NoMemory => f.write_str("no memory for a vCPU's stacks"),
            Self::Refused(code) => write!(f, "starting a vCPU: PSCI error {code}"),
        }
    }
}

impl core::error::Error for StartError {}

/// Starts vCPU `cpu` with `work`. When that returns the vCPU sleeps, and can be started again.
///
/// # Errors
///
/// See [`StartError`].
pub fn start(cpu: usize, work: impl FnOnce() + Send + 'static) -> Result<(), StartError> {
    crate::arch::start_cpu(cpu, alloc::boxed::Box::new(work))
}

/// The most vCPUs that a program can use: what GICv2 allows.
pub const MAX_VCPUS: usize = 8;

/// Which vCPU this is.
pub fn current() -> usize {
    crate::arch::cpu()
}
