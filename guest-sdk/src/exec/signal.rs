//! A flag that a task waits for, and anyone raises.

use core::{
    future::poll_fn,
    task::{Poll, Waker},
};

use crate::lock::IrqLock;

/// Says that something happened: raised by interrupt handlers, other vCPUs and tasks, waited for by
/// one task at a time. Raised several times before it is looked at, it counts once.
#[derive(Default)]
pub struct Signal(IrqLock<State>);

#[derive(Default)]
struct State {
    raised: bool,
    waiter: Option<Waker>,
}

impl Signal {
    /// A signal that is not raised.
    pub const fn new() -> Self {
        Self(IrqLock::new(State { raised: false, waiter: None }))
    }

    /// Raises it.
    pub fn raise(&self) {
        let mut state = self.0.lock();
        state.raised = true;
        let waiter = state.waiter.take();
        drop(state);
        if let Some(waiter) = waiter {
            waiter.wake();
        }
    }

    /// Lowers it; says whether it was raised.
    pub fn take(&self) -> bool {
        core::mem::take(&mut self.0.lock().raised)
    }

    /// Waits until it is raised, and lowers it.
    pub async fn wait(&self) {
        poll_fn(|cx| {
            let mut state = self.0.lock();
            if core::mem::take(&mut state.raised) {
                return Poll::Ready(());
            }
            state.waiter = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

impl core::fmt::Debug for Signal {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Signal")
    }
}
