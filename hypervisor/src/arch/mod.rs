//! The execution state. Each state's module defines the same names; all else is shared, here what is
//! written with the same instructions and register names in both.

mod barriers;
mod counter;
mod image;
pub use {barriers::*, counter::*, image::*};

#[cfg(target_arch = "arm")]
mod arm32;
#[cfg(target_arch = "arm")]
pub use arm32::*;

#[cfg(target_arch = "aarch64")]
mod arm64;
#[cfg(target_arch = "aarch64")]
pub use arm64::*;
