//! AArch32: HYP mode of ARMv7-A with the virtualization extensions.
//!
//! What an execution state defines for the rest of the image is what is `pub` here.
#![allow(unsafe_code)]
// UNSAFETY: assembly, and the registers of the hypervisor's own regime.

pub mod context;
pub mod device;
pub mod errata;
pub mod fault;
pub mod gic_sysregs;
pub mod hardening;
pub mod identity;
pub mod inject;
pub mod maintenance;
pub mod registers;
pub mod sysregs;
mod thumbee;
pub mod translate;
mod vfp;

use core::{
    arch::{asm, global_asm},
    mem::offset_of,
    ops::Range,
};

use hv_core::{Current, trap::FaultRegisters};

use super::{image_to_physical, set_image_offset};
use crate::{board::Board, mm::tables, percpu::PerCpu, run};
use sysregs::*;

/// General registers that a trap saves.
pub type Regs = hv_core::regs::Arm32Regs;

/// Where the image is linked; `link/arm32.ld` says the same.
pub const IMAGE: usize = 0x0020_0000;
/// Where it is mapped as well while a CPU starts; they differ in bit 23.
pub const IMAGE_ALIASES: [usize; 2] = [0x0040_0000, 0x00c0_0000];
/// Device registers.
pub const DEVICES: Range<usize> = 0x0060_0000..0x0080_0000;
/// Stacks of the CPUs but the first, each above a page that is not mapped.
pub const STACKS: Range<usize> = 0x0080_0000..0x00a0_0000;
/// The boot device tree, until it has been copied.
pub const BOOT_DATA: Range<usize> = 0x0100_0000..0x0140_0000;
/// All RAM.
pub const DIRECT_MAP: Range<usize> = 0x1000_0000..0xffff_f000;
/// Bytes of a level 1 table.
pub const LEVEL1_SIZE: usize = 32;
/// Tables there are room for.
pub const TABLES: usize = 24;
/// Where the image's header has the length of the file.
pub const HEADER_FILE_SIZE: usize = 0x2c;
/// How the mode is called that the image has to be entered in.
pub const BOOT_MODE_NAME: &str = "HYP";
/// How the state is called.
pub const NAME: &str = "arm32";

const MODE_HYP: u32 = 0x1a;

/// HSCTLR: MMU, caches, WXN; the rest is reserved as one.
const HYP_CONTROL: u32 = 0x30c5_0878 | 1 << 0 | 1 << 2 | 1 << 12 | 1 << 19;
/// SCTLR: MMU and caches.
const CONTROL_ON: u32 = 1 << 0 | 1 << 2 | 1 << 12;
/// HTCR: the whole address space, walks write-back and inner shareable.
const TCR: u32 = 1 << 31 | 1 << 23 | 3 << 12 | 1 << 10 | 1 << 8;
/// No cache line is shorter.
const MIN_CACHE_LINE: usize = 32;

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
    execute_never = const (tables::EXECUTE_NEVER >> 32) as u32,
    mair = const tables::MAIR,
    tcr = const TCR,
    hyp_control = const HYP_CONTROL,
    control_on = const CONTROL_ON,
    mode_hyp = const MODE_HYP,
    alias_0 = const IMAGE_ALIASES[0],
    alias_1 = const IMAGE_ALIASES[1],
    min_cache_line = const MIN_CACHE_LINE,
    primary_entry = sym primary_entry,
    secondary_entry = sym crate::smp::secondary_entry,
    secondary_stack = sym crate::smp::SECONDARY_STACK,
    frame_pointer = const fault::FRAME_POINTER,
);

/// Why `enter_guest` came back.
const EXIT_TRAP: u32 = 0;
const EXIT_IRQ: u32 = 1;
const EXIT_FIQ: u32 = 2;

