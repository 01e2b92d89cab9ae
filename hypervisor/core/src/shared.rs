//! Keeping values where memory may be short: `alloc` has no stable way to be told.
//!
//! The room that a value needs is tried first. Between that and its use another CPU would have to take it, and the
//! heap's reserve of RAM with it, without which no domain is made.

use alloc::{boxed::Box, sync::Arc, vec::Vec};

use xen_abi::Errno;

/// Whether there is room for a value that is shared next.
pub(crate) fn room_for<T>() -> Result<(), Errno> {
    try_room::<T>(1)
}

/// Shares values that are next to each other.
pub(crate) fn share_all<T>(values: Vec<T>) -> Result<Arc<[T]>, Errno> {
    try_room::<T>(values.len())?;
    Ok(values.into())
}

/// So many values, each of which is made.
pub(crate) fn filled<T>(count: usize, mut make: impl FnMut() -> T) -> Result<Box<[T]>, Errno> {
    let mut all = Vec::new();
    all.try_reserve_exact(count).map_err(|_| Errno::ENOMEM)?;
    for _ in 0..count {
        all.push(make());
    }
    Ok(all.into_boxed_slice())
}

/// Whether there is room for so many values and the two counts in front of them.
fn try_room<T>(count: usize) -> Result<(), Errno> {
    let bytes =
        count.saturating_mul(size_of::<T>()).saturating_add(size_of::<[usize; 2]>() + 2 * align_of::<T>());
    Vec::<u8>::new().try_reserve_exact(bytes).map_err(|_| Errno::ENOMEM)
}
