//! The end of a program that cannot go on: says why on the console, and crashes the domain.

use core::{fmt, fmt::Write, panic::PanicInfo};

use xen_abi::sched::shutdown;

use crate::{arch, console};

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    arch::irq_save();
    let mut out = console::emergency();
    // There is nowhere else to print to.
    let _ = writeln!(out, "panic on vCPU {}: {info}", arch::cpu());
    end(&mut out, None)
}

/// Ends the domain for a fault in code whose frame pointer was `fp`.
pub(crate) fn die(why: fmt::Arguments<'_>, fp: usize) -> ! {
    let mut out = console::emergency();
    // There is nowhere else to print to.
    let _ = writeln!(out, "fault on vCPU {}: {why}", arch::cpu());
    end(&mut out, Some(fp))
}

fn end(out: &mut impl Write, fp: Option<usize>) -> ! {
    let _ = write!(out, "called from");
    arch::backtrace(fp, |address| {
        let _ = write!(out, " {address:#x}");
    });
    let _ = writeln!(out);
    arch::shutdown(shutdown::CRASH)
}
