//! AArch64: EL2 of ARMv8-A, with or without the virtualization host extensions, which are not used.
//!
//! What an execution state defines for the rest of the image is what is `pub` here.
#![allow(unsafe_code)]
// UNSAFETY: assembly, and the registers of the hypervisor's own regime.

pub mod context;
mod copy;
pub mod device;
pub mod errata;
pub mod fault;
mod fp;
pub mod gic_sysregs;
pub mod hardening;
pub mod identity;
pub mod inject;
pub mod maintenance;
pub mod registers;
pub mod sysregs;
pub mod translate;

use core::{
    arch::{asm, global_asm},
    ffi::c_void,
    mem::offset_of,
    ops::Range,
};

use hv_core::{Current, trap::FaultRegisters};

use super::{image_to_physical, set_image_offset};
use crate::{
    board::Board,
    mm::tables,
    percpu::{MAX_CPUS, PerCpu},
};
pub use maintenance::flush_own_tlb;
use sysregs::*;

/// General registers that a trap saves.
pub type Regs = hv_core::regs::Arm64Regs;

/// Where the image is linked; `link/arm64.ld` says the same.
pub const IMAGE: usize = 0x0020_0000;
/// Where it is mapped as well while a CPU starts; they differ in bit 23.
pub const IMAGE_ALIASES: [usize; 2] = [0x0040_0000, 0x00c0_0000];
/// Device registers.
pub const DEVICES: Range<usize> = 0x1000_0000..0x2000_0000;
/// Stacks of the CPUs but the first, each above a page that is not mapped.
pub const STACKS: Range<usize> = 0x0080_0000..0x00a0_0000;
/// Vectors of CPUs that need their own, a page for each.
pub const VECTORS: Range<usize> = 0x00a0_0000..0x00a0_0000 + MAX_CPUS * tables::PAGE_SIZE;
/// The boot device tree, until it has been copied.
pub const BOOT_DATA: Range<usize> = 0x0100_0000..0x0140_0000;
/// All RAM.
pub const DIRECT_MAP: Range<usize> = 0x10_0000_0000..0x7f_ffff_f000;
/// Bytes of a level 1 table.
pub const LEVEL1_SIZE: usize = 4096;
/// Tables there are room for: each GiB of RAM takes one.
pub const TABLES: usize = 64;
/// How the exception level is called that the image has to be entered at.
pub const BOOT_MODE_NAME: &str = "EL2";
/// How the state is called.
pub const NAME: &str = "arm64";
/// Where the image's header has the length of the file.
pub const HEADER_FILE_SIZE: usize = 0x40;

/// SCTLR_EL2: MMU, caches, stack alignment, WXN; the rest is reserved as one.
const EL2_CONTROL: u64 = 0x30c5_0830 | 1 << 0 | 1 << 2 | 1 << 3 | 1 << 12 | 1 << 19;
/// SCTLR_EL1: MMU and caches.
const EL1_CONTROL: u64 = 0x30d0_0800 | 1 << 0 | 1 << 2 | 1 << 12;
/// TCR_EL2: 39 bits, walks write-back and inner shareable.
const TCR: u64 = 1 << 31 | 1 << 23 | WALKS | 25;
/// TCR_EL1: the same for the lower half; none for the upper.
const TCR_EL1_BOOT: u64 = 1 << 23 | WALKS | 25;
const WALKS: u64 = 3 << 12 | 1 << 10 | 1 << 8;

global_asm!(
    include_str!("head.S"),
    boot_tables = sym tables::POOL,
    boot_tables_size = const tables::BOOT_SIZE,
    image_table = const tables::boot::IMAGE * tables::PAGE_SIZE,
    table_a2 = const tables::boot::A2 * tables::PAGE_SIZE,
    table_identity = const tables::boot::IDENTITY * tables::PAGE_SIZE,
    table_b2 = const tables::boot::B2 * tables::PAGE_SIZE,
    b_offset = const tables::boot::B_OFFSET,
    table = const tables::TABLE,
    page_text = const tables::PAGE_TEXT,
    block_text = const tables::BLOCK_TEXT,
    read_only = const tables::READ_ONLY,
    execute_never = const tables::EXECUTE_NEVER,
    mair = const tables::MAIR,
    tcr = const TCR,
    tcr_el1 = const TCR_EL1_BOOT,
    el2_control = const EL2_CONTROL,
    el1_control = const EL1_CONTROL,
    alias_0 = const IMAGE_ALIASES[0],
    alias_1 = const IMAGE_ALIASES[1],
    primary_entry = sym primary_entry,
    secondary_entry = sym crate::smp::secondary_entry,
    secondary_stack = sym crate::smp::SECONDARY_STACK,
);

