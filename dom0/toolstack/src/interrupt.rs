//! The user's wish that something under way be given up.

use core::cell::Cell;

use guest_sdk::exec::{Either, Waiters, race};

use crate::error::{Error, Result};

/// What is under way looks for this wish where it can be left without leaving anything behind: it must not be dropped,
/// but it ends soon after.
#[derive(Debug, Default)]
pub struct Interrupt {
    raised: Cell<bool>,
    waiting: Waiters,
}

impl Interrupt {
    /// Says that it be given up.
    pub fn raise(&self) {
        self.raised.set(true);
        self.waiting.wake();
    }

    /// Gives an error when it is to be given up.
    pub(crate) fn check(&self) -> Result<()> {
        if self.raised.get() { Err(Error::Interrupted) } else { Ok(()) }
    }

    /// Waits for `what`, which may be dropped at any time, unless it is to be given up.
    pub(crate) async fn unless<T>(&self, what: impl Future<Output = Result<T>>) -> Result<T> {
        let raised = self.waiting.wait_for(|| self.check().err());
        match race(what, raised).await {
            Either::First(outcome) => outcome,
            Either::Second(interrupted) => Err(interrupted),
        }
    }
}
