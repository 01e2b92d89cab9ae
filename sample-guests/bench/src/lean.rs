//! Interrupts with as little of our own around them as there can be, so that what is measured is the hypervisor.
//!
//! While a [`Lean`] lives, the SDK's own handler does not run: no task may be waited for.
// UNSAFETY: exception vectors of our own, registers of devices and the timer, and the bits of the page shared with the
// hypervisor that an event sets.
#![allow(unsafe_code)]

use core::{
    arch::{asm, global_asm},
    mem::offset_of,
    ptr::NonNull,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

use device_tree::Tree;
use guest_sdk::{
    Env,
    abi::{
        EvtchnPort,
        xen::{SharedInfo, VcpuInfo},
    },
    event::shared_info,
};

use crate::{
    Failure,
    gic::{self, Gic},
};

global_asm!(
    ".pushsection .text.bench_vectors, \"ax\"",
    ".arm",
    ".balign 32",
    "bench_vectors:",
    "b .",
    "b .",
    "b .",
    "b .",
    "b .",
    "b .",
    "b 2f",
    "b .",
    "2:",
    "sub lr, lr, #4",
    "srsdb sp!, #0x13",
    "cps #0x13",
    "push {{r0-r3, r12, lr}}",
    "and r1, sp, #4", // the interrupted code may have had its stack at any word
    "sub sp, sp, r1",
    "push {{r1, r2}}",
    "bl bench_interrupt",
    "pop {{r1, r2}}",
    "add sp, sp, r1",
    "pop {{r0-r3, r12, lr}}",
    "rfeia sp!",
    ".popsection",
);

unsafe extern "C" {
    static bench_vectors: u8;
}

/// What the handler has to know.
struct Known {
    timer: AtomicU32,
    events: AtomicU32,
    shared_info: AtomicU32,
    /// Where in the page our port's word is.
    pending: AtomicU32,
    /// Interrupts since the start.
    taken: AtomicU32,
}

static KNOWN: Known = Known {
    timer: AtomicU32::new(0),
    events: AtomicU32::new(0),
    shared_info: AtomicU32::new(0),
    pending: AtomicU32::new(0),
    taken: AtomicU32::new(0),
};

/// Reads a register or a word of shared memory.
pub fn load(at: u32) -> u32 {
    let value;
    // SAFETY: each caller names a register that may be read; the SDK has mapped it, at its own address.
    unsafe { asm!("ldr {}, [{}]", out(reg) value, in(reg) at, options(nostack)) };
    value
}

/// Writes one.
pub fn store(at: u32, value: u32) {
    // SAFETY: each caller names a register, or a word of the shared page, that may be written.
    unsafe { asm!("str {}, [{}]", in(reg) value, in(reg) at, options(nostack)) };
}

fn set_timer_control(value: u32) {
    // SAFETY: the timer is ours.
    unsafe { asm!("mcr p15, 0, {}, c14, c3, 1", "isb", in(reg) value, options(nomem, nostack)) };
}

#[unsafe(no_mangle)]
extern "C" fn bench_interrupt() {
    /// Enabled, but masked.
    const OFF: u32 = 2;
    let taken = gic::take();
    if taken == KNOWN.timer.load(Relaxed) {
        set_timer_control(OFF);
    } else if taken == KNOWN.events.load(Relaxed) {
        take_event();
    }
    KNOWN.taken.store(KNOWN.taken.load(Relaxed).wrapping_add(1), Relaxed);
    gic::finish(taken);
}

/// There is one port only: what it set is cleared, with nothing looked for.
fn take_event() {
    let page = KNOWN.shared_info.load(Relaxed);
    let selector = page + offset_of!(VcpuInfo, evtchn_pending_sel) as u32;
    // The byte that says so, with the mask byte behind it, which ARM does not use.
    store(page + offset_of!(VcpuInfo, evtchn_upcall_pending) as u32, 0);
    store(selector, 0);
    store(page + KNOWN.pending.load(Relaxed), 0);
}

/// The value of the virtual counter.
pub fn counter() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: reads a register.
    unsafe { asm!("isb", "mrrc p15, 1, {}, {}, c14", out(reg) low, out(reg) high, options(nostack)) };
    u64::from(high) << 32 | u64::from(low)
}

/// How far the physical counter is ahead of the virtual one: it counts from the machine's start, the virtual one from
/// the domain's.
pub fn counter_offset() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: reads a register, which Xen lets guests see.
    unsafe { asm!("isb", "mrrc p15, 0, {}, {}, c14", out(reg) low, out(reg) high, options(nostack)) };
    (u64::from(high) << 32 | u64::from(low)).saturating_sub(counter())
}