global_asm!(
    include_str!("entry.S"),
    pc = const offset_of!(Regs, pc),
    cpsr = const offset_of!(Regs, cpsr),
    lr = const offset_of!(Regs, lr_usr),
    exit_trap = const EXIT_TRAP,
    exit_irq = const EXIT_IRQ,
    exit_fiq = const EXIT_FIQ,
    fault_stack = const offset_of!(PerCpu, fault_stack),
    frame_size = const size_of::<fault::Frame>().next_multiple_of(8),
    frame_sp = const offset_of!(fault::Frame, sp),
    frame_lr = const offset_of!(fault::Frame, lr),
    frame_pc = const offset_of!(fault::Frame, pc),
    frame_cpsr = const offset_of!(fault::Frame, cpsr),
    own_fault = sym fault::own_fault,
    reset = const fault::RESET,
    undefined = const fault::UNDEFINED,
    call = const fault::CALL,
    prefetch_abort = const fault::PREFETCH_ABORT,
    data_abort = const fault::DATA_ABORT,
);

global_asm!(include_str!("memory.S"));

unsafe extern "C" {
    static hyp_vectors: u8;
    static hyp_vectors_bpiall: u8;
    static hyp_vectors_iciallu: u8;
    static secondary_start: u8;
    fn enter_guest(regs: &mut Regs) -> u32;
    fn take_pending_abort() -> bool;
    fn copy_bytes(to: usize, from: usize, bytes: usize) -> usize;
    fn fill_bytes(to: usize, byte: u32, bytes: usize) -> usize;
}

/// Where the assembly arrives with the first CPU.
///
/// # Safety
///
/// Called once, from `head.S`.
unsafe extern "C" fn primary_entry(dtb: u32, image: u32, mode: u32) -> ! {
    set_image_offset((image as usize).wrapping_sub(IMAGE));
    if mode != MODE_HYP {
        crate::boot::refuse(dtb.into(), mode_name(mode));
    }
    crate::boot::start(dtb.into())
}

fn mode_name(mode: u32) -> &'static str {
    match mode {
        0x10 => "User",
        0x11 => "FIQ",
        0x12 => "IRQ",
        0x13 => "Supervisor",
        0x16 => "Monitor",
        0x17 => "Abort",
        0x1b => "Undefined",
        0x1f => "System",
        _ => "unknown",
    }
}

/// Drops what this and all other CPUs have cached of the hypervisor's own map.
pub fn flush_own_tlb() {
    // SAFETY: a translation that is needed again is walked for again. TLBIALLHIS.
    unsafe {
        asm!("dsb ish", "mcr p15, 4, {zero}, c8, c3, 0", "dsb ish", "isb", zero = in(reg) 0,
            options(nostack, preserves_flags));
    }
}

/// Stage 2: 40 bits from level 1 on, two tables side by side; walks write-back, inner shareable.
const VTCR: u32 = 1 << 31 | 3 << 12 | 1 << 10 | 1 << 8 | 1 << 6 | 1 << 4 | 8;
/// Coprocessors 0 to 9, 12, 13 and the trace registers trap.
const HCPTR: u32 = 0x33ff | 1 << 20;
/// CP15 c15 traps, and Jazelle.
const HSTR: u32 = 1 << 15 | 1 << 17;
/// Debug and performance monitor registers trap.
const HDCR: u32 = 1 << 11 | 1 << 10 | 1 << 9 | 1 << 6 | 1 << 5;
/// How many counters HDCR leaves to EL1: all, which is what it says at reset.
const HDCR_COUNTERS: u32 = 0x1f;
/// EL1 may read the physical counter; the physical timer traps.
const CNTHCTL: u32 = 1 << 0;
/// ISR: an interrupt is pending.
const ISR_IRQ: u32 = 1 << 7;
/// Sets up this CPU for guests.
pub fn init_cpu() {
    identity::add_cpu();
    VTCR_EL2::write(VTCR);
    CPTR_EL2::write(HCPTR);
    HSTR_EL2::write(HSTR);
    MDCR_EL2::write(MDCR_EL2::read() & HDCR_COUNTERS | HDCR);
    CNTHCTL_EL2::write(CNTHCTL);
    CNTHP_CTL_EL2::write(0);
    CNTV_CTL_EL0::write(0);
    VPIDR_EL2::write(MIDR_EL1::read());
    // SAFETY: the vectors of `entry.S`, aligned there.
    unsafe {
        asm!("mcr p15, 4, {}, c12, c0, 0", "isb", in(reg) &raw const hyp_vectors, options(nostack));
    }
}

