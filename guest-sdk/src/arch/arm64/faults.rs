//! Exceptions that a program does not survive.
// UNSAFETY: an entry point that assembly names.
#![allow(unsafe_code)]

use core::fmt;

use super::sysreg;

/// Registers as `vectors.S` saves them.
#[repr(C)]
struct Frame {
    x: [u64; 31],
    sp: u64,
    pc: u64,
    spsr: u64,
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "pc {:016x} sp {:016x} spsr {:08x}", self.pc, self.sp, self.spsr)?;
        for (i, x) in self.x.iter().enumerate() {
            let end = if i % 4 == 3 || i == 30 { '\n' } else { ' ' };
            write!(f, "x{i:<2} {x:016x}{end}")?;
        }
        Ok(())
    }
}

/// A fault, on the fault stack.
#[unsafe(no_mangle)]
extern "C" fn arm64_fault(kind: u32, frame: &Frame) -> ! {
    let (syndrome, address) = sysreg::fault();
    let what = match kind {
        0 => what(syndrome),
        2 => "FIQ",
        _ => "SError",
    };
    let why = format_args!("{what}, ESR {syndrome:#x}, FAR {address:#x}\n{frame}");
    crate::panic::die(why, frame.x[29] as usize)
}

/// A syndrome's exception class, in words.
fn what(syndrome: u64) -> &'static str {
    match syndrome >> 26 & 0x3f {
        0x00 => "undefined instruction",
        0x07 => "use of floating point",
        0x15 => "supervisor call",
        0x21 => "instruction abort",
        0x22 => "unaligned program counter",
        0x25 => "data abort",
        0x26 => "unaligned stack pointer",
        _ => "exception",
    }
}
