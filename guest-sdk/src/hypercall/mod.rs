//! Every hypercall that guests, drivers and the toolstack make, typed.
//!
//! A module per public header, a function per operation. What goes in and comes out are plain
//! values; a negative result is an [`Errno`]. The structures live on the stack or in the caller's
//! slices, whose virtual addresses the hypervisor translates itself.
// UNSAFETY: a hypercall hands addresses to the hypervisor, which writes there. `call` is the only
// way in; each function says why the addresses it hands over are valid.
#![allow(unsafe_code)]

pub mod console_io;
pub mod domctl;
pub mod event_channel;
pub mod grant_table;
pub mod hvm;
pub mod memory;
pub mod multicall;
pub mod platform;
pub mod sched;
pub mod sysctl;
pub mod vcpu;
pub mod version;

use xen_abi::{Errno, GuestHandle, errno};

use crate::arch;

/// Makes a hypercall.
///
/// # Safety
///
/// What the arguments point to, and what is pointed to from there, is valid for the accesses that
/// the operation makes.
#[inline(always)]
pub(crate) unsafe fn call<const N: usize>(nr: u32, args: [usize; N]) -> Result<u64, Errno> {
    // SAFETY: the caller's promise.
    errno::from_ret(unsafe { arch::hypercall(nr as usize, args) })
}

/// Makes any hypercall with any arguments; gives the register with the result, sign-extended. For programs that try
/// what a hypervisor makes of it: all others have the functions in the modules below.
///
/// # Safety
///
/// Nothing in Rust's memory is where the hypervisor may write because of it, but for what is valid for any bytes and
/// only read by volatile accesses.
pub unsafe fn raw(nr: usize, args: [usize; 5]) -> i64 {
    // SAFETY: the caller's promise.
    unsafe { arch::hypercall(nr, args) }
}

/// Makes a hypercall of the form `(command, pointer)`.
///
/// # Safety
///
/// `arg` is what the command takes, and what its handles point to is valid as for [`call`].
#[inline(always)]
unsafe fn with_arg<T>(nr: u32, cmd: u32, arg: &mut T) -> Result<u64, Errno> {
    // SAFETY: `arg` is valid for both directions; the rest is the caller's promise.
    unsafe { call(nr, [cmd as usize, core::ptr::from_mut(arg) as usize]) }
}

/// A handle to what the hypervisor reads.
fn handle<T>(from: &[T]) -> GuestHandle<T> {
    GuestHandle::new(from.as_ptr() as usize as u64)
}

/// A handle to what the hypervisor writes.
fn handle_mut<T>(into: &mut [T]) -> GuestHandle<T> {
    GuestHandle::new(into.as_mut_ptr() as usize as u64)
}

/// The length of a list as the hypercalls take it.
///
/// # Errors
///
/// `E2BIG` when it does not fit.
fn count<T: TryFrom<usize>, U>(list: &[U]) -> Result<T, Errno> {
    T::try_from(list.len()).map_err(|_| Errno::E2BIG)
}

/// A string that the hypervisor wrote: up to its NUL.
fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|&b| b == 0).next().unwrap_or_default()
}
