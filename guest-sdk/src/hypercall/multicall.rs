//! Several hypercalls in one (hypercall 13).

use xen_abi::{
    Errno,
    hypercall::{MULTICALL, MulticallEntry},
};

use super::{call, count};

/// Makes the calls in order, leaving each one's result in its entry.
///
/// # Safety
///
/// For each entry what a hypercall of those arguments asks for.
///
/// # Errors
///
/// `EFAULT`; `EINVAL` for a multicall in it.
pub unsafe fn multicall(calls: &mut [MulticallEntry]) -> Result<(), Errno> {
    let n: u32 = count(calls)?;
    // SAFETY: the list is valid for both directions; the rest is the caller's promise.
    unsafe { call(MULTICALL, [calls.as_mut_ptr() as usize, n as usize]) }.map(drop)
}
