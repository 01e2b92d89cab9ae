//! Exceptions that a program does not survive.
// UNSAFETY: an entry point that assembly names.
#![allow(unsafe_code)]

use core::fmt;

use super::sysreg;

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
    let ((data_status, data), (code_status, code)) = (sysreg::data_fault(), sysreg::instruction_fault());
    let fp = frame.r[11] as usize;
    match kind {
        0 => crate::panic::die(format_args!("undefined instruction\n{frame}"), fp),
        1 => crate::panic::die(format_args!("supervisor call\n{frame}"), fp),
        2 => {
            crate::panic::die(format_args!("prefetch abort at {code:#x}, IFSR {code_status:#x}\n{frame}"), fp)
        }
        _ => crate::panic::die(format_args!("data abort at {data:#x}, DFSR {data_status:#x}\n{frame}"), fp),
    }
}
