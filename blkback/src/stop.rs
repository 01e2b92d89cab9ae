//! The wish to end, shared by all who have to hear of it.

use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::future::poll_fn;
use core::task::{Poll, Waker};

/// A flag that can be waited for. Clones are the same flag.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stop(Rc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    requested: Cell<bool>,
    waiting: RefCell<Vec<Waker>>,
}

impl Stop {
    /// Raises the flag.
    pub(crate) fn request(&self) {
        self.0.requested.set(true);
        self.0.waiting.take().into_iter().for_each(Waker::wake);
    }

    /// Whether it is raised.
    pub(crate) fn is_requested(&self) -> bool {
        self.0.requested.get()
    }

    /// Waits until it is.
    pub(crate) async fn requested(&self) {
        poll_fn(|cx| {
            if self.is_requested() {
                return Poll::Ready(());
            }
            let mut waiting = self.0.waiting.borrow_mut();
            if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
                waiting.push(cx.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }
}