/// Affinity of this CPU, as firmware names it.
pub fn affinity() -> u64 {
    u64::from(MPIDR_EL1::read() & 0x00ff_ffff)
}

/// Where firmware starts another CPU.
pub fn secondary_entry() -> u64 {
    // SAFETY: only the address is used.
    image_to_physical(unsafe { &secondary_start })
}

/// HSR of a hypercall: a 32-bit long `HVC` with Xen's immediate.
const HYPERCALL: u32 = 0x12 << 26 | 1 << 25 | xen_abi::hypercall::HVC_TAG as u32;
/// What no trap says: an exception class that is reserved, and all else.
const NO_SYNDROME: u32 = u32::MAX;
/// HSR.EC of an abort of an instruction fetch in a guest.
const EC_PREFETCH_ABORT: u32 = 0x20;

/// HSR.EC of a guest's data abort, and HSR.DFSC of an asynchronous external one.
const EC_DATA_ABORT: u32 = 0x24;
const DFSC_ASYNCHRONOUS: u32 = 0x11;

/// Whether a trap is an asynchronous abort, which the instruction it was taken at has not caused.
pub fn is_asynchronous(syndrome: u32) -> bool {
    syndrome >> 26 == EC_DATA_ABORT && syndrome & 0x3f == DFSC_ASYNCHRONOUS
}

/// Runs the guest that is loaded until one of [`crate::run`]'s functions says that it may not go on.
pub fn run(current: &mut Current<'_, Board>, timed: bool) {
    let hypercall = if timed { NO_SYNDROME } else { HYPERCALL };
    loop {
        // SAFETY: a guest's context is loaded; whatever it does in its lower mode, stage 2 keeps it
        // from our memory, and the assembly gives our registers back.
        let goes_on = match unsafe { enter_guest(current.regs) } {
            EXIT_TRAP => match ESR_EL2::read() {
                syndrome if syndrome == hypercall => run::hypercall(current),
                syndrome => run::trap(current, syndrome, timed),
            },
            _ => run::interrupt(current, timed),
        };
        if !goes_on {
            return;
        }
    }
}

/// What the hardware says beside the syndrome of an abort.
pub fn fault_registers(syndrome: u32) -> FaultRegisters {
    let is_fetch = syndrome >> 26 == EC_PREFETCH_ABORT;
    let far = if is_fetch { HIFAR::read() } else { HDFAR::read() };
    FaultRegisters { far: far.into(), hpfar: HPFAR_EL2::read().into() }
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
    // SAFETY: power control functions change no memory of ours; the calling convention lets
    // r0 to r3 be clobbered.
    unsafe {
        asm!(".arch_extension sec", "smc #0", inlateout("r0") args[0] => result,
            inlateout("r1") args[1] => _, inlateout("r2") args[2] => _, inlateout("r3") args[3] => _,
            options(nostack));
    }
    result
}

/// Says where this CPU's own data is.
///
/// # Safety
///
/// A `PerCpu` is there for good, and no other CPU has it.
pub unsafe fn set_per_cpu(at: usize) {
    TPIDR_EL2::write(at as u32);
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

/// Fills memory with zeroes.
///
/// # Safety
///
/// The range is mapped and may be written.
pub unsafe fn zero(start: usize, len: usize) {
    // SAFETY: passed on.
    unsafe { fill_bytes(start, 0, len) };
}
