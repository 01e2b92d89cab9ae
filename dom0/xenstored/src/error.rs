//! What a request can be answered with when it is not served.

use core::fmt;

/// A refusal, sent to the client as the name of an error number in a message of type `ERROR`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The request does not parse, or a path breaks the grammar.
    Einval,
    /// The caller lacks the permission, or may not even learn whether the node exists.
    Eacces,
    /// A watch with this path and token is already set.
    Eexist,
    /// No such node, transaction, watch or domain.
    Enoent,
    /// The caller's memory quota is used up.
    Enomem,
    /// Another of the caller's quotas is used up.
    Enospc,
    /// The store could not reach the domain.
    Eio,
    /// The message type is not served.
    Enosys,
    /// A transaction inside a transaction, or a resource in use.
    Ebusy,
    /// Somebody else changed what the transaction read: the caller starts it again.
    Eagain,
    /// The reply does not fit a message.
    E2big,
    /// The owner of a node is not for the caller to change.
    Eperm,
}

impl Error {
    /// Gives the name by which the error travels.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Einval => "EINVAL",
            Self::Eacces => "EACCES",
            Self::Eexist => "EEXIST",
            Self::Enoent => "ENOENT",
            Self::Enomem => "ENOMEM",
            Self::Enospc => "ENOSPC",
            Self::Eio => "EIO",
            Self::Enosys => "ENOSYS",
            Self::Ebusy => "EBUSY",
            Self::Eagain => "EAGAIN",
            Self::E2big => "E2BIG",
            Self::Eperm => "EPERM",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl core::error::Error for Error {}

/// The outcome of serving a request.
pub type Result<T> = core::result::Result<T, Error>;
