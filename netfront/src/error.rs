//! What can go wrong.

use core::fmt;

use guest_sdk::ring::RingError;
use guest_sdk::xenbus::frontend;
use guest_sdk::xenstore;

/// What a back end did that none may do. The connection ends with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// It claims to have answered more than it was asked.
    BadIndex,
    /// It answered a request that is not under way.
    UnknownId(u16),
    /// What it received does not lie within the page: offset and size.
    OutsidePage(u16, i16),
    /// A frame of more slots, or more bytes, than there can be.
    Oversized,
    /// It sent extra information, of which none was agreed upon.
    Extra,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadIndex => f.write_str("response index out of range"),
            Self::UnknownId(id) => write!(f, "answer to request {id}, which is not under way"),
            Self::OutsidePage(offset, size) => write!(f, "{size} bytes from {offset} on are not in a page"),
            Self::Oversized => f.write_str("frame larger than any"),
            Self::Extra => f.write_str("extra information that was not agreed upon"),
        }
    }
}

impl From<RingError> for Violation {
    fn from(_: RingError) -> Self {
        Self::BadIndex
    }
}

/// Why a frame was not taken, or the interface as a whole failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The frame is empty, or larger than [`Info::max_frame`](crate::Info::max_frame).
    FrameSize,
    /// The back end broke the protocol; the interface is not used any more.
    Violation(Violation),
    /// The back end cannot copy into our pages, or the interface has no address that could be one.
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
            Self::FrameSize => f.write_str("frame of a size that cannot be sent"),
            Self::Violation(violation) => write!(f, "back end broke the protocol: {violation}"),
            Self::BadOffer => f.write_str("back end offers an interface that cannot be"),
            Self::Frontend(error) => write!(f, "{error}"),
        }
    }
}

impl core::error::Error for Error {}
