//! The memory of the fake machine: pages of the process's heap under frame numbers of our own.
// UNSAFETY: allocates and frees pages.
#![allow(unsafe_code)]

use std::{
    alloc::{Layout, alloc_zeroed, dealloc},
    cell::RefCell,
    collections::BTreeMap,
    ptr::NonNull,
};

use xen_abi::{Domid, Gfn, PAGE_SIZE};

use super::{Page, machine};

/// The first frame of RAM, as in a domain that the toolstack builds.
const RAM: u64 = xen_abi::arch::layout::RAM0_BASE / PAGE_SIZE as u64;
/// The first frame of the space for the grant table.
const GRANT_TABLE: u64 = xen_abi::arch::layout::GNTTAB_BASE / PAGE_SIZE as u64;
/// Frames that the grant table may have.
pub(super) const MAX_GRANT_FRAMES: usize = 4;

/// A page of RAM.
#[derive(Clone, Copy, Debug)]
struct Ram {
    page: Page,
    owner: Domid,
}

/// All RAM, by frame number; a number belongs to one domain only.
#[derive(Default)]
pub(super) struct Frames {
    ram: RefCell<BTreeMap<u64, Ram>>,
    /// Where each page is.
    numbers: RefCell<BTreeMap<NonNull<u8>, u64>>,
}

fn layout(count: usize) -> Option<Layout> {
    let size = count.checked_mul(PAGE_SIZE)?;
    Layout::from_size_align(size, size.checked_next_power_of_two()?).ok()
}

impl Frames {
    /// Allocates pages for a domain.
    pub(super) fn alloc(&self, owner: Domid, count: usize) -> Option<NonNull<u8>> {
        // SAFETY: the size is not 0: `Pages` refuses that.
        let start = NonNull::new(unsafe { alloc_zeroed(layout(count)?) })?;
        let mut ram = self.ram.borrow_mut();
        let first = ram.keys().next_back().map_or(RAM, |last| last + 1);
        for i in 0..count {
            // SAFETY: `i` is below the number of pages allocated.
            let page = Page(unsafe { start.add(i * PAGE_SIZE) });
            let gfn = first + i as u64;
            ram.insert(gfn, Ram { page, owner });
            self.numbers.borrow_mut().insert(page.0, gfn);
        }
        Some(start)
    }

    /// The page that a domain owns at a frame.
    pub(super) fn owned(&self, owner: Domid, gfn: Gfn) -> Option<Page> {
        let ram = self.ram.borrow().get(&gfn.0).copied()?;
        (ram.owner == owner).then_some(ram.page)
    }
}

/// # Safety
///
/// The pages came from [`Frames::alloc`], and nobody uses them.
pub(crate) unsafe fn free_pages(start: NonNull<u8>, count: usize) {
    let machine = machine();
    for i in 0..count {
        // SAFETY: `i` is below the number of pages.
        let page = unsafe { start.add(i * PAGE_SIZE) };
        if let Some(gfn) = machine.frames.numbers.borrow_mut().remove(&page) {
            machine.frames.ram.borrow_mut().remove(&gfn);
        }
    }
    if let Some(layout) = layout(count) {
        // SAFETY: it was allocated with that layout.
        unsafe { dealloc(start.as_ptr(), layout) }
    }
}

pub(crate) fn gfn_of(page: NonNull<u8>) -> Gfn {
    let machine = machine();
    let numbers = machine.frames.numbers.borrow();
    Gfn(*numbers.get(&page).expect("not a page of this machine"))
}

/// The guest-physical address of anything: of a page by its frame, of what lies elsewhere in the
/// process by its own address, which is far above all frames.
pub(crate) fn address_of(at: NonNull<u8>) -> u64 {
    let machine = machine();
    let numbers = machine.frames.numbers.borrow();
    let address = at.as_ptr() as usize as u64;
    let below = numbers.range(..=at).next_back();
    match below.map(|(page, gfn)| (address - page.as_ptr() as usize as u64, gfn)) {
        Some((offset, gfn)) if offset < PAGE_SIZE as u64 => gfn * PAGE_SIZE as u64 + offset,
        _ => address,
    }
}

pub(crate) fn grant_frame(index: usize) -> Option<Gfn> {
    (index < MAX_GRANT_FRAMES).then_some(Gfn(GRANT_TABLE + index as u64))
}
