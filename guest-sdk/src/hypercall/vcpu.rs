//! vCPUs (hypercall 24). They are started by PSCI: see [`crate::smp`].

use xen_abi::{
    Errno, GuestHandle, VcpuId,
    hypercall::VCPU_OP,
    vcpu::{RegisterRunstateMemoryArea, RegisterVcpuInfo, RunstateInfo, op},
};

use super::call;
use crate::shared::SharedMemory;

/// # Safety
///
/// `arg` is the structure of `cmd`, and what it names is the hypervisor's to write.
unsafe fn vcpu_op<T>(cmd: u32, vcpu: VcpuId, arg: &mut T) -> Result<(), Errno> {
    let args = [cmd as usize, vcpu.0 as usize, core::ptr::from_mut(arg) as usize];
    // SAFETY: the caller's promise.
    unsafe { call(VCPU_OP, args) }.map(drop)
}

/// Moves a vCPU's event state to `offset` in a page of ours, for good.
///
/// # Safety
///
/// The page stays what it is, and only shared memory is seen in it, while the domain lives.
///
/// # Errors
///
/// `EINVAL` when that was done before or the frame is none of ours, `ENXIO` for a bad offset,
/// `ENOENT` when there is no such vCPU.
pub unsafe fn register_vcpu_info(vcpu: VcpuId, gfn: xen_abi::Gfn, offset: u32) -> Result<(), Errno> {
    let mut arg = RegisterVcpuInfo { mfn: gfn.0, offset, rsvd: 0 };
    // SAFETY: the caller's promise.
    unsafe { vcpu_op(op::REGISTER_VCPU_INFO, vcpu, &mut arg) }
}

/// Has the hypervisor keep a [`RunstateInfo`] of a vCPU at the beginning of `record`, for good.
///
/// # Errors
///
/// `EINVAL` when `record` is too short, `ENOENT` when there is no such vCPU.
pub fn register_runstate(vcpu: VcpuId, record: &'static SharedMemory) -> Result<(), Errno> {
    if record.len() < size_of::<RunstateInfo>() {
        return Err(Errno::EINVAL);
    }
    let mut arg =
        RegisterRunstateMemoryArea { addr: GuestHandle::new(record.as_ptr().as_ptr() as usize as u64) };
    // SAFETY: the record is shared memory that stays for ever.
    unsafe { vcpu_op(op::REGISTER_RUNSTATE_MEMORY_AREA, vcpu, &mut arg) }
}
