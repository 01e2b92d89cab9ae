//! 32-bit ARM: ARMv7-A with LPAE and the virtualization extensions, in SVC mode.
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

global_asm!(include_str!("arm32/head.S"), options(raw));
global_asm!(include_str!("arm32/vectors.S"), options(raw));

/// Addresses that can be translated.
pub(crate) const ADDRESS_SPACE: u64 = 1 << 32;

/// The PSCI function that starts a vCPU at an address of this state.
pub(crate) const CPU_ON: u32 = psci::id::CPU_ON;

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

// Not by the link register: below a 64-bit hypervisor QEMU 7.2 says that User mode's was used.

/// Reads a register of a device by one plain load, which a hypervisor can emulate.
///
/// # Safety
///
/// `at` is that of a register that may be read.
#[inline]
pub(crate) unsafe fn mmio_read(at: NonNull<u32>) -> u32 {
    let value;
    // SAFETY: the caller's promise.
    unsafe { asm!("ldr r0, [{}]", in(reg) at.as_ptr(), out("r0") value, options(nostack)) };
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
    unsafe { asm!("str r0, [{}]", in(reg) at.as_ptr(), in("r0") value, options(nostack)) };
}

/// Sleeps until an interrupt is due.
pub(crate) fn wait_for_interrupt() {
    // SAFETY: it only waits.
    unsafe { asm!("dsb", "wfi", options(nostack)) };
}

/// This function's frame pointer.
#[inline(always)]
pub(crate) fn frame_pointer() -> usize {
    let here;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, r11", out(reg) here, options(nomem, nostack)) };
    here
}
