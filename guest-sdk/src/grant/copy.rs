//! Copies to and from granted frames, made by the hypervisor.
// UNSAFETY: the hypervisor writes to buffers of ours, which are borrowed mutably meanwhile.
#![allow(unsafe_code)]

use alloc::vec::Vec;
use core::{fmt, ptr::NonNull};

use xen_abi::{
    Domid, Errno, Gref, PAGE_SIZE,
    grant_table::{Copy, CopyPtr, GrantStatus, gntcopy},
};

use super::status_name;
use crate::{hypercall::grant_table as gnttab, memory::address_of};

/// A place in a page that another domain lends to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Who lends.
    pub domid: Domid,
    /// Which page.
    pub gref: Gref,
    /// First byte in it.
    pub offset: u16,
}

impl Place {
    fn end(self) -> CopyPtr {
        CopyPtr { u: self.gref.0.into(), domid: self.domid, offset: self.offset, pad: 0 }
    }

    fn advanced(self, by: usize) -> Result<Self, CopyError> {
        let offset = usize::from(self.offset) + by;
        Ok(Self { offset: u16::try_from(offset).map_err(|_| CopyError::Call(Errno::EINVAL))?, ..self })
    }
}

/// Why a copy failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyError {
    /// The call failed as a whole.
    Call(Errno),
    /// The hypervisor refused it.
    Refused(GrantStatus),
}

impl fmt::Display for CopyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call(error) => write!(f, "copying a grant: {error}"),
            Self::Refused(status) => write!(f, "copying a grant: {}", status_name(*status)),
        }
    }
}

impl core::error::Error for CopyError {}

/// Fills `into` from a granted page.
///
/// # Errors
///
/// The hypervisor's, when the page or the range in it is not there for us.
pub fn from_grant(from: Place, into: &mut [u8]) -> Result<(), CopyError> {
    let start = NonNull::from(&mut *into).cast();
    run(from, start, into.len(), gntcopy::SOURCE_GREF)
}

/// Writes `from` to a granted page.
///
/// # Errors
///
/// As [`from_grant`].
pub fn to_grant(into: Place, from: &[u8]) -> Result<(), CopyError> {
    let start = NonNull::from(from).cast();
    run(into, start, from.len(), gntcopy::DEST_GREF)
}

/// Copies `len` bytes between `place` and ours, which may cross pages. `direction` says which of
/// the two is the reference.
fn run(place: Place, ours: NonNull<u8>, len: usize, direction: u16) -> Result<(), CopyError> {
    let mut list = Vec::new();
    let mut done = 0;
    while done < len {
        // SAFETY: `done` is below the length of what `ours` points to.
        let address = address_of(unsafe { ours.add(done) }).ok_or(CopyError::Call(Errno::EFAULT))?;
        let offset = address as usize % PAGE_SIZE;
        let n = (len - done).min(PAGE_SIZE - offset);
        let local =
            CopyPtr { u: address / PAGE_SIZE as u64, domid: Domid::SELF, offset: offset as u16, pad: 0 };
        let remote = place.advanced(done)?.end();
        let (source, dest) = match direction {
            gntcopy::SOURCE_GREF => (remote, local),
            _ => (local, remote),
        };
        list.push(Copy {
            source,
            dest,
            len: n as u16,
            flags: direction,
            status: GrantStatus::GENERAL_ERROR,
            pad: 0,
        });
        done += n;
    }
    // SAFETY: what is written of ours is borrowed by `from_grant`, mutably.
    unsafe { gnttab::copy(&mut list) }.map_err(CopyError::Call)?;
    match list.iter().find_map(|copy| copy.status.check().err()) {
        Some(status) => Err(CopyError::Refused(status)),
        None => Ok(()),
    }
}
