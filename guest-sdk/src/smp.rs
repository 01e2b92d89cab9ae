//! More than one vCPU.
//!
//! A program begins on vCPU 0. [`start`] sets another one to work on a function of its own, which
//! usually is an [`exec::block_on`](crate::exec::block_on): each vCPU has its own executor, timers
//! and tasks, and a waker works from any of them.

#[cfg(target_os = "none")]
pub(crate) mod bare;

#[cfg(target_os = "none")]
pub use bare::{StartError, start_cpu as start};

/// The most vCPUs that a program can use: what GICv2 allows.
pub const MAX_VCPUS: usize = 8;

/// Which vCPU this is.
pub fn current() -> usize {
    crate::arch::cpu()
}
