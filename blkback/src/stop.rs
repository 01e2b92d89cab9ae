//! The wish to end, shared by all who have to hear of it.

use alloc::rc::Rc;
use core::cell::Cell;

use guest_sdk::exec::Waiters;

/// A flag that can be waited for. Clones are the same flag.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stop(Rc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    requested: Cell<bool>,
    waiting: Waiters,
}

impl Stop {
    /// Raises the flag.
    pub(crate) fn request(&self) {
        self.0.requested.set(true);
        self.0.waiting.wake();
    }

    /// Whether it is raised.
    pub(crate) fn is_requested(&self) -> bool {
        self.0.requested.get()
    }

    /// Waits until it is.
    pub(crate) async fn requested(&self) {
        self.0.waiting.wait_for(|| self.is_requested().then_some(())).await;
    }
}
