//! Exceptions of the hypervisor itself: always a bug, reported as fully as can be.
#![allow(unsafe_code)]
// UNSAFETY: reads a register.

use core::fmt;

use super::sysregs::*;

/// Which vector was taken.
pub const RESET: u32 = 0;
/// Undefined instruction: a panic, too, in an image that is to be small.
pub const UNDEFINED: u32 = 1;
/// HVC from HYP mode.
pub const CALL: u32 = 2;
/// Prefetch abort.
pub const PREFETCH_ABORT: u32 = 3;
/// Data abort.
pub const DATA_ABORT: u32 = 4;

/// Which register is the frame pointer.
pub const FRAME_POINTER: usize = if cfg!(thumb) { 7 } else { 11 };

/// Registers at the exception, as `entry.S` stores them.
#[repr(C)]
pub struct Frame {
    r: [u32; 13],
    /// Stack pointer.
    pub sp: u32,
    /// Link register.
    pub lr: u32,
    /// Where it happened.
    pub pc: u32,
    /// Processor state.
    pub cpsr: u32,
}

/// Where the assembly arrives, on the CPU's fault stack.
///
/// # Safety
///
/// Called from `entry.S` only.
pub unsafe extern "C" fn own_fault(frame: &Frame, kind: u32) -> ! {
    crate::panic::fault(&Report { frame, kind }, frame.pc as usize, frame.r[FRAME_POINTER] as usize)
}

/// What is printed of it.
struct Report<'a> {
    frame: &'a Frame,
    kind: u32,
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, address) = match self.kind {
            RESET => ("reset", None),
            UNDEFINED => ("undefined instruction", None),
            CALL => ("hypervisor call", None),
            PREFETCH_ABORT => ("prefetch abort", Some(HIFAR::read())),
            _ => ("data abort", Some(HDFAR::read())),
        };
        write!(f, "{what} in HYP mode, HSR {:#010x}", ESR_EL2::read())?;
        if let Some(address) = address {
            write!(f, ", address {address:#010x}")?;
        }
        writeln!(f)?;
        for (n, value) in self.frame.r.iter().enumerate() {
            let end = if n % 4 == 3 { '\n' } else { ' ' };
            write!(f, " r{n:<2} {value:08x}{end}")?;
        }
        let Frame { sp, lr, pc, cpsr, .. } = self.frame;
        writeln!(f, " sp  {sp:08x}\n lr  {lr:08x} pc  {pc:08x} psr {cpsr:08x}")
    }
}

/// This function's frame pointer.
#[inline(always)]
pub fn frame_pointer() -> usize {
    let fp;
    // SAFETY: reads a register.
    unsafe {
        core::arch::asm!("mov {}, r{frame_pointer}", out(reg) fp, frame_pointer = const FRAME_POINTER,
            options(nomem, nostack, preserves_flags));
    }
    fp
}
