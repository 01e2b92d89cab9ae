//! A process on a host: the hypervisor is [`crate::fake`], one of whose domains is current.
// UNSAFETY: passes on what callers of the real functions promise.
#![allow(unsafe_code)]

use core::ptr::NonNull;
use std::{boxed::Box, rc::Rc};

use xen_abi::{Domid, Gfn, PAGE_SIZE};

use crate::{exec::Executor, fake, shared::SharedMemory, smp::StartError, system::System, time::Instant};

/// Which domain something belongs to.
pub(crate) type Home = Domid;

/// # Safety
///
/// As [`crate::hypercall::call`].
pub(crate) unsafe fn hypercall<const N: usize>(nr: usize, args: [usize; N]) -> i64 {
    let mut all = [0; 5];
    all[..N].copy_from_slice(&args);
    // SAFETY: the caller's promise.
    unsafe { fake::current().hypercall(nr as u32, all) }
}

/// There are no interrupts: what is pending is delivered in `wait` and between tasks.
pub(crate) fn irq_save() -> usize {
    0
}

pub(crate) fn irq_restore(_flags: usize) {}

pub(crate) fn cpu() -> usize {
    0
}

pub(crate) fn kick(_cpu: usize) {}

/// A fake domain has one vCPU.
pub(crate) fn start_cpu(_cpu: usize, _work: Box<dyn FnOnce() + Send>) -> Result<(), StartError> {
    Err(StartError::NoSuchVcpu)
}

/// # Safety
///
/// As the real one: at least one block of 32 bytes, word aligned, valid, apart from each other.
pub(crate) unsafe fn copy_blocks(from: *const u8, into: *mut u8, blocks: usize) {
    for word in 0..blocks * 8 {
        // SAFETY: the caller's promise.
        unsafe { into.cast::<u32>().add(word).write_volatile(from.cast::<u32>().add(word).read_volatile()) };
    }
}

pub(crate) fn wait(deadline: Option<Instant>) {
    fake::idle(deadline);
}

pub(crate) fn now_ns() -> u64 {
    fake::now_ns()
}

pub(crate) fn alloc_pages(count: usize) -> Option<NonNull<u8>> {
    fake::current().alloc_pages(count)
}

/// # Safety
///
/// The pages came from `alloc_pages`, and nobody uses them.
pub(crate) unsafe fn free_pages(start: NonNull<u8>, count: usize) {
    // SAFETY: the caller's promise.
    unsafe { fake::free_pages(start, count) }
}

pub(crate) fn gfn_of(page: NonNull<u8>) -> Gfn {
    fake::gfn_of(page)
}

pub(crate) fn address_of(at: NonNull<u8>) -> Option<u64> {
    Some(fake::address_of(at))
}

pub(crate) fn mapped_at(gfn: Gfn) -> NonNull<u8> {
    fake::current().mapped_at(gfn)
}

pub(crate) fn grant_frame(index: usize) -> Option<Gfn> {
    fake::grant_frame(index)
}

pub(crate) fn system() -> &'static System {
    fake::current().system()
}

pub(crate) fn executor() -> Rc<Executor> {
    fake::executor()
}

pub(crate) fn home() -> Home {
    fake::current().id()
}

/// Nothing happens when the domain, or the machine, is gone.
pub(crate) fn within<T>(home: Home, f: impl FnOnce() -> T) -> Option<T> {
    Some(fake::find(home)?.within(f))
}

/// A page that the toolstack put into the domain's memory map.
pub(crate) fn map_magic(gfn: Gfn) -> Option<SharedMemory> {
    let page = fake::current().magic_page(gfn)?;
    // SAFETY: pages of the toolstack stay for the life of the machine.
    Some(unsafe { SharedMemory::new(page, PAGE_SIZE) })
}

/// Delivers what is pending.
pub(crate) fn poll_interrupts() {
    fake::deliver();
}
