//! hypfs_op (`hypfs.h`), a build option.

/// The version that [`op::GET_VERSION`] returns.
pub const VERSION: u32 = 1;
/// The longest path, NUL included.
pub const MAX_PATHLEN: u32 = 1024;

/// Commands.
pub mod op {
    /// Returns [`super::VERSION`].
    pub const GET_VERSION: u32 = 0;
    /// Reads an entry.
    pub const READ: u32 = 1;
    /// Writes an entry's contents.
    pub const WRITE_CONTENTS: u32 = 2;
}
