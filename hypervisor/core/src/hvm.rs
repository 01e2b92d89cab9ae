//! hvm_op: a domain's parameters.

use core::mem::offset_of;

use alloc::sync::Arc;

use xen_abi::{
    Errno,
    hvm::{HvmParam, op, param},
};

use crate::{
    current::Current,
    hypercall::{Args, HypercallResult},
    machine::Machine,
};

/// hvm_op: command, pointer.
pub fn hvm_op<M: Machine>(cur: &mut Current<'_, M>, args: Args) -> HypercallResult {
    let at = args[1];
    match args[0] as u32 {
        op::SET_PARAM => set(cur, at)?,
        op::GET_PARAM => get(cur, at)?,
        // Nobody monitors a domain.
        op::GUEST_REQUEST_VM_EVENT if at != 0 => return Err(Errno::EINVAL.into()),
        op::GUEST_REQUEST_VM_EVENT => {}
        _ => return Err(Errno::ENOSYS.into()),
    }
    Ok(0)
}

/// Only the toolstack sets parameters.
fn set<M: Machine>(cur: &Current<'_, M>, at: u64) -> Result<(), Errno> {
    let op: HvmParam = cur.read(at)?;
    let domain = cur.target(op.domid)?;
    let own = Arc::ptr_eq(&domain, cur.domain);
    let mut params = domain.params.lock();
    if own && params.get(op.index).is_some() {
        return Err(Errno::EPERM);
    }
    if params.set(op.index, op.value) { Ok(()) } else { Err(Errno::EINVAL) }
}

fn get<M: Machine>(cur: &Current<'_, M>, at: u64) -> Result<(), Errno> {
    let op: HvmParam = cur.read(at)?;
    let domain = cur.target(op.domid)?;
    if op.index == param::MONITOR_RING_PFN && Arc::ptr_eq(&domain, cur.domain) {
        return Err(Errno::EPERM);
    }
    let value = domain.params.lock().get(op.index).ok_or(Errno::EINVAL)?;
    cur.write(at + offset_of!(HvmParam, value) as u64, &value)
}
