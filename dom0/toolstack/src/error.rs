//! What can go wrong, in the words that the user is to read.

use alloc::string::String;
use core::fmt;

use guest_sdk::xenstore;
use xen_abi::{Domid, Errno};

/// Why something could not be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The hypervisor refused.
    Hypercall {
        /// What was asked of it: "create the domain".
        doing: &'static str,
        /// Why not.
        errno: Errno,
    },
    /// The store refused.
    Store(xenstore::Error),
    /// A file cannot be read.
    File {
        /// Which.
        path: String,
        /// Why not.
        message: String,
    },
    /// The guest cannot be what its configuration asks for.
    Guest(String),
    /// There is no such domain.
    NoDomain(String),
    /// Another domain has the name.
    NameInUse {
        /// The name.
        name: String,
        /// Who has it.
        domid: Domid,
    },
    /// The machine has less memory than the guest is to have.
    NoMemory {
        /// KiB that are wanted.
        wanted_kib: u64,
        /// KiB that are free.
        free_kib: u64,
    },
    /// A device does not work.
    Device {
        /// Which: "disk xvda".
        name: String,
        /// What is wrong with it.
        message: String,
    },
    /// The guest does not answer, or has no driver to answer with.
    NoAnswer(Domid),
    /// The user did not want to wait any longer.
    Interrupted,
}

impl Error {
    /// Makes an error of the hypervisor's answer to something.
    pub(crate) fn hypercall(doing: &'static str) -> impl FnOnce(Errno) -> Self {
        move |errno| Self::Hypercall { doing, errno }
    }

    /// Makes an error of what is wrong with a configuration.
    pub(crate) fn guest(message: impl fmt::Display) -> Self {
        Self::Guest(alloc::format!("{message}"))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hypercall { doing, errno } => write!(f, "cannot {doing}: {errno}"),
            Self::Store(error) => error.fmt(f),
            Self::File { path, message } => write!(f, "{path}: {message}"),
            Self::Guest(message) => f.write_str(message),
            Self::NoDomain(name) => write!(f, "{name} is an invalid domain identifier"),
            Self::NameInUse { name, domid } => {
                write!(f, "Domain with name \"{name}\" already exists ({})", domid.0)
            }
            Self::NoMemory { wanted_kib, free_kib } => {
                write!(f, "not enough memory: {wanted_kib} KiB wanted, {free_kib} KiB free")
            }
            Self::Device { name, message } => write!(f, "{name}: {message}"),
            Self::NoAnswer(domid) => write!(f, "domain {} does not answer", domid.0),
            Self::Interrupted => f.write_str("interrupted"),
        }
    }
}

impl core::error::Error for Error {}

impl From<xenstore::Error> for Error {
    fn from(error: xenstore::Error) -> Self {
        Self::Store(error)
    }
}

/// The outcome of an operation.
pub type Result<T> = core::result::Result<T, Error>;