/// ESR of a hypercall, but for the exception class's bit that tells the guest's state: `HVC` with Xen's
/// immediate.
const HYPERCALL: u32 = 0x12 << 26 | 1 << 25 | xen_abi::hypercall::HVC_TAG as u32;
/// All bits but that one.
const EITHER_STATE: u32 = !(1 << 28);
/// What is left by it of no syndrome.
const NO_SYNDROME: u32 = u32::MAX;

global_asm!(
    include_str!("entry.S"),
    pc = const offset_of!(Regs, pc),
    either_state = const EITHER_STATE,
    serve_hypercall = sym crate::run::hypercall,
    serve_trap = sym crate::run::trap,
    serve_interrupt = sym crate::run::interrupt,
    fault_stack = const offset_of!(PerCpu, fault_stack),
    frame_size = const size_of::<fault::Frame>().next_multiple_of(16),
    frame_sp = const offset_of!(fault::Frame, sp),
    frame_pc = const offset_of!(fault::Frame, pc),
    frame_pstate = const offset_of!(fault::Frame, pstate),
    own_fault = sym fault::own_fault,
    synchronous = const fault::SYNCHRONOUS,
    interrupt = const fault::INTERRUPT,
    serror = const fault::SERROR,
);

global_asm!(include_str!("memory.S"));

unsafe extern "C" {
    static el2_vectors: u8;
    static secondary_start: u8;
    fn enter_guest(current: *mut c_void, timed: usize, regs: *mut Regs, hypercall: usize);
    fn take_pending_abort() -> bool;
    fn copy_bytes(to: usize, from: usize, bytes: usize) -> usize;
    fn fill_bytes(to: usize, byte: u32, bytes: usize) -> usize;
}

/// Where the assembly arrives with the first CPU.
///
/// # Safety
///
/// Called once, from `head.S`.
unsafe extern "C" fn primary_entry(dtb: u64, image: u64, level: u64) -> ! {
    set_image_offset((image as usize).wrapping_sub(IMAGE));
    if level != 2 {
        crate::boot::refuse(dtb, "EL1");
    }
    crate::boot::start(dtb)
}

/// VTCR_EL2: 40 bits from level 1 on, two tables side by side; walks write-back, inner shareable.
const VTCR: u64 = 1 << 31 | 3 << 12 | 1 << 10 | 1 << 8 | 1 << 6 | 24;
const VTCR_PS_SHIFT: u32 = 16;
/// 40 bits: what a guest's physical addresses have, and no entry leads further.
const PS_40_BITS: u64 = 2;
/// CPTR_EL2: SVE, SME and the trace registers trap; the rest is reserved as one.
const CPTR: u64 = 0x33ff | 1 << 20;
/// AArch32: CP15 c15 traps.
const HSTR: u64 = 1 << 15;
/// Debug and performance monitor registers trap.
const MDCR: u64 = 1 << 11 | 1 << 10 | 1 << 9 | 1 << 6 | 1 << 5;
/// How many counters MDCR leaves to EL1: all, which is what it says at reset.
const MDCR_COUNTERS: u64 = 0x1f;
/// EL1 may read the physical counter; the physical timer traps.
const CNTHCTL: u64 = 1 << 0;
/// ISR: an interrupt is pending.
const ISR_IRQ: u64 = 1 << 7;
/// MPIDR: the affinities.
const AFFINITY: u64 = 0xff_00ff_ffff;

/// Sets up this CPU for guests.
pub fn init_cpu() {
    identity::add_cpu();
    errata::add_cpu();
    let physical = (ID_AA64MMFR0_EL1::read() & 0xf).min(PS_40_BITS);
    VTCR_EL2::write(VTCR | physical << VTCR_PS_SHIFT);
    CPTR_EL2::write(CPTR);
    HSTR_EL2::write(HSTR);
    MDCR_EL2::write(MDCR_EL2::read() & MDCR_COUNTERS | MDCR);
    CNTHCTL_EL2::write(CNTHCTL);
    CNTHP_CTL_EL2::write(0);
    CNTV_CTL_EL0::write(0);
    VPIDR_EL2::write(MIDR_EL1::read());
    // SAFETY: the vectors of `entry.S`, aligned there.
    unsafe { asm!("msr vbar_el2, {}", "isb", in(reg) &raw const el2_vectors, options(nostack)) };
}

