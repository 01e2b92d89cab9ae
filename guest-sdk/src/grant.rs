//! Grants: pages lent to another domain, and pages that another domain lends to us.
//!
//! [`Grant`] is the lender's side. It owns the pages as long as the borrower may use them: while
//! they are mapped there they are not freed, whatever the program does. [`Grant::end`] gives them
//! back when they are not; a grant that is dropped while it is mapped goes on a list, is revoked
//! when the borrower lets go (looked at whenever a grant is made or dropped, and by [`reap`]), and
//! only then are its pages and references used again. A borrower that never lets go thus costs
//! memory, but never shows it anything else.
//!
//! [`Mapping`] is the borrower's side, [`from_grant`] and [`to_grant`]
//! the way to use a grant without mapping it.

mod copy;
mod mapping;
mod table;

use alloc::vec::Vec;
use core::fmt;

use xen_abi::{
    Domid, Errno, Gref, PAGE_SIZE,
    grant_table::{GrantStatus, gtf},
};

pub use copy::{CopyError, Place, from_grant, to_grant};
pub use mapping::{MapError, Mapping};
pub(crate) use table::Table;

use crate::{
    arch,
    memory::Pages,
    shared::{Memory, SharedMemory},
    system::system,
};

/// What a borrower may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read only.
    ReadOnly,
    /// Read and write.
    ReadWrite,
}

impl Access {
    fn entry_flags(self) -> u16 {
        match self {
            Self::ReadOnly => gtf::PERMIT_ACCESS | gtf::READONLY,
            Self::ReadWrite => gtf::PERMIT_ACCESS,
        }
    }
}

/// Pages lent to another domain, each under a reference of its own.
pub struct Grant {
    /// None only while being dropped.
    lent: Option<Lent>,
    memory: SharedMemory,
    to: Domid,
    home: arch::Home,
}

/// What has to stay while a borrower may use it.
#[derive(Debug)]
pub(crate) struct Lent {
    pages: Pages,
    /// One a page, in order, whether revoked or not.
    grefs: Vec<Gref>,
    /// Those that are not revoked.
    open: Vec<Gref>,
}

impl Lent {
    /// Takes back what the borrower does not use; true when that was everything.
    fn revoke(&mut self, table: &Table) -> bool {
        self.open.retain(|&gref| !table.revoke(gref));
        self.open.is_empty()
    }
}

impl Grant {
    /// Lends pages to `to`.
    ///
    /// # Errors
    ///
    /// `ENOSPC` when the grant table is full.
    pub fn new(to: Domid, pages: Pages, access: Access) -> Result<Self, Errno> {
        reap();
        let table = &system().grants;
        let mut lent = Lent { grefs: Vec::with_capacity(pages.count()), open: Vec::new(), pages };
        for index in 0..lent.pages.count() {
            match table.allow(to, lent.pages.gfn(index), access.entry_flags()) {
                Ok(gref) => {
                    lent.grefs.push(gref);
                    lent.open.push(gref);
                }
                Err(error) => {
                    table.settle(lent);
                    return Err(error);
                }
            }
        }
        let memory = lent.pages.share();
        Ok(Self { lent: Some(lent), memory, to, home: arch::home() })
    }

    /// Lends `count` fresh, zeroed pages.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, `ENOSPC`.
    pub fn of_zeroes(to: Domid, count: usize, access: Access) -> Result<Self, Errno> {
        Self::new(to, Pages::new(count)?, access)
    }

    /// The references, one a page, in order.
    pub fn grefs(&self) -> &[Gref] {
        self.lent.as_ref().map_or(&[], |lent| &lent.grefs)
    }

    /// The first reference; the only one of a single page.
    pub fn gref(&self) -> Gref {
        self.grefs()[0]
    }

    /// The reference of the page that byte `offset` lies in.
    pub fn gref_at(&self, offset: usize) -> Gref {
        self.grefs()[offset / PAGE_SIZE]
    }

    /// Who it is lent to.
    pub fn to(&self) -> Domid {
        self.to
    }

    /// Takes the pages back.
    ///
    /// # Errors
    ///
    /// The grant itself while the borrower has any of them mapped. A borrower that maps some just
    /// now may find the others gone.
    pub fn end(mut self) -> Result<Pages, Self> {
        let revoked = arch::within(self.home, || {
            let table = &system().grants;
            let lent = self.lent.as_mut()?;
            if lent.open.iter().any(|&gref| table.in_use(gref)) {
                return None;
            }
            lent.revoke(table).then_some(())
        });
        match (revoked.flatten(), self.lent.take()) {
            (Some(()), Some(lent)) => Ok(lent.pages),
            (_, lent) => {
                self.lent = lent;
                Err(self)
            }
        }
    }
}

impl Memory for Grant {
    fn shared(&self) -> &SharedMemory {
        &self.memory
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        if let Some(lent) = self.lent.take() {
            arch::within(self.home, || system().grants.settle(lent));
        }
    }
}

impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Grant({:?} to {})", self.grefs(), self.to)
    }
}

/// Frees the pages of dropped grants whose borrowers have let go meanwhile. Says how many grants
/// are still held.
pub fn reap() -> usize {
    system().grants.reap()
}

/// A failed grant operation, as the hypervisor put it.
pub(crate) fn status_name(status: GrantStatus) -> &'static str {
    match status {
        GrantStatus::BAD_DOMAIN => "no such domain",
        GrantStatus::BAD_GNTREF => "no such grant",
        GrantStatus::BAD_HANDLE => "no such mapping",
        GrantStatus::PERMISSION_DENIED => "permission denied",
        GrantStatus::BAD_PAGE => "not a page to share",
        GrantStatus::BAD_COPY_ARG => "copy leaves the page",
        GrantStatus::EAGAIN => "try again",
        GrantStatus::NO_SPACE => "no handles left",
        _ => "general error",
    }
}

#[cfg(test)]
mod tests;
