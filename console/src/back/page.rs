//! The page and port of a guest's console, as the toolstack tells of them.

use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use core::fmt;

use guest_sdk::abi::{Domid, Errno, EvtchnPort, Gfn, Gref, grant_table::RESERVED_CONSOLE};
use guest_sdk::event::Port;
use guest_sdk::grant::{Access, Mapping};
use guest_sdk::memory::ForeignMapping;
use guest_sdk::shared::{Memory, SharedMemory};
use guest_sdk::xenstore::{self, Xenstore};

use super::{Console, Limits};

/// A guest's console page, mapped.
#[derive(Debug)]
pub enum Page {
    /// By a grant: that which the toolstack made when it built the guest, or one of the guest's own.
    Lent(Mapping),
    /// By its frame, which takes a privileged domain.
    Foreign(ForeignMapping),
}

impl Memory for Page {
    fn shared(&self) -> &SharedMemory {
        match self {
            Self::Lent(mapping) => mapping.shared(),
            Self::Foreign(mapping) => mapping.shared(),
        }
    }
}

/// Why there is no console.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// The toolstack's nodes are not there, or say nothing useful.
    Node(xenstore::Error),
    /// It is for somebody else to serve.
    NotOurs,
    /// The page cannot be mapped, or the port not bound.
    Hypervisor(Errno),
}

impl From<xenstore::Error> for OpenError {
    fn from(error: xenstore::Error) -> Self {
        Self::Node(error)
    }
}

impl From<Errno> for OpenError {
    fn from(error: Errno) -> Self {
        Self::Hypervisor(error)
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(error) => write!(f, "{error}"),
            Self::NotOurs => f.write_str("console of another daemon"),
            Self::Hypervisor(error) => write!(f, "console: {error}"),
        }
    }
}

impl core::error::Error for OpenError {}

impl Console<Rc<Page>> {
    /// Joins the console that `domid` was born with: `/local/domain/<domid>/console`. Its `limit` node, if there
    /// is one, says how much output is kept, up to `limits`.
    ///
    /// # Errors
    ///
    /// There is none, it is not ours, or the guest is gone already.
    pub async fn open(store: &Xenstore, domid: Domid, limits: Limits) -> Result<Self, OpenError> {
        let dir = format!("/local/domain/{}/console", domid.0);
        let kind: Option<String> = store.read_if_there(&format!("{dir}/type")).await?;
        if kind.is_some_and(|kind| kind != "xenconsoled") {
            return Err(OpenError::NotOurs);
        }
        let frame = store.read_as(&format!("{dir}/ring-ref")).await?;
        let port = EvtchnPort(store.read_as(&format!("{dir}/port")).await?);
        let limit = store.read_if_there(&format!("{dir}/limit")).await?;
        let page = map(domid, RESERVED_CONSOLE).or_else(|_| map_frame(domid, Gfn(frame)))?;
        let port = Port::bind_interdomain(domid, port)?;
        let kept = limit.map_or(limits.kept, |limit: usize| limit.min(limits.kept));
        Ok(Self::new(Rc::new(page), port, Limits { kept, ..limits }))
    }

    /// Joins a further console of `domid`, at the other end of [`crate::front::Console::open`]: `dir` is its
    /// directory there.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub async fn open_further(
        store: &Xenstore,
        domid: Domid,
        dir: &str,
        limits: Limits,
    ) -> Result<Self, OpenError> {
        let gref = Gref(store.read_as(&format!("{dir}/ring-ref")).await?);
        let port = EvtchnPort(store.read_as(&format!("{dir}/port")).await?);
        let page = map(domid, gref)?;
        let port = Port::bind_interdomain(domid, port)?;
        Ok(Self::new(Rc::new(page), port, limits))
    }
}

fn map(domid: Domid, gref: Gref) -> Result<Page, Errno> {
    let mapping = Mapping::new(domid, &[gref], Access::ReadWrite);
    mapping.map(Page::Lent).map_err(|_| Errno::EACCES)
}

fn map_frame(domid: Domid, gfn: Gfn) -> Result<Page, Errno> {
    ForeignMapping::new(domid, &[gfn]).map(Page::Foreign)
}
