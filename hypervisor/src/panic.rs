//! What is printed when the hypervisor itself is wrong, and the end.
#![allow(unsafe_code)]
// UNSAFETY: reads stack frames through the frame pointer.

use core::{
    fmt::{self, Write},
    panic::PanicInfo,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
};

use crate::{arch, mm::tables::is_mapped, percpu::PerCpu, symbols, uart};

/// How far a backtrace goes.
const MAX_FRAMES: usize = 32;
const NOBODY: usize = usize::MAX;

/// Which CPU reports; all others stop.
static REPORTER: AtomicUsize = AtomicUsize::new(NOBODY);
/// A second report of one CPU is about a bug in the first.
static REPORTING: AtomicBool = AtomicBool::new(false);

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    report(&format_args!("{info}\n"), None, arch::fault::frame_pointer())
}

/// Reports an exception, at `pc` with this frame pointer.
pub fn fault(what: &dyn fmt::Display, pc: usize, frame_pointer: usize) -> ! {
    report(what, Some(pc), frame_pointer)
}

fn report(what: &dyn fmt::Display, pc: Option<usize>, frame_pointer: usize) -> ! {
    let cpu = PerCpu::this().id();
    let first = REPORTER.compare_exchange(NOBODY, cpu, Ordering::AcqRel, Ordering::Acquire);
    if first.is_err_and(|reporter| reporter != cpu) {
        halt();
    }
    if !REPORTING.swap(true, Ordering::AcqRel) {
        let _ = write!(Out, "\n(XEN) hypervisor bug on CPU {cpu}: {what}");
        backtrace(pc, frame_pointer);
    } else {
        let _ = write!(Out, "\n(XEN) and another one: {what}");
    }
    let _ = writeln!(Out, "(XEN) halted");
    halt()
}

fn backtrace(pc: Option<usize>, mut frame_pointer: usize) {
    let _ = writeln!(Out, "backtrace:");
    if let Some(pc) = pc {
        let _ = writeln!(Out, "  {}", symbols::Place(pc));
    }
    for _ in 0..MAX_FRAMES {
        let Some((next, back)) = caller(frame_pointer) else { break };
        if back == 0 {
            break;
        }
        // The call itself, not what follows it.
        let _ = writeln!(Out, "  {}", symbols::Place(back - 4));
        frame_pointer = next;
    }
}

/// The caller's frame: its frame pointer and where it goes on.
fn caller(frame_pointer: usize) -> Option<(usize, usize)> {
    const WORD: usize = size_of::<usize>();
    if !frame_pointer.is_multiple_of(WORD) || ![0, WORD].iter().all(|at| is_mapped(frame_pointer + at)) {
        return None;
    }
    // SAFETY: aligned and mapped; a stale value only makes the backtrace wrong.
    let [next, back] = unsafe { (frame_pointer as *const [usize; 2]).read_volatile() };
    // Frames lie towards the stack's top, one above the other. An address to go on at says by its
    // lowest bit that it is Thumb code.
    (next > frame_pointer || next == 0).then_some((next, back & !1))
}

/// Whether some CPU reports a bug, so that this one has to stop.
#[inline]
pub fn somewhere() -> bool {
    REPORTER.load(Ordering::Relaxed) != NOBODY
}

/// Stops this CPU for good.
pub fn halt() -> ! {
    loop {
        arch::wait();
    }
}

/// The serial line without its lock, which a stopped CPU may hold.
struct Out;

impl Write for Out {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        uart::write_unlocked(text.as_bytes());
        Ok(())
    }
}
