//! Where disks come from.

use alloc::rc::Rc;
use alloc::string::String;
use core::fmt;
use core::future::Future;

use guest_sdk::abi::Domid;

use crate::store::Store;

/// A disk as the toolstack describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// Who gets it.
    pub domid: Domid,
    /// The device's number there, such as `51712`.
    pub id: String,
    /// The `params` node: what to open.
    pub params: String,
    /// The `type` node, such as `phy` or `file`.
    pub kind: String,
    /// The guest may not write.
    pub read_only: bool,
    /// The guest is told that it is a CD-ROM drive.
    pub cdrom: bool,
    /// The guest is told that it can be taken out.
    pub removable: bool,
    /// Discards are not offered.
    pub no_discard: bool,
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "disk {} of {} ({})", self.id, self.domid, self.params)
    }
}

/// Why a disk could not be opened: a message for whoever asked for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenError(pub String);

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl core::error::Error for OpenError {}

/// Opens stores for disks.
pub trait Disks {
    /// What disks are made of.
    type Store: Store + 'static;

    /// Opens the store of a disk. It is let go of, by dropping it, when the toolstack has removed the disk.
    fn open(&self, disk: &Description) -> impl Future<Output = Result<Rc<Self::Store>, OpenError>>;
}
