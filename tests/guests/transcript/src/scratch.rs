//! The pages that calls point to.

use guest_sdk::{
    abi::{
        Domid, Errno, Gfn, GuestHandle, PAGE_SIZE,
        hypercall::MEMORY_OP,
        memory::{MemoryReservation, RemoveFromPhysmap, op},
    },
    memory::Pages,
};
use zerocopy::IntoBytes;

use crate::calls::{self, Call};

/// Pages there are.
const COUNT: usize = 32;
/// Holds the argument's structure; there is no memory behind it.
const ARGUMENT: usize = 0;
/// Holds what the structure's handles point to; no memory behind it either.
const DATA: usize = 2;
/// The first of those that are memory, for calls that want a frame.
pub const MEMORY: usize = 4;
/// How many.
pub const MEMORY_PAGES: usize = 4;
/// The first of those that are none.
pub const HOLE: usize = MEMORY + MEMORY_PAGES;

/// Frames that are given back besides, so that there is something to ask for.
pub const SPARE: u64 = 1024;

/// Addresses in them.
#[derive(Clone, Copy)]
pub struct Scratch {
    start: usize,
    gfn: Gfn,
}

impl Scratch {
    /// Makes the pages, and the holes between them.
    pub fn new() -> Result<Self, Errno> {
        let spare = Pages::new(SPARE as usize)?;
        let pages = Pages::new(COUNT)?;
        let gfn = pages.gfn(0);
        let scratch = Self { start: pages.into_raw().as_ptr() as usize, gfn };
        for hole in [ARGUMENT + 1, DATA + 1].into_iter().chain(HOLE..COUNT) {
            scratch.give_back(hole);
        }
        scratch.give_back_from(spare.gfn(0).0);
        spare.into_raw();
        Ok(scratch)
    }

    /// Gives the memory of a page back to the hypervisor.
    pub fn give_back(self, page: usize) {
        self.reservation(op::DECREASE_RESERVATION, &[self.gfn(page)]);
    }

    /// Gives back what is at a frame and at those after it, as many as one extent may have.
    pub fn give_back_from(self, first: u64) {
        const AT_ONCE: usize = 64;
        for start in (first..first + SPARE).step_by(AT_ONCE) {
            let gfns: [Gfn; AT_ONCE] = core::array::from_fn(|i| Gfn(start + i as u64));
            self.reservation(op::DECREASE_RESERVATION, &gfns);
        }
    }

    /// Puts memory behind a page again.
    pub fn populate(self, page: usize) {
        self.reservation(op::POPULATE_PHYSMAP, &[self.gfn(page)]);
    }

    fn reservation(self, command: u32, extents: &[Gfn]) {
        let list = self.argument() + size_of::<MemoryReservation>();
        calls::store(list, extents.as_bytes());
        let reservation = MemoryReservation {
            extent_start: GuestHandle::new(list as u64),
            nr_extents: extents.len() as u64,
            domid: Domid::SELF,
            ..Default::default()
        };
        calls::store(self.argument(), reservation.as_bytes());
        calls::make(Call(MEMORY_OP, [command as usize, self.argument(), 0, 0, 0]));
    }

    /// Ends a domain's claim.
    pub fn claim_nothing(self, domid: Domid) {
        calls::store(self.argument(), MemoryReservation { domid, ..Default::default() }.as_bytes());
        calls::make(Call(MEMORY_OP, [op::CLAIM_PAGES as usize, self.argument(), 0, 0, 0]));
    }

    /// Removes whatever is mapped at a page.
    pub fn unmap(self, page: usize) {
        let remove = RemoveFromPhysmap { domid: Domid::SELF, gpfn: self.gfn(page), ..Default::default() };
        calls::store(self.argument(), remove.as_bytes());
        calls::make(Call(MEMORY_OP, [op::REMOVE_FROM_PHYSMAP as usize, self.argument(), 0, 0, 0]));
    }

    /// Where the argument's structure goes.
    pub fn argument(self) -> usize {
        self.page(ARGUMENT)
    }

    /// Where what it points to goes.
    pub fn data(self) -> usize {
        self.page(DATA)
    }

    /// A handle to that.
    pub fn handle<T>(self) -> GuestHandle<T> {
        GuestHandle::new(self.data() as u64)
    }

    /// The address of a page.
    pub fn page(self, index: usize) -> usize {
        self.start + index * PAGE_SIZE
    }

    /// Its frame.
    pub fn gfn(self, index: usize) -> Gfn {
        Gfn(self.gfn.0 + index as u64)
    }

    /// What a number is, if it is an address or a frame of ours: a name that is the same wherever they lie.
    pub fn name(self, number: u64) -> Option<(&'static str, u64)> {
        let at = number.wrapping_sub(self.start as u64);
        let frame = number.wrapping_sub(self.gfn.0);
        if at < (COUNT * PAGE_SIZE) as u64 {
            Some(("at", at))
        } else if frame < COUNT as u64 {
            Some(("gfn", frame))
        } else {
            None
        }
    }
}
