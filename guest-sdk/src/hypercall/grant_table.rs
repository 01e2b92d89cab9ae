//! Grant tables (hypercall 20). [`crate::grant`] has the owned forms.
//!
//! The list operations succeed as a whole and leave a status in each element.

use xen_abi::{
    Domid, Errno,
    grant_table::{Copy, GetVersion, GrantStatus, MapGrantRef, QuerySize, SetVersion, UnmapGrantRef, op},
    hypercall::GRANT_TABLE_OP,
};

use super::{call, count};

/// # Safety
///
/// `T` is the structure of `cmd`, and its handles are valid.
unsafe fn list_op<T>(cmd: u32, list: &mut [T]) -> Result<(), Errno> {
    let n: u32 = count(list)?;
    let args = [cmd as usize, list.as_mut_ptr() as usize, n as usize];
    // SAFETY: the slice is valid for both directions; the rest is the caller's promise.
    unsafe { call(GRANT_TABLE_OP, args) }.map(drop)
}

/// Maps granted frames at guest-physical addresses of ours.
///
/// # Safety
///
/// Nothing else uses the frames that are mapped over.
///
/// # Errors
///
/// `EFAULT` and the like for the list; each element has its own status.
pub unsafe fn map(list: &mut [MapGrantRef]) -> Result<(), Errno> {
    // SAFETY: there are no handles in it; what is mapped over is the caller's to give.
    unsafe { list_op(op::MAP_GRANT_REF, list) }
}

/// Undoes mappings.
///
/// # Safety
///
/// Nothing uses what was mapped any more.
///
/// # Errors
///
/// As [`map`].
pub unsafe fn unmap(list: &mut [UnmapGrantRef]) -> Result<(), Errno> {
    // SAFETY: there are no handles in it; nobody uses the frames, by the caller's promise.
    unsafe { list_op(op::UNMAP_GRANT_REF, list) }
}

/// Copies between frames, own and granted.
///
/// # Safety
///
/// Own frames that are copied to belong to nobody else, or are shared memory.
///
/// # Errors
///
/// As [`map`].
pub unsafe fn copy(list: &mut [Copy]) -> Result<(), Errno> {
    // SAFETY: there are no handles in it; what is written is the caller's to give.
    unsafe { list_op(op::COPY, list) }
}

/// Frames that a table has, and may have.
///
/// # Errors
///
/// `EPERM` when the table is not ours to ask about, `EINVAL` for any other failure.
pub fn query_size(dom: Domid) -> Result<(u32, u32), Errno> {
    let mut arg = QuerySize { dom, ..QuerySize::default() };
    // SAFETY: there are no handles in it.
    unsafe { list_op(op::QUERY_SIZE, core::slice::from_mut(&mut arg)) }?;
    match arg.status {
        GrantStatus::OKAY => Ok((arg.nr_frames, arg.max_nr_frames)),
        GrantStatus::PERMISSION_DENIED => Err(Errno::EPERM),
        GrantStatus::BAD_DOMAIN => Err(Errno::ESRCH),
        _ => Err(Errno::EINVAL),
    }
}

/// The version of a table.
///
/// # Errors
///
/// `ESRCH`, `EPERM`.
pub fn version(dom: Domid) -> Result<u32, Errno> {
    let mut arg = GetVersion { dom, ..GetVersion::default() };
    // SAFETY: there are no handles in it.
    unsafe { list_op(op::GET_VERSION, core::slice::from_mut(&mut arg)) }?;
    Ok(arg.version)
}

/// Chooses the version of our table; ARM has only 1.
///
/// # Errors
///
/// `ENOSYS` for 2, `EINVAL` for others.
pub fn set_version(version: u32) -> Result<(), Errno> {
    let mut arg = SetVersion { version };
    // SAFETY: there are no handles in it.
    unsafe { list_op(op::SET_VERSION, core::slice::from_mut(&mut arg)) }
}
