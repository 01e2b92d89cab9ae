//! 64-bit ARM: ARMv8-A, in EL1.
// UNSAFETY: assembly, and the registers of the CPU.
#![allow(unsafe_code)]

mod faults;
mod hvc;
mod sysreg;

use core::{
    arch::{asm, global_asm},
    ptr::NonNull,
    sync::atomic::{Ordering, compiler_fence},
};

use xen_abi::psci;

pub(crate) use hvc::{hypercall, smccc};
pub(crate) use sysreg::{
    affinity, cntfrq, cntvct, cpu, gic_cpu_on, gic_finish, gic_send, gic_take, set_cntv_ctl, set_cntv_cval,
    set_cpu, set_wxn, tlbi_all, tlbi_page, translate,
};

global_asm!(include_str!("arm64/head.S"), options(raw));
global_asm!(include_str!("arm64/vectors.S"), options(raw));

/// Addresses that can be translated.
pub(crate) const ADDRESS_SPACE: u64 = 1 << 39;

/// The PSCI function that starts a vCPU at an address of this state.
pub(crate) const CPU_ON: u32 = psci::id::CPU_ON | psci::id::SMC64;

/// Masks interrupts; gives what to restore.
#[inline]
pub(crate) fn irq_save() -> usize {
    let daif: usize;
    // SAFETY: masking interrupts does not touch memory.
    unsafe { asm!("mrs {}, daif", "msr daifset, #2", out(reg) daif, options(nomem, nostack)) };
    compiler_fence(Ordering::SeqCst);
    daif
}

/// Puts the interrupt mask back to what [`irq_save`] found.
#[inline]
pub(crate) fn irq_restore(daif: usize) {
    compiler_fence(Ordering::SeqCst);
    // SAFETY: only the interrupt mask differs.
    unsafe { asm!("msr daif, {}", in(reg) daif, options(nomem, nostack)) };
}

/// Lets interrupts in for the first time.
pub(crate) fn irq_enable() {
    // SAFETY: handlers are in place, says the caller, and may run here.
    unsafe { asm!("msr daifclr, #2", options(nomem, nostack)) };
}

/// Copies `blocks` blocks of 32 bytes, in order, each word loaded and stored once.
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
            "ldp {a}, {b}, [{from}], #16",
            "ldp {c}, {d}, [{from}], #16",
            "subs {blocks}, {blocks}, #1",
            "stp {a}, {b}, [{into}], #16",
            "stp {c}, {d}, [{into}], #16",
            "b.ne 2b",
            from = inout(reg) from => _,
            into = inout(reg) into => _,
            blocks = inout(reg) blocks => _,
            a = out(reg) _,
            b = out(reg) _,
            c = out(reg) _,
            d = out(reg) _,
            options(nostack),
        );
    }
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
    unsafe { asm!("ldr {:w}, [{}]", out(reg) value, in(reg) at.as_ptr(), options(nostack)) };
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
    unsafe { asm!("str {:w}, [{}]", in(reg) value, in(reg) at.as_ptr(), options(nostack)) };
}

/// Sleeps until an interrupt is due.
pub(crate) fn wait_for_interrupt() {
    // SAFETY: it only waits.
    unsafe { asm!("dsb sy", "wfi", options(nostack)) };
}

/// This function's frame pointer.
#[inline(always)]
pub(crate) fn frame_pointer() -> usize {
    let here;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, x29", out(reg) here, options(nomem, nostack)) };
    here
}
