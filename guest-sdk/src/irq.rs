//! Interrupts: what the program needs itself, and lines of devices that dom0 drives.

use alloc::vec::Vec;
use core::{
    fmt,
    future::poll_fn,
    task::{Poll, Waker},
};

use spin::Once;
use xen_abi::{Errno, VcpuId};

use crate::{arch, event, gic, lock::IrqLock};

/// The interrupt by which vCPUs wake each other.
pub(crate) const KICK: u32 = 0;

/// Ids of the interrupts that every vCPU has for itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Private {
    pub(crate) events: Option<u32>,
    pub(crate) timer: u32,
}

static PRIVATE: Once<Private> = Once::new();

/// A line in use.
struct Entry {
    id: u32,
    pending: bool,
    waiter: Option<Waker>,
}

static LINES: IrqLock<Vec<Entry>> = IrqLock::new(Vec::new());

/// Says which interrupts are which, and lets them in on vCPU 0.
pub(crate) fn init(private: Private) {
    PRIVATE.call_once(|| private);
    init_cpu();
}

/// Lets the private interrupts in on this vCPU.
pub(crate) fn init_cpu() {
    let private = PRIVATE.get().expect("interrupts are set up on vCPU 0 first");
    for id in [Some(KICK), Some(private.timer), private.events].into_iter().flatten() {
        gic::configure(id);
        gic::enable(id);
    }
}

/// Handles all interrupts that are due, in interrupt context.
pub(crate) fn dispatch() {
    while let Some(taken) = gic::take() {
        handle(taken.id());
        gic::finish(taken);
    }
}

fn handle(id: u32) {
    match PRIVATE.get() {
        // The executor looks at what is due once it is awake.
        Some(private) if id == private.timer => arch::timer_set(None),
        Some(private) if Some(id) == private.events => event::upcall(VcpuId(arch::cpu() as u32)),
        _ if id == KICK => {}
        _ => deliver(id),
    }
}

/// A line stays shut from an interrupt until it is waited for again: a device that asks by level
/// would interrupt without end.
fn deliver(id: u32) {
    gic::disable(id);
    let mut lines = LINES.lock();
    let Some(entry) = lines.iter_mut().find(|entry| entry.id == id) else {
        return;
    };
    entry.pending = true;
    let waiter = entry.waiter.take();
    drop(lines);
    if let Some(waiter) = waiter {
        waiter.wake();
    }
}

/// The interrupt line of a device, shut when dropped.
pub struct Line {
    id: u32,
}

impl Line {
    /// Takes the line with an interrupt id: 32 and the number of a shared one in the device tree.
    ///
    /// # Errors
    ///
    /// `EINVAL` for what is no shared interrupt, `EBUSY` when somebody has it.
    pub fn new(id: u32) -> Result<Self, Errno> {
        const SHARED: core::ops::Range<u32> = 32..1020;
        if !SHARED.contains(&id) {
            return Err(Errno::EINVAL);
        }
        let mut lines = LINES.lock();
        if lines.iter().any(|entry| entry.id == id) {
            return Err(Errno::EBUSY);
        }
        lines.push(Entry { id, pending: false, waiter: None });
        drop(lines);
        gic::configure(id);
        gic::enable(id);
        Ok(Self { id })
    }

    /// Waits for an interrupt. By then the device has been served for the last one: the line is
    /// opened again. One task may wait at a time.
    pub async fn wait(&self) {
        let mut opened = false;
        poll_fn(|cx| {
            let mut lines = LINES.lock();
            let Some(entry) = lines.iter_mut().find(|entry| entry.id == self.id) else {
                return Poll::Ready(());
            };
            if core::mem::take(&mut entry.pending) {
                return Poll::Ready(());
            }
            entry.waiter = Some(cx.waker().clone());
            drop(lines);
            if !core::mem::replace(&mut opened, true) {
                gic::enable(self.id);
            }
            Poll::Pending
        })
        .await;
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        gic::disable(self.id);
        LINES.lock().retain(|entry| entry.id != self.id);
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Line({})", self.id)
    }
}
