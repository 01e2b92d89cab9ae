//! What can be wrong with a kernel file.

use core::fmt;

/// Why a file cannot be used as a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// It is shorter than any header.
    TooShort,
    /// It is something else, by its first bytes.
    Foreign(Foreign),
    /// It is nothing known.
    Unknown,
    /// It is for a CPU that runs big-endian.
    BigEndian,
    /// Its header says that it is longer than it is.
    Truncated {
        /// Bytes by its header.
        expected: u64,
        /// Bytes there are.
        actual: u64,
    },
    /// The device tree after it says that it is longer than it is.
    TruncatedTree {
        /// Bytes by its header.
        expected: u64,
        /// Bytes there are.
        actual: u64,
    },
    /// Its header contradicts itself.
    BadHeader,
    /// It is a uImage with compressed contents; U-Boot's number of the method.
    CompressedUImage(u8),
    /// It is a uImage for a CPU other than ARM; U-Boot's number of it.
    ForeignUImage(u8),
}

/// Files that are taken for kernels, and are not of a kind that can be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Foreign {
    /// gzip, as of arm64's `Image.gz`.
    Gzip,
    /// xz.
    Xz,
    /// bzip2.
    Bzip2,
    /// lzma.
    Lzma,
    /// lzo.
    Lzo,
    /// lz4.
    Lz4,
    /// zstd.
    Zstd,
    /// ELF, as of `vmlinux`.
    Elf,
    /// A device tree, or U-Boot's FIT, which begins like one.
    DeviceTree,
    /// Text, such as a configuration file.
    Text,
}

impl Foreign {
    /// Recognises a file by its first bytes.
    pub(crate) fn recognise(file: &[u8]) -> Option<Self> {
        const KNOWN: [(&[u8], Foreign); 10] = [
            (b"\x1f\x8b", Foreign::Gzip),
            (b"\xfd7zXZ\0", Foreign::Xz),
            (b"BZh", Foreign::Bzip2),
            (b"\x5d\0\0", Foreign::Lzma),
            (b"\x89LZO", Foreign::Lzo),
            (b"\x02\x21\x4c\x18", Foreign::Lz4),
            (b"\x04\x22\x4d\x18", Foreign::Lz4),
            (b"\x28\xb5\x2f\xfd", Foreign::Zstd),
            (b"\x7fELF", Foreign::Elf),
            (b"\xd0\x0d\xfe\xed", Foreign::DeviceTree),
        ];
        let known = KNOWN.iter().find(|(magic, _)| file.starts_with(magic)).map(|(_, foreign)| *foreign);
        let text = || file.iter().take(32).all(|byte| matches!(byte, b'\t' | b'\n' | b'\r' | b' '..=b'~'));
        known.or_else(|| (!file.is_empty() && text()).then_some(Self::Text))
    }

    fn name(self) -> &'static str {
        match self {
            Self::Gzip => "compressed with gzip; unpack it first",
            Self::Xz => "compressed with xz; unpack it first",
            Self::Bzip2 => "compressed with bzip2; unpack it first",
            Self::Lzma => "compressed with lzma; unpack it first",
            Self::Lzo => "compressed with lzo; unpack it first",
            Self::Lz4 => "compressed with lz4; unpack it first",
            Self::Zstd => "compressed with zstd; unpack it first",
            Self::Elf => "an ELF file; use the zImage or Image made from it",
            Self::DeviceTree => "a device tree or FIT image",
            Self::Text => "a text file",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooShort => f.write_str("kernel file is too short to be one"),
            Self::Foreign(foreign) => write!(f, "kernel file is {}", foreign.name()),
            Self::Unknown => f.write_str("kernel file is neither a zImage nor an arm64 Image"),
            Self::BigEndian => f.write_str("kernel is for a big-endian CPU"),
            Self::Truncated { expected, actual } => {
                write!(f, "kernel file is truncated: {actual} bytes of {expected}")
            }
            Self::TruncatedTree { expected, actual } => {
                write!(f, "device tree after the kernel is truncated: {actual} bytes of {expected}")
            }
            Self::BadHeader => f.write_str("kernel file's header contradicts itself"),
            Self::CompressedUImage(method) => {
                write!(f, "uImage is compressed (method {method}); unpack it first")
            }
            Self::ForeignUImage(cpu) => write!(f, "uImage is for another CPU (number {cpu})"),
        }
    }
}

impl core::error::Error for Error {}