/// Affinity of this CPU, as firmware names it.
pub fn affinity() -> u64 {
    MPIDR_EL1::read() & AFFINITY
}

/// Where firmware starts another CPU.
pub fn secondary_entry() -> u64 {
    // SAFETY: only the address is used.
    image_to_physical(unsafe { &secondary_start })
}

/// ESR.EC of an SError.
const EC_SERROR: u32 = 0x2f;

/// Whether a trap is an asynchronous abort, which the instruction it was taken at has not caused.
pub fn is_asynchronous(syndrome: u32) -> bool {
    syndrome >> 26 == EC_SERROR
}

/// Runs the guest that is loaded until one of [`crate::run`]'s functions says that it may not go on.
pub fn run(current: &mut Current<'_, Board>, timed: bool) {
    let regs: *mut Regs = &mut *current.regs;
    let hypercall = if timed { NO_SYNDROME } else { HYPERCALL };
    // SAFETY: a guest's context is loaded; whatever it does in its lower level, stage 2 keeps it
    // from our memory, and the assembly gives our registers back. It touches the guest's only while no
    // function that has `current` runs.
    unsafe { enter_guest((&raw mut *current).cast(), timed.into(), regs, hypercall as usize) }
}

/// What the hardware says beside the syndrome of an abort.
pub fn fault_registers(_syndrome: u32) -> FaultRegisters {
    FaultRegisters { far: FAR_EL2::read(), hpfar: HPFAR_EL2::read() }
}

/// Takes an asynchronous abort that the guest which is just leaving this CPU has caused.
pub fn pending_abort() -> bool {
    // SAFETY: the guest's thread registers have been saved, as the handler requires.
    unsafe { take_pending_abort() }
}

/// Whether a physical interrupt waits.
#[inline]
pub fn interrupt_waiting() -> bool {
    ISR_EL1::read() & ISR_IRQ != 0
}

/// Calls the firmware.
pub fn smc(args: [usize; 4]) -> usize {
    let result;
    // SAFETY: power control functions change no memory of ours; the calling convention lets x0 to x17
    // be clobbered.
    unsafe {
        asm!("smc #0", inlateout("x0") args[0] => result, inlateout("x1") args[1] => _,
            inlateout("x2") args[2] => _, inlateout("x3") args[3] => _, out("x4") _, out("x5") _,
            out("x6") _, out("x7") _, out("x8") _, out("x9") _, out("x10") _, out("x11") _, out("x12") _,
            out("x13") _, out("x14") _, out("x15") _, out("x16") _, out("x17") _, options(nostack));
    }
    result
}

/// Says where this CPU's own data is.
///
/// # Safety
///
/// A `PerCpu` is there for good, and no other CPU has it.
pub unsafe fn set_per_cpu(at: usize) {
    TPIDR_EL2::write(at as u64);
}

/// Where this CPU's own data is.
#[inline(always)]
pub fn per_cpu() -> usize {
    TPIDR_EL2::read() as usize
}

/// Copies bytes that others may write meanwhile, in whole words where both sides are aligned.
///
/// # Safety
///
/// Both ranges are mapped and may be accessed; they do not overlap.
#[inline(always)]
pub unsafe fn copy(to: usize, from: usize, len: usize) {
    // SAFETY: passed on. Assembly, so that no compiler assumes that nobody else is there.
    unsafe { copy_bytes(to, from, len) };
}

/// DCZID: zeroing by blocks is prohibited; log2 of the words of a block.
const DCZID_PROHIBITED: u64 = 1 << 4;
const DCZID_SIZE: u64 = 0xf;

/// Fills memory with zeroes.
///
/// # Safety
///
/// The range is mapped and may be written.
pub unsafe fn zero(start: usize, len: usize) {
    let zeroing = DCZID_EL0::read();
    let block = 4 << (zeroing & DCZID_SIZE);
    if zeroing & DCZID_PROHIBITED != 0 || !(start | len).is_multiple_of(block) {
        // SAFETY: passed on.
        unsafe { fill_bytes(start, 0, len) };
        return;
    }
    let end = start + len;
    let mut at = start;
    while at < end {
        // SAFETY: passed on; whole blocks of normal memory.
        unsafe { asm!("dc zva, {}", in(reg) at, options(nostack, preserves_flags)) };
        at = at.wrapping_add(block);
    }
}
