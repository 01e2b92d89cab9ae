//! console_io (`xen.h`): command, count, buffer.

/// Commands.
pub mod op {
    /// Writes `count` bytes to the hypervisor's console; returns 0.
    pub const WRITE: u32 = 0;
    /// Reads up to `count` bytes; returns how many.
    pub const READ: u32 = 1;
}
