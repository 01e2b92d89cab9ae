//! Interrupts with as little of our own around them as there can be, so that what is measured is the hypervisor.
//!
//! While a [`Lean`] lives, the SDK's own handler does not run on its CPU: no task may be waited for.
// UNSAFETY: exception vectors of our own.
#![allow(unsafe_code)]

use core::{
    mem::offset_of,
    sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed},
};

use device_tree::Tree;
use guest_sdk::{
    Env,
    abi::{
        EvtchnPort,
        xen::{SharedInfo, VcpuInfo},
    },
    event::shared_info,
    smp,
};

use crate::{
    Failure,
    arch::{self, counter, set_timer, set_timer_control, store},
    gic::{self, Gic},
};

/// What the handler has to know.
struct Known {
    timer: AtomicU32,
    events: AtomicU32,
    shared_info: AtomicUsize,
    /// Where in the page our port's word is.
    pending: AtomicUsize,
    /// Interrupts since the start, of each CPU.
    taken: [AtomicU32; smp::MAX_VCPUS],
    /// When the timer's last was handled.
    timer_at: AtomicU64,
}

static KNOWN: Known = Known {
    timer: AtomicU32::new(0),
    events: AtomicU32::new(0),
    shared_info: AtomicUsize::new(0),
    pending: AtomicUsize::new(0),
    taken: [const { AtomicU32::new(0) }; smp::MAX_VCPUS],
    timer_at: AtomicU64::new(0),
};

/// Where the vectors lead.
pub extern "C" fn interrupt() {
    /// Enabled, but masked.
    const OFF: u32 = 2;
    let taken = gic::take();
    if taken == KNOWN.timer.load(Relaxed) {
        set_timer_control(OFF);
        KNOWN.timer_at.store(counter(), Relaxed);
    } else if taken == KNOWN.events.load(Relaxed) {
        take_event();
    }
    let count = &KNOWN.taken[smp::current() % smp::MAX_VCPUS];
    count.store(count.load(Relaxed).wrapping_add(1), Relaxed);
    gic::finish(taken);
}

/// There is one port only: what it set is cleared, with nothing looked for.
fn take_event() {
    let page = KNOWN.shared_info.load(Relaxed);
    let selector = page + offset_of!(VcpuInfo, evtchn_pending_sel);
    // The byte that says so, with the mask byte behind it, which ARM does not use.
    store(page + offset_of!(VcpuInfo, evtchn_upcall_pending), 0);
    store(selector, 0);
    store(page + KNOWN.pending.load(Relaxed), 0);
}

/// Lean interrupts, until dropped.
pub struct Lean {
    /// The interrupt controller.
    pub gic: Gic,
    /// Which CPU this is.
    cpu: usize,
    /// The SDK's vectors.
    vectors: usize,
}

impl Lean {
    /// Takes the interrupts of this CPU over; they are masked.
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
        KNOWN.shared_info.store(page.as_ptr().as_ptr().addr(), Relaxed);
        let cpu = smp::current();
        let gic = Gic::find(&tree, cpu)?;
        arch::mask();
        // SAFETY: interrupts are masked, and the vectors handle them; a fault ends in a loop, which the harness sees.
        let vectors = unsafe { arch::exchange_vectors(arch::vectors()) };
        Ok(Self { gic, cpu, vectors })
    }

    /// Has the handler take events of `port`, and of no other.
    pub fn listen(&self, port: EvtchnPort) {
        let word = 4 * (port.0 as usize / 32);
        KNOWN.pending.store(offset_of!(SharedInfo, evtchn_pending) + word, Relaxed);
    }

    /// Has the timer interrupt when the counter is there; 0 for at once.
    pub fn fire_timer(&self, at: u64) {
        const ON: u32 = 1;
        set_timer(at);
        set_timer_control(ON);
    }

    /// When the timer's last interrupt was in the handler.
    pub fn timer_handled(&self) -> u64 {
        KNOWN.timer_at.load(Relaxed)
    }

    /// Does what brings an interrupt, and is back when it was handled.
    pub fn there_and_back(&self, cause: impl FnOnce()) {
        let before = self.taken();
        cause();
        while self.taken() == before {}
    }

    /// Runs `work` with interrupts let in.
    pub fn open(&self, work: impl FnOnce()) {
        arch::unmask();
        work();
        arch::mask();
    }

    /// Interrupts so far, for [`wait`](Self::wait).
    pub fn taken(&self) -> u32 {
        KNOWN.taken[self.cpu].load(Relaxed)
    }

    /// Sleeps until there are more interrupts than `before`.
    pub fn wait(&self, before: u32) {
        while self.taken() == before {
            // Interrupts are masked, so that none is missed, and let in after.
            arch::wait();
            arch::unmask();
            arch::mask();
        }
    }
}

impl Drop for Lean {
    fn drop(&mut self) {
        // SAFETY: the SDK's own vectors, and the interrupt mask as it was.
        unsafe { arch::exchange_vectors(self.vectors) };
        arch::unmask();
    }
}
