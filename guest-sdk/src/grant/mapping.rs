//! Frames that others lend to us, mapped into holes.
// UNSAFETY: maps granted frames into holes of our own and makes shared memory of them, which is
// unmapped before the hole is given back.
#![allow(unsafe_code)]

use alloc::vec::Vec;
use core::fmt;

use xen_abi::{
    Domid, Errno, Gref, PAGE_SIZE,
    grant_table::{GrantHandle, GrantStatus, MapGrantRef, UnmapGrantRef, gntmap},
};

use super::{Access, status_name};
use crate::{
    arch,
    hypercall::grant_table as gnttab,
    memory::Hole,
    shared::{Memory, SharedMemory},
};

/// Why frames could not be mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapError {
    /// The call failed as a whole, or there was no address space.
    Call(Errno),
    /// The hypervisor refused this reference.
    Refused(Gref, GrantStatus),
}

impl fmt::Display for MapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call(error) => write!(f, "mapping grants: {error}"),
            Self::Refused(gref, status) => {
                write!(f, "mapping grant {}: {}", gref.0, status_name(*status))
            }
        }
    }
}

impl core::error::Error for MapError {}

impl From<Errno> for MapError {
    fn from(error: Errno) -> Self {
        Self::Call(error)
    }
}

/// Frames that a domain lends to us, side by side, until dropped. They go on being there when that
/// domain dies.
pub struct Mapping {
    hole: Hole,
    /// Of each page; none for one that could not be mapped.
    handles: Vec<Option<GrantHandle>>,
    memory: SharedMemory,
    home: arch::Home,
}

impl Mapping {
    /// Maps what `from` lends under `grefs`, in one call. With [`Access::ReadOnly`] nothing may be
    /// written to the memory: that faults.
    ///
    /// # Errors
    ///
    /// The first reference that was refused; then none is mapped.
    pub fn new(from: Domid, grefs: &[Gref], access: Access) -> Result<Self, MapError> {
        let hole = Hole::new(grefs.len())?;
        let flags = match access {
            Access::ReadOnly => gntmap::HOST_MAP | gntmap::READONLY,
            Access::ReadWrite => gntmap::HOST_MAP,
        };
        let mut list: Vec<MapGrantRef> = grefs
            .iter()
            .zip(hole.gfns())
            .map(|(&gref, gfn)| MapGrantRef {
                host_addr: gfn.0 * PAGE_SIZE as u64,
                flags,
                gref,
                dom: from,
                status: GrantStatus::GENERAL_ERROR,
                ..MapGrantRef::default()
            })
            .collect();
        // SAFETY: nothing is in the hole.
        unsafe { gnttab::map(&mut list) }?;
        let handles = list.iter().map(|map| map.status.check().ok().map(|()| map.handle)).collect();
        // SAFETY: used only if all of it is mapped, and not after `drop` has unmapped it.
        let memory = unsafe { SharedMemory::new(hole.start(), hole.count() * PAGE_SIZE) };
        let mapping = Self { hole, handles, memory, home: arch::home() };
        match list.iter().find(|map| map.status != GrantStatus::OKAY) {
            Some(map) => Err(MapError::Refused(map.gref, map.status)),
            None => Ok(mapping),
        }
    }
}

impl Memory for Mapping {
    fn shared(&self) -> &SharedMemory {
        &self.memory
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        let mut list: Vec<UnmapGrantRef> = self
            .hole
            .gfns()
            .zip(&self.handles)
            .filter_map(|(gfn, handle)| {
                Some(UnmapGrantRef {
                    host_addr: gfn.0 * PAGE_SIZE as u64,
                    handle: (*handle)?,
                    ..UnmapGrantRef::default()
                })
            })
            .collect();
        // SAFETY: the memory goes with this value.
        let done = arch::within(self.home, || unsafe { gnttab::unmap(&mut list) });
        let failed = list.iter().find(|unmap| unmap.status != GrantStatus::OKAY);
        let failed = failed.map(|unmap| status_name(unmap.status));
        if let Some(Err(error)) = done {
            log::warn!("unmapping grants: {error}");
        } else if let Some(why) = failed {
            log::warn!("unmapping a grant: {why}");
        } else {
            return;
        }
        self.hole.retire();
    }
}

impl fmt::Debug for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mapping({:?})", self.hole)
    }
}