/// Ticks of the counters in a second.
pub fn counter_hz() -> u32 {
    let value;
    // SAFETY: reads a register.
    unsafe { asm!("mrc p15, 0, {}, c14, c0, 0", out(reg) value, options(nomem, nostack)) };
    value
}

fn mask() {
    // SAFETY: keeps interrupts out.
    unsafe { asm!("cpsid i", options(nostack)) };
}

fn unmask() {
    // SAFETY: the handler is in place, for as long as there is a `Lean`.
    unsafe { asm!("cpsie i", "isb", options(nostack)) };
}

/// Lean interrupts, until dropped.
pub struct Lean {
    /// The interrupt controller.
    pub gic: Gic,
    /// The SDK's vectors.
    vectors: u32,
}

impl Lean {
    /// Takes the interrupts over; they are masked.
    pub fn new(env: &Env) -> Result<Self, Failure> {
        let tree = Tree::parse(env.device_tree()).map_err(|_| Failure("the device tree cannot be read"))?;
        let private = |node: Option<device_tree::Node<'_>>, index: usize| {
            let cells: alloc::vec::Vec<u32> = node?.property("interrupts")?.cells().collect();
            device_tree::gic::decode(cells.get(3 * index..3 * index + 3)?).map(|(id, _)| id)
        };
        /// Secure, non-secure, virtual, hypervisor.
        const VIRTUAL: usize = 2;
        let timer = tree.root().children().find(|node| node.base_name() == "timer");
        let timer = private(timer, VIRTUAL).ok_or(Failure("the device tree has no timer"))?;
        let events = tree.compatible(&["xen,xen"]).next();
        let events = private(events, 0).ok_or(Failure("the device tree has no event interrupt"))?;
        let page = shared_info().ok_or(Failure("there is no page shared with the hypervisor"))?;

        KNOWN.timer.store(timer, Relaxed);
        KNOWN.events.store(events, Relaxed);
        KNOWN.shared_info.store(page.as_ptr().as_ptr() as u32, Relaxed);
        let gic = Gic::find(&tree)?;
        mask();
        let vectors: u32;
        // SAFETY: interrupts are masked, and the vectors handle them; a fault ends in a loop, which the harness sees.
        unsafe {
            asm!("mrc p15, 0, {old}, c12, c0, 0", "mcr p15, 0, {new}, c12, c0, 0", "isb",
                old = out(reg) vectors, new = in(reg) NonNull::from(&bench_vectors).as_ptr(), options(nostack));
        }
        Ok(Self { gic, vectors })
    }

    /// Has the handler take events of `port`, and of no other.
    pub fn listen(&self, port: EvtchnPort) {
        let word = 4 * (port.0 / 32);
        KNOWN.pending.store(offset_of!(SharedInfo, evtchn_pending) as u32 + word, Relaxed);
    }

    /// Has the timer interrupt at once.
    pub fn fire_timer(&self) {
        const ON: u32 = 1;
        // SAFETY: the timer is ours; its interrupt is handled.
        unsafe { asm!("mcrr p15, 3, {0}, {0}, c14", in(reg) 0, options(nomem, nostack)) };
        set_timer_control(ON);
    }

    /// Does what brings an interrupt, and is back when it was handled.
    pub fn there_and_back(&self, cause: impl FnOnce()) {
        let before = KNOWN.taken.load(Relaxed);
        cause();
        while KNOWN.taken.load(Relaxed) == before {}
    }

    /// Runs `work` with interrupts let in.
    pub fn open(&self, work: impl FnOnce()) {
        unmask();
        work();
        mask();
    }

    /// Interrupts so far, for [`wait`](Self::wait).
    pub fn taken(&self) -> u32 {
        KNOWN.taken.load(Relaxed)
    }

    /// Sleeps until there are more interrupts than `before`.
    pub fn wait(&self, before: u32) {
        while KNOWN.taken.load(Relaxed) == before {
            // SAFETY: it only waits: interrupts are masked, so that none is missed, and let in after.
            unsafe { asm!("dsb", "wfi", options(nostack)) };
            unmask();
            mask();
        }
    }
}

impl Drop for Lean {
    fn drop(&mut self) {
        // SAFETY: the SDK's own vectors, and the interrupt mask as it was.
        unsafe { asm!("mcr p15, 0, {}, c12, c0, 0", "isb", in(reg) self.vectors, options(nostack)) };
        unmask();
    }
}
