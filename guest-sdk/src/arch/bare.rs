//! What both states have in common when there is nothing below but the hypervisor.
// UNSAFETY: barriers, and reads of the chain of frames on the stack.
#![allow(unsafe_code)]

use core::{arch::asm, ptr::NonNull};

use xen_abi::Gfn;

use super::state;
use crate::mm;

pub(crate) use super::{
    image::{image, secondary_entry, tables, vcpu_stacks},
    state::{
        ADDRESS_SPACE, CPU_ON, affinity, copy_blocks, cpu, gic_cpu_on, gic_finish, gic_send, gic_take,
        hypercall, irq_enable, irq_restore, irq_save, mmio_read, mmio_write, set_cpu, smccc,
    },
};
pub(crate) use crate::{
    boot::{boot_info, grant_frame, shutdown},
    mm::{alloc_pages, free_pages, map_magic},
    percpu::{executor, system},
    smp::bare::{kick, start_cpu},
};

/// Which domain something belongs to: there is one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Home;

/// There is one domain.
pub(crate) fn home() -> Home {
    Home
}

/// There is one domain, and it is there.
pub(crate) fn within<T>(_home: Home, f: impl FnOnce() -> T) -> Option<T> {
    Some(f())
}

/// Sleeps until an interrupt is due, or the time has come. Called with interrupts masked; they are
/// handled when they are let in again.
pub(crate) fn wait(deadline: Option<crate::time::Instant>) {
    crate::timer::set(deadline);
    state::wait_for_interrupt();
}

/// There are interrupts.
pub(crate) fn poll_interrupts() {}

pub(crate) fn now_ns() -> u64 {
    crate::timer::now_ns()
}

/// The value of the virtual counter.
#[inline]
pub(crate) fn counter() -> u64 {
    state::cntvct()
}

/// The counter's frequency, by its own register.
pub(crate) fn counter_hz() -> u32 {
    state::cntfrq()
}

/// Has the virtual timer fire when the counter reaches a value, or not at all.
pub(crate) fn timer_set(at: Option<u64>) {
    /// Enabled; enabled but masked.
    const ON: u32 = 1;
    const OFF: u32 = 2;
    match at {
        Some(at) => {
            state::set_cntv_cval(at);
            state::set_cntv_ctl(ON);
        }
        None => state::set_cntv_ctl(OFF),
    }
}

/// The guest-physical address of a virtual one, if it is mapped.
pub(crate) fn address_of(at: NonNull<u8>) -> Option<u64> {
    state::translate(at.as_ptr() as usize)
}

/// Memory is mapped at its own address.
pub(crate) fn gfn_of(page: NonNull<u8>) -> Gfn {
    Gfn::containing(page.as_ptr() as usize as u64)
}

/// Memory is mapped at its own address.
pub(crate) fn mapped_at(gfn: Gfn) -> NonNull<u8> {
    let address = gfn.0 * xen_abi::PAGE_SIZE as u64;
    NonNull::new(address as usize as *mut u8).unwrap_or(NonNull::dangling())
}

/// What was written before is visible to others before what follows is.
#[inline]
pub(crate) fn barrier() {
    // SAFETY: a barrier.
    unsafe { asm!("dsb ish", options(nostack)) };
}

/// Makes the table walker see entries that were written.
pub(crate) fn tables_written() {
    // SAFETY: barriers.
    unsafe { asm!("dsb ish", "isb", options(nostack)) };
}

/// Forgets translations, on all vCPUs.
pub(crate) fn tlb_invalidate(va: u64, size: u64) {
    /// With more pages than this it is all or nothing.
    const SINGLE: u64 = 64;
    let page = xen_abi::PAGE_SIZE as u64;
    if size / page > SINGLE {
        state::tlbi_all();
    } else {
        for at in (va..va + size).step_by(xen_abi::PAGE_SIZE) {
            state::tlbi_page(at);
        }
    }
    tables_written();
}

/// Has memory that can be written never be executed.
pub(crate) fn forbid_writable_code() {
    state::set_wxn();
}

/// Stops this vCPU for ever.
pub(crate) fn halt() -> ! {
    irq_save();
    loop {
        // With interrupts masked nothing runs any more.
        state::wait_for_interrupt();
    }
}

/// Return addresses, innermost first, from frame pointer `fp` on, or from the caller's for none.
pub(crate) fn backtrace(fp: Option<usize>, mut each: impl FnMut(usize)) {
    const DEEPEST: usize = 32;
    let mut fp = fp.unwrap_or_else(state::frame_pointer);
    for _ in 0..DEEPEST {
        // A frame is the caller's frame pointer and the return address.
        let Some(frame) = NonNull::new(fp as *mut [usize; 2]) else {
            return;
        };
        if !frame.is_aligned() || !mm::is_stack(fp as u64) {
            return;
        }
        // SAFETY: stacks are mapped, whatever is in them.
        let [next, lr] = unsafe { frame.read_volatile() };
        // The first code of a vCPU has no caller.
        if lr == 0 {
            return;
        }
        each(lr);
        if next <= fp {
            return;
        }
        fp = next;
    }
}
