//! What differs between machines: this picks one. `host` and `bare` define the names below; `bare` is for both
//! states, `arm32` and `arm64`, each of which gives it the same names.
//!
//! | name | what it does |
//! |---|---|
//! | `hypercall` | the trap into the hypervisor |
//! | `irq_save`, `irq_restore` | this vCPU's interrupt mask |
//! | `cpu`, `kick`, `wait` | which vCPU this is; waking another; sleeping with interrupts masked |
//! | `now_ns` | the clock |
//! | `alloc_pages`, `free_pages` | whole pages |
//! | `copy_blocks` | a fast copy that says what it loads and stores |
//! | `gfn_of`, `address_of`, `mapped_at` | from virtual to guest-physical addresses and back |
//! | `grant_frame`, `map_magic` | where the grant table goes, and pages that the toolstack made |
//! | `poll_interrupts` | delivers what is pending where there are no interrupts |
//! | `system`, `executor`, `home`, `within` | the state of the current domain and vCPU |

#[cfg(target_os = "none")]
mod bare;
#[cfg(target_os = "none")]
mod image;
#[cfg(target_os = "none")]
pub(crate) use bare::*;

#[cfg(all(target_os = "none", target_arch = "arm"))]
mod arm32;
#[cfg(all(target_os = "none", target_arch = "arm"))]
use arm32 as state;
#[cfg(all(target_os = "none", target_arch = "aarch64"))]
mod arm64;
#[cfg(all(target_os = "none", target_arch = "aarch64"))]
use arm64 as state;
#[cfg(not(target_os = "none"))]
mod host;
#[cfg(not(target_os = "none"))]
pub(crate) use host::*;
