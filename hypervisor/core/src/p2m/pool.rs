//! The memory that a domain's page tables may take.
//!
//! The size is a limit: pages come from the free frames when a table is needed and go back when it
//! is not, so an idle guest costs only the tables it has.

use xen_abi::Mfn;

use crate::{frames::Frames, machine::Machine};

/// Page-table memory of one domain.
#[derive(Debug)]
pub struct Pool {
    limit: Option<u32>,
    used: u32,
}

impl Pool {
    /// With a limit in pages, or without one for the hardware domain.
    pub fn new(limit: Option<u32>) -> Self {
        Self { limit, used: 0 }
    }

    /// Pages that tables take now.
    pub fn used(&self) -> u32 {
        self.used
    }

    /// Pages that they may take.
    pub fn limit(&self) -> Option<u32> {
        self.limit
    }

    /// Sets the limit; false when more than that is in use.
    pub fn set_limit(&mut self, pages: u32) -> bool {
        let fits = pages >= self.used;
        if fits {
            self.limit = Some(pages);
        }
        fits
    }

    /// A zeroed page for a table.
    pub fn alloc<M: Machine>(&mut self, machine: &M, frames: &Frames) -> Option<Mfn> {
        if self.limit.is_some_and(|limit| self.used >= limit) {
            return None;
        }
        let mfn = frames.alloc(machine, 0)?;
        self.used += 1;
        Some(mfn)
    }

    /// Gives a table's page back; no walker can reach it any more.
    pub fn free<M: Machine>(&mut self, machine: &M, frames: &Frames, mfn: Mfn) {
        self.used -= 1;
        frames.release(machine, mfn, 0);
    }
}
