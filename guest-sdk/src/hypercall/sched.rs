//! Scheduling and shutdown (hypercall 29).

use xen_abi::{
    Domid, Errno, EvtchnPort,
    hypercall::SCHED_OP,
    sched::{Poll, RemoteShutdown, Shutdown, Watchdog, op},
};

use super::{call, count, handle, with_arg};
use crate::time::Instant;

/// Lets other domains run.
///
/// # Errors
///
/// None that is known.
pub fn yield_cpu() -> Result<(), Errno> {
    // SAFETY: it takes no argument.
    unsafe { call(SCHED_OP, [op::YIELD as usize, 0]) }.map(drop)
}

/// Sleeps until an interrupt is due, masked or not.
///
/// # Errors
///
/// None that is known.
pub fn block() -> Result<(), Errno> {
    // SAFETY: it takes no argument.
    unsafe { call(SCHED_OP, [op::BLOCK as usize, 0]) }.map(drop)
}

/// Shuts this domain down (see [`xen_abi::sched::shutdown`]). It returns only when the domain is
/// resumed.
///
/// # Errors
///
/// `EINVAL` for an unknown reason.
pub fn shutdown(reason: u32) -> Result<(), Errno> {
    // SAFETY: there are no handles in it.
    unsafe { with_arg(SCHED_OP, op::SHUTDOWN, &mut Shutdown { reason }) }.map(drop)
}

/// Says what a later end of the domain is to be taken for.
///
/// # Errors
///
/// None that is known.
pub fn shutdown_code(reason: u32) -> Result<(), Errno> {
    // SAFETY: there are no handles in it.
    unsafe { with_arg(SCHED_OP, op::SHUTDOWN_CODE, &mut Shutdown { reason }) }.map(drop)
}

/// Shuts another domain down.
///
/// # Errors
///
/// `ESRCH`, `EPERM`.
pub fn remote_shutdown(domain_id: Domid, reason: u32) -> Result<(), Errno> {
    let mut arg = RemoteShutdown { domain_id, pad: 0, reason };
    // SAFETY: there are no handles in it.
    unsafe { with_arg(SCHED_OP, op::REMOTE_SHUTDOWN, &mut arg) }.map(drop)
}

/// Sleeps until one of `ports` is pending, masked or not, or until the hypervisor's clock shows
/// `deadline`.
///
/// # Errors
///
/// `EINVAL` for a bad port or too many.
pub fn poll(ports: &[EvtchnPort], deadline: Option<Instant>) -> Result<(), Errno> {
    let mut arg = Poll {
        ports: handle(ports),
        nr_ports: count(ports)?,
        pad: 0,
        timeout: deadline.map_or(0, |d| d.as_ns().max(1)),
    };
    // SAFETY: the list is as long as it says, and only read.
    unsafe { with_arg(SCHED_OP, op::POLL, &mut arg) }.map(drop)
}

/// Arms watchdog `id`, or a new one for 0, to crash the domain after so many seconds; 0 disables.
/// Gives the id.
///
/// # Errors
///
/// `EINVAL` for a bad id, `EEXIST` or `ENOSPC` when there is none left.
pub fn watchdog(id: u32, seconds: u32) -> Result<u32, Errno> {
    let mut arg = Watchdog { id, timeout: seconds };
    // SAFETY: there are no handles in it.
    unsafe { with_arg(SCHED_OP, op::WATCHDOG, &mut arg) }.map(|id| id as u32)
}
