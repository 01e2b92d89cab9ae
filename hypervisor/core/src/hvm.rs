//! hvm_op: a domain's parameters.

use core::mem::offset_of;

use alloc::sync::Arc;

use xen_abi::{
    Errno,
    hvm::{HvmParam, op, param},
};

use crate::{
    current::Current,
    domain::Domain,
    hypercall::{Args, HypercallResult},
    machine::Machine,
    xsm,
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

fn target<M: Machine>(cur: &Current<'_, M>, op: &HvmParam) -> Result<Arc<Domain<M>>, Errno> {
    let domain = cur.hv.domains.get_or_self(cur.domain, op.domid).ok_or(Errno::ESRCH)?;
    xsm::target(cur.domain, &domain)?;
    Ok(domain)
}

/// Only the toolstack sets parameters.
fn set<M: Machine>(cur: &Current<'_, M>, at: u64) -> Result<(), Errno> {
    let op: HvmParam = cur.read(at)?;
    let domain = target(cur, &op)?;
    let own = Arc::ptr_eq(&domain, cur.domain);
    let mut params = domain.params.lock();
    if own && params.get(op.index).is_some() {
        return Err(Errno::EPERM);
    }
    if params.set(op.index, op.value) { Ok(()) } else { Err(Errno::EINVAL) }
}

fn get<M: Machine>(cur: &Current<'_, M>, at: u64) -> Result<(), Errno> {
    let op: HvmParam = cur.read(at)?;
    let domain = target(cur, &op)?;
    if op.index == param::MONITOR_RING_PFN && Arc::ptr_eq(&domain, cur.domain) {
        return Err(Errno::EPERM);
    }
    let value = domain.params.lock().get(op.index).ok_or(Errno::EINVAL)?;
    cur.write(at + offset_of!(HvmParam, value) as u64, &value)
}
