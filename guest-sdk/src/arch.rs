//! What differs between machines: each state defines the same names, and this picks one.
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

#[cfg(all(target_os = "none", target_arch = "arm"))]
mod arm32;
#[cfg(all(target_os = "none", target_arch = "arm"))]
pub(crate) use arm32::*;

#[cfg(not(target_os = "none"))]
mod host;
#[cfg(not(target_os = "none"))]
pub(crate) use host::*;
