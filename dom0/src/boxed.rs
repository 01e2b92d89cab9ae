//! Futures on the heap.

use alloc::boxed::Box;
use core::pin::Pin;

/// A future whose size its caller does not carry.
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// Makes a future on the heap. What holds all that a command may do is large, and a stack is not: `make` runs in a
/// frame of its own, which is gone before the future runs.
#[inline(never)]
pub fn boxed<'a, F: Future + 'a>(make: impl FnOnce() -> F) -> Boxed<'a, F::Output> {
    Box::pin(make())
}
