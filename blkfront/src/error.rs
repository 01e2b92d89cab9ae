//! What can go wrong.

use core::fmt;

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
    /// The back end broke the protocol; the disk is not used any more.
    Violation(Violation),
    /// The back end offers something that makes no sense.
    BadOffer,
    /// What may happen to any front end.
    Frontend(frontend::Error),
}

impl From<xenstore::Error> for Error {
    fn from(error: xenstore::Error) -> Self {
        Self::Frontend(error.into())
    }
}

impl From<frontend::Error> for Error {
    fn from(error: frontend::Error) -> Self {
        Self::Frontend(error)
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
            Self::Violation(violation) => write!(f, "back end broke the protocol: {violation}"),
            Self::BadOffer => f.write_str("back end offers a disk that cannot be"),
            Self::Frontend(error) => write!(f, "{error}"),
        }
    }
}

impl core::error::Error for Error {}
