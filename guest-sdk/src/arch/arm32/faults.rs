//! Exceptions that a program does not survive, and the way here.
// UNSAFETY: reads the frame that the vectors built, and the chain of frames on the stack.
#![allow(unsafe_code)]

use core::{fmt, ptr::NonNull};

use super::cp15;
use crate::mm;

/// Registers as `vectors.S` saves them.
#[repr(C)]
struct Frame {
    r: [u32; 13],
    sp: u32,
    lr: u32,
    pc: u32,
    cpsr: u32,
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "pc {:08x} lr {:08x} sp {:08x} cpsr {:08x}", self.pc, self.lr, self.sp, self.cpsr)?;
        for (i, r) in self.r.iter().enumerate() {
            let end = if i % 4 == 3 { '\n' } else { ' ' };
            write!(f, "r{i:<2} {r:08x}{end}")?;
        }
        Ok(())
    }
}

/// A fault, on the fault stack.
#[unsafe(no_mangle)]
extern "C" fn arm32_fault(kind: u32, frame: &Frame) -> ! {
    let ((data_status, data), (code_status, code)) = (cp15::data_fault(), cp15::instruction_fault());
    let fp = frame.r[11];
    match kind {
        0 => crate::panic::die(format_args!("undefined instruction\n{frame}"), fp),
        1 => crate::panic::die(format_args!("supervisor call\n{frame}"), fp),
        2 => {
            crate::panic::die(format_args!("prefetch abort at {code:#x}, IFSR {code_status:#x}\n{frame}"), fp)
        }
        _ => crate::panic::die(format_args!("data abort at {data:#x}, DFSR {data_status:#x}\n{frame}"), fp),
    }
}

/// Return addresses, innermost first, from frame pointer `fp` on, or from the caller's for none.
pub(crate) fn backtrace(fp: Option<u32>, mut each: impl FnMut(u32)) {
    const DEEPEST: usize = 32;
    let mut fp = fp.unwrap_or_else(|| {
        let here;
        // SAFETY: reads a register.
        unsafe { core::arch::asm!("mov {}, r11", out(reg) here, options(nomem, nostack)) };
        here
    });
    for _ in 0..DEEPEST {
        // A frame is the caller's frame pointer and the return address.
        let Some(frame) = NonNull::new(fp as *mut [u32; 2]) else {
            return;
        };
        if !frame.is_aligned() || !mm::is_stack(fp.into()) {
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
