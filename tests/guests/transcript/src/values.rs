//! Values that fields are given.

/// Domain ids: real ones, and each special one.
pub const DOMIDS: &[u64] = &[0, 1, 2, 0x7fef, 0x7ff0, 0x7ff1, 0x7ff2, 0x7ff3, 0x7ff4, 0x7fff, 0x8000, 0xffff];

/// Numbers of 32 bits.
pub const WORDS: &[u64] =
    &[0, 1, 2, 3, 31, 32, 63, 64, 1023, 1024, 4095, 4096, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff];

/// Small numbers, and the largest.
pub const FEW: &[u64] = &[0, 1, 2, 3, 4, 5, 6, 7, 8, 0x7fff_ffff, 0xffff_ffff];

/// Ports.
pub const PORTS: &[u64] =
    &[0, 1, 2, 3, 1022, 1023, 1024, 4095, 4096, 0x1_ffff, 0x2_0000, 0x7fff_ffff, 0xffff_ffff];

/// Frames that are nobody's.
pub const FRAMES: &[u64] =
    &[0, 1, 0xf_ffff, 0x10_0000, 0xff_ffff, 0x100_0000, 0xfff_ffff, 0xffff_ffff, 0x1_0000_0000, u64::MAX];
