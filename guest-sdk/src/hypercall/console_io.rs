//! The hypervisor's console (hypercall 18): for dom0, and for domains built at boot.

use xen_abi::{Errno, console_io::op, hypercall::CONSOLE_IO};

use super::call;

/// Prints. From dom0 the bytes go out as they are, from others by lines with the domain in front.
///
/// # Errors
///
/// `EPERM` when this domain may not.
pub fn write(bytes: &[u8]) -> Result<(), Errno> {
    let args = [op::WRITE as usize, bytes.len(), bytes.as_ptr() as usize];
    // SAFETY: the slice is valid for reads.
    unsafe { call(CONSOLE_IO, args) }.map(drop)
}

/// Takes what was typed; says how many bytes. `VIRQ_CONSOLE` tells when there is something.
///
/// # Errors
///
/// `EPERM` when this domain may not.
pub fn read(into: &mut [u8]) -> Result<usize, Errno> {
    let args = [op::READ as usize, into.len(), into.as_mut_ptr() as usize];
    // SAFETY: the slice is valid for writes.
    let n = unsafe { call(CONSOLE_IO, args) }?;
    Ok(into.len().min(n as usize))
}
