//! Instructions that differ with the execution state. Each state's file defines the same names.

#[cfg(target_arch = "arm")]
mod arm32;
#[cfg(target_arch = "arm")]
pub use arm32::*;

#[cfg(target_arch = "aarch64")]
mod arm64;
#[cfg(target_arch = "aarch64")]
pub use arm64::*;
