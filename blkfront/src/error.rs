//! What can go wrong.

use core::fmt;

use guest_sdk::abi::Errno;
use guest_sdk::xenbus::frontend;
use guest_sdk::xenstore;

use crate::queue::Violation;

/// Why a request, or the disk as a whole, failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The back end could not carry the request out.
    Io,
    /// The back end, or the disk, cannot do that at all.
    Unsupported,
    /// A write to a read-only disk.
    ReadOnly,
    /// Beyond the end of the disk.
    OutOfRange,
    /// Not whole sectors of the disk.
    Misaligned,
    /// No pages or grants are left for the request or the ring.
    NoMemory(Errno),
    /// The disk was closed by this end.
    Closed,
    /// The toolstack took the disk away.
    Removed,
    /// The back end broke the protocol; the disk is not used any more.
    Violation(Violation),
    /// The back end would not connect.
    Refused,
    /// The back end offers something that makes no sense.
    BadOffer,
    /// No event channel.
    Port(Errno),
    /// xenstore failed.
    Store(xenstore::Error),
}

impl From<xenstore::Error> for Error {
    fn from(error: xenstore::Error) -> Self {
        Self::Store(error)
    }
}

impl From<frontend::Error> for Error {
    fn from(error: frontend::Error) -> Self {
        match error {
            frontend::Error::Closed => Self::Closed,
            frontend::Error::Removed => Self::Removed,
            frontend::Error::Refused => Self::Refused,
            frontend::Error::Store(error) => Self::Store(error),
        }
    }
}

impl From<Violation> for Error {
    fn from(violation: Violation) -> Self {
        Self::Violation(violation)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io => f.write_str("input/output error"),
            Self::Unsupported => f.write_str("not supported by the disk"),
            Self::ReadOnly => f.write_str("read-only disk"),
            Self::OutOfRange => f.write_str("beyond the end of the disk"),
            Self::Misaligned => f.write_str("not whole sectors of the disk"),
            Self::NoMemory(error) => write!(f, "no memory to lend: {error}"),
            Self::Closed => f.write_str("disk closed"),
            Self::Removed => f.write_str("disk removed"),
            Self::Violation(violation) => write!(f, "back end broke the protocol: {violation}"),
            Self::Refused => f.write_str("back end refused to connect"),
            Self::BadOffer => f.write_str("back end offers a disk that cannot be"),
            Self::Port(error) => write!(f, "event channel: {error}"),
            Self::Store(error) => write!(f, "{error}"),
        }
    }
}

impl core::error::Error for Error {}
