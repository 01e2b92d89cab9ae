//! Exceptions of the hypervisor itself: always a bug, reported as fully as can be.
#![allow(unsafe_code)]
// UNSAFETY: reads a register.

use core::fmt;

use super::sysregs::*;

/// Which vector was taken: a synchronous exception.
pub const SYNCHRONOUS: u32 = 0;
/// An interrupt, which is masked.
pub const INTERRUPT: u32 = 1;
/// An SError.
pub const SERROR: u32 = 2;

/// ESR.EC of an abort of the hypervisor's own fetch; its own data access; at least 0x20 for all aborts.
const EC_FETCH: u64 = 0x21;
const EC_DATA: u64 = 0x25;
/// ESR.EC of BRK, which a panic is in an image that is to be small.
const EC_BRK: u64 = 0x3c;

/// Registers at the exception, as `entry.S` stores them.
#[repr(C)]
pub struct Frame {
    x: [u64; 31],
    /// Stack pointer.
    pub sp: u64,
    /// Where it happened.
    pub pc: u64,
    /// Processor state.
    pub pstate: u64,
}

/// Where the assembly arrives, on the CPU's fault stack.
///
/// # Safety
///
/// Called from `entry.S` only.
pub unsafe extern "C" fn own_fault(frame: &Frame, kind: u32) -> ! {
    crate::panic::fault(&Report { frame, kind }, frame.pc as usize, frame.x[29] as usize)
}

/// What is printed of it.
struct Report<'a> {
    frame: &'a Frame,
    kind: u32,
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let syndrome = ESR_EL2::read();
        let (what, address) = match (self.kind, syndrome >> 26) {
            (SYNCHRONOUS, EC_FETCH) => ("instruction abort", Some(FAR_EL2::read())),
            (SYNCHRONOUS, EC_DATA) => ("data abort", Some(FAR_EL2::read())),
            (SYNCHRONOUS, EC_BRK) => ("panic", None),
            (SYNCHRONOUS, _) => ("exception", None),
            (INTERRUPT, _) => ("interrupt", None),
            _ => ("SError", None),
        };
        write!(f, "{what} in EL2, ESR {syndrome:#010x}")?;
        if let Some(address) = address {
            write!(f, ", address {address:#018x}")?;
        }
        writeln!(f)?;
        for (n, value) in self.frame.x.iter().enumerate() {
            let end = if n % 4 == 3 { '\n' } else { ' ' };
            write!(f, " x{n:<2} {value:016x}{end}")?;
        }
        let Frame { sp, pc, pstate, .. } = self.frame;
        writeln!(f, "\n sp  {sp:016x} pc  {pc:016x} psr {pstate:08x}")
    }
}

/// This function's frame pointer.
#[inline(always)]
pub fn frame_pointer() -> usize {
    let fp;
    // SAFETY: reads a register.
    unsafe { core::arch::asm!("mov {}, x29", out(reg) fp, options(nomem, nostack, preserves_flags)) };
    fp
}
