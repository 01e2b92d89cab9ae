//! 32-bit ARM: ARMv7-A with LPAE and the virtualization extensions, in SVC mode.
// UNSAFETY: assembly, and the registers of the CPU.
#![allow(unsafe_code)]

mod boot;
mod cp15;
mod faults;
mod hvc;

use core::{
    arch::{asm, global_asm},
    ptr::NonNull,
    sync::atomic::{Ordering, compiler_fence},
};

use xen_abi::Gfn;

pub(crate) use boot::{image, secondary_entry, tables, vcpu_stacks};
pub(crate) use cp15::{cpu, set_cpu};
pub(crate) use faults::backtrace;
pub(crate) use hvc::{hypercall, smccc};

pub(crate) use crate::{
    boot::{boot_info, grant_frame, shutdown},
    mm::{alloc_pages, free_pages, map_magic},
    percpu::{executor, system},
    smp::bare::{kick, start_cpu},
};

global_asm!(include_str!("arm32/head.S"), options(raw));
global_asm!(include_str!("arm32/vectors.S"), options(raw));

/// Addresses that can be translated.
pub(crate) const ADDRESS_SPACE: u64 = 1 << 32;

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

/// Masks interrupts; gives what to restore.
#[inline]
pub(crate) fn irq_save() -> usize {
    let cpsr: usize;
    // SAFETY: masking interrupts does not touch memory.
    unsafe { asm!("mrs {}, cpsr", "cpsid i", out(reg) cpsr, options(nomem, nostack)) };
    compiler_fence(Ordering::SeqCst);
    cpsr
}

/// Puts the interrupt mask back to what [`irq_save`] found.
#[inline]
pub(crate) fn irq_restore(cpsr: usize) {
    compiler_fence(Ordering::SeqCst);
    // SAFETY: only the control bits are written, and only the interrupt mask differs in them.
    unsafe { asm!("msr cpsr_c, {}", in(reg) cpsr, options(nomem, nostack)) };
}

/// Lets interrupts in for the first time.
pub(crate) fn irq_enable() {
    // SAFETY: handlers are in place, says the caller, and may run here.
    unsafe { asm!("cpsie i", options(nomem, nostack)) };
}

/// Copies `blocks` blocks of 32 bytes, in order, each word loaded and stored once: 6 instructions a block, where
/// volatile accesses one by one take 16 and more.
///
/// # Safety
///
/// There is at least one block. `from` is valid for reads, `into` for writes of all of them, both are word aligned,
/// and they do not overlap. Others may write to either meanwhile.
pub(crate) unsafe fn copy_blocks(from: *const u8, into: *mut u8, blocks: usize) {
    // SAFETY: the caller's promises; the loop ends after `blocks` times 32 bytes.
    unsafe {
        asm!(
            "2:",
            "ldmia {from}!, {{r3, r4, r5, r8}}",
            "stmia {into}!, {{r3, r4, r5, r8}}",
            "ldmia {from}!, {{r3, r4, r5, r8}}",
            "subs {blocks}, {blocks}, #1",
            "stmia {into}!, {{r3, r4, r5, r8}}",
            "bne 2b",
            from = inout(reg) from => _,
            into = inout(reg) into => _,
            blocks = inout(reg) blocks => _,
            out("r3") _,
            out("r4") _,
            out("r5") _,
            out("r8") _,
            options(nostack),
        );
    }
}

/// Sleeps until an interrupt is due, or the time has come. Called with interrupts masked; they are
/// handled when they are let in again.
pub(crate) fn wait(deadline: Option<crate::time::Instant>) {
    crate::timer::set(deadline);
    // SAFETY: it only waits.
    unsafe { asm!("dsb", "wfi", options(nostack)) };
}

/// There are interrupts.
pub(crate) fn poll_interrupts() {}

pub(crate) fn now_ns() -> u64 {
    crate::timer::now_ns()
}

/// The value of the virtual counter.
#[inline]
pub(crate) fn counter() -> u64 {
    cp15::cntvct()
}

/// The counter's frequency, by its own register.
pub(crate) fn counter_hz() -> u32 {
    cp15::cntfrq()
}

/// Has the virtual timer fire when the counter reaches a value, or not at all.
pub(crate) fn timer_set(at: Option<u64>) {
    /// Enabled; enabled but masked.
    const ON: u32 = 1;
    const OFF: u32 = 2;
    match at {
        Some(at) => {
            cp15::set_cntv_cval(at);
            cp15::set_cntv_ctl(ON);
        }
        None => cp15::set_cntv_ctl(OFF),
    }
}

/// The guest-physical address of a virtual one, if it is mapped.
pub(crate) fn address_of(at: NonNull<u8>) -> Option<u64> {
    cp15::translate(at.as_ptr() as u32)
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
        cp15::tlbiallis();
    } else {
        for at in (va..va + size).step_by(xen_abi::PAGE_SIZE) {
            cp15::tlbimvaais(at as u32);
        }
    }
    tables_written();
}

/// Has memory that can be written never be executed.
pub(crate) fn forbid_writable_code() {
    cp15::set_wxn();
}

/// Reads a register of a device by one plain load, which a hypervisor can emulate.
///
/// # Safety
///
/// `at` is that of a register that may be read.
#[inline]
pub(crate) unsafe fn mmio_read(at: NonNull<u32>) -> u32 {
    let value;
    // SAFETY: the caller's promise.
    unsafe { asm!("ldr {}, [{}]", out(reg) value, in(reg) at.as_ptr(), options(nostack)) };
    value
}

/// Writes a register of a device by one plain store, which a hypervisor can emulate.
///
/// # Safety
///
/// `at` is that of a register that may be written so.
#[inline]
pub(crate) unsafe fn mmio_write(at: NonNull<u32>, value: u32) {
    // SAFETY: the caller's promise.
    unsafe { asm!("str {}, [{}]", in(reg) value, in(reg) at.as_ptr(), options(nostack)) };
}

/// What was written before is visible to others before what follows is.
#[inline]
pub(crate) fn barrier() {
    // SAFETY: a barrier.
    unsafe { asm!("dsb ish", options(nostack)) };
}

/// Stops this vCPU for ever.
pub(crate) fn halt() -> ! {
    loop {
        // SAFETY: with interrupts masked nothing runs any more.
        unsafe { asm!("cpsid if", "wfi", options(nomem, nostack)) };
    }
}
