//! Deadlines: sleeping tasks, in order of their time.

use alloc::collections::BTreeMap;
use core::{
    cell::{Cell, RefCell},
    fmt,
    future::Future,
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use super::{Either, race};
use crate::{
    arch,
    time::{self, Instant},
};

/// A deadline, and a number that tells equal ones apart.
type Key = (Instant, u64);

/// The deadlines of one vCPU.
#[derive(Default)]
pub(super) struct Timers {
    pending: RefCell<BTreeMap<Key, Waker>>,
    serial: Cell<u64>,
}

impl Timers {
    /// The earliest deadline.
    pub(super) fn next(&self) -> Option<Instant> {
        self.pending.borrow().keys().next().map(|key| key.0)
    }

    /// Wakes what is due.
    pub(super) fn fire(&self) {
        if self.pending.borrow().is_empty() {
            return;
        }
        let now = time::now();
        while let Some(waker) = self.pop_due(now) {
            waker.wake();
        }
    }

    fn pop_due(&self, now: Instant) -> Option<Waker> {
        let mut pending = self.pending.borrow_mut();
        let first = pending.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }

    fn add(&self, deadline: Instant) -> Key {
        let serial = self.serial.get();
        self.serial.set(serial + 1);
        (deadline, serial)
    }
}

/// Waits for a point in time. Made by [`sleep`] and [`sleep_until`].
#[must_use = "futures do nothing unless awaited"]
pub struct Sleep {
    deadline: Instant,
    key: Option<Key>,
    /// The key belongs to the timers of the vCPU it was made on.
    here: PhantomData<*const ()>,
}

impl Sleep {
    fn forget(&mut self) {
        if let Some(key) = self.key.take() {
            arch::executor().timers.pending.borrow_mut().remove(&key);
        }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if time::now() >= self.deadline {
            self.forget();
            return Poll::Ready(());
        }
        let executor = arch::executor();
        let key = match self.key {
            Some(key) => key,
            None => executor.timers.add(self.deadline),
        };
        self.key = Some(key);
        let waker = cx.waker().clone();
        executor.timers.pending.borrow_mut().insert(key, waker);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.forget();
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sleep(until {:?})", self.deadline)
    }
}

/// Waits until `deadline`.
pub fn sleep_until(deadline: Instant) -> Sleep {
    Sleep { deadline, key: None, here: PhantomData }
}

/// Waits for `duration`.
pub fn sleep(duration: Duration) -> Sleep {
    sleep_until(time::now() + duration)
}

/// The time given to a future ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed;

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("timed out")
    }
}

impl core::error::Error for Elapsed {}

/// Gives `future` at most `duration`, then drops it.
///
/// # Errors
///
/// [`Elapsed`] when it was not done by then.
pub async fn timeout<F: Future>(duration: Duration, future: F) -> Result<F::Output, Elapsed> {
    match race(future, sleep(duration)).await {
        Either::First(value) => Ok(value),
        Either::Second(()) => Err(Elapsed),
    }
}
