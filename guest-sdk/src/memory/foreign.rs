//! Frames of other domains, mapped by their number. For dom0 and device models only; between
//! equals there are grants.
// UNSAFETY: maps foreign frames into holes of our own and makes shared memory of them, which is
// unmapped before the hole is given back.
#![allow(unsafe_code)]

use alloc::{vec, vec::Vec};
use core::fmt;

use xen_abi::{Domid, Errno, Gfn, PAGE_SIZE};

use super::Hole;
use crate::{
    arch, hypercall,
    shared::{Memory, SharedMemory},
};

/// What is mapped in a hole, until dropped.
struct Mapped {
    hole: Hole,
    /// Pages of the hole that have something in them.
    mapped: Vec<bool>,
    memory: SharedMemory,
    home: arch::Home,
}

impl Mapped {
    /// # Safety
    ///
    /// Something is mapped in each page of the hole for which `mapped` says so; all of them, if
    /// the memory is to be used.
    unsafe fn new(hole: Hole, mapped: Vec<bool>) -> Self {
        // SAFETY: the hole is ours, and what is mapped there stays until `drop`.
        let memory = unsafe { SharedMemory::new(hole.start(), hole.count() * PAGE_SIZE) };
        Self { hole, mapped, memory, home: arch::home() }
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        let mut stuck = false;
        for (gfn, _) in self.hole.gfns().zip(&self.mapped).filter(|(_, m)| **m) {
            let done = arch::within(self.home, || {
                // SAFETY: the memory goes with this value.
                unsafe { hypercall::memory::remove_from_physmap(Domid::SELF, gfn) }
            });
            if let Some(Err(error)) = done {
                log::warn!("unmapping frame {:#x}: {error}", gfn.0);
                stuck = true;
            }
        }
        if stuck {
            self.hole.retire();
        }
    }
}

/// Frames of another domain, side by side, until dropped.
pub struct ForeignMapping(Mapped);

impl ForeignMapping {
    /// Maps frames of `domid`.
    ///
    /// # Errors
    ///
    /// The first frame's error when one cannot be mapped: `ESRCH`, `EPERM`, `EINVAL` for a frame
    /// that is not there, `ENOMEM`.
    pub fn new(domid: Domid, frames: &[Gfn]) -> Result<Self, Errno> {
        let hole = Hole::new(frames.len())?;
        let at: Vec<Gfn> = hole.gfns().collect();
        let mut errs = vec![0; frames.len()];
        // SAFETY: nothing is in the hole.
        unsafe { hypercall::memory::add_foreign(domid, frames, &at, &mut errs) }?;
        let mapped = errs.iter().map(|&e| e == 0).collect();
        // SAFETY: the hypervisor says which frames it mapped.
        let mapping = unsafe { Mapped::new(hole, mapped) };
        match errs.iter().find(|&&e| e != 0) {
            Some(e) => Err(Errno::new(e.unsigned_abs())),
            None => Ok(Self(mapping)),
        }
    }
}

impl Memory for ForeignMapping {
    fn shared(&self) -> &SharedMemory {
        &self.0.memory
    }
}

impl fmt::Debug for ForeignMapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ForeignMapping({:?})", self.0.hole)
    }
}

/// Frames of a domain's resource, such as its grant table, until dropped.
pub struct ResourceMapping(Mapped);

impl ResourceMapping {
    /// Maps `count` frames from `first` on (see [`xen_abi::memory::resource`]).
    ///
    /// # Errors
    ///
    /// As [`hypercall::memory::acquire_resource`], and `ENOMEM`.
    pub fn new(domid: Domid, kind: u16, id: u32, first: u64, count: usize) -> Result<Self, Errno> {
        let hole = Hole::new(count)?;
        let at: Vec<Gfn> = hole.gfns().collect();
        // SAFETY: nothing is in the hole.
        unsafe { hypercall::memory::acquire_resource(domid, kind, id, first, &at) }?;
        // SAFETY: the hypervisor mapped all of them.
        Ok(Self(unsafe { Mapped::new(hole, vec![true; count]) }))
    }
}

impl Memory for ResourceMapping {
    fn shared(&self) -> &SharedMemory {
        &self.0.memory
    }
}

impl fmt::Debug for ResourceMapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ResourceMapping({:?})", self.0.hole)
    }
}
