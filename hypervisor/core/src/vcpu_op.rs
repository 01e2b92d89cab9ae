//! vcpu_op and vm_assist: what a vCPU shares with the hypervisor. PSCI starts and stops vCPUs.

use core::sync::atomic::Ordering;

use xen_abi::{
    Errno, Gfn,
    vcpu::{RUNSTATE_UPDATE, RegisterRunstateMemoryArea, RegisterVcpuInfo, RunstateInfo, op},
    xen::vm_assist as assist,
};

use crate::{current::Current, hypercall::HypercallResult, machine::Machine, vcpu::Vcpu};

/// Serves `vcpu_op(command, vcpu, at)`.
pub fn vcpu_op<M: Machine>(cur: &mut Current<'_, M>, command: u64, vcpu: u64, at: u64) -> HypercallResult {
    let command = command as u32;
    let vcpu = cur.domain.vcpu(vcpu as u32).ok_or(Errno::ENOENT)?;
    if !matches!(command, op::REGISTER_VCPU_INFO | op::REGISTER_RUNSTATE_MEMORY_AREA) {
        return Err(Errno::EINVAL.into());
    }
    if command == op::REGISTER_VCPU_INFO {
        let area: RegisterVcpuInfo = cur.read(at)?;
        let is_current = vcpu.id == cur.vcpu.id;
        cur.hv.register_vcpu_info(cur.domain, vcpu, is_current, Gfn(area.mfn), area.offset)?;
    } else {
        let area: RegisterRunstateMemoryArea = cur.read(at)?;
        vcpu.runstate_area.store(area.addr.addr, Ordering::Relaxed);
        if !area.addr.is_null() {
            // The guest learns nothing when this fails, as it does not later on.
            let _ = cur.write_runstate(vcpu, area.addr.addr);
        }
    }
    Ok(0)
}

/// Serves `vm_assist(command, kind)`.
pub fn vm_assist<M: Machine>(cur: &mut Current<'_, M>, command: u64, kind: u64) -> HypercallResult {
    if kind as u32 != assist::RUNSTATE_UPDATE_FLAG {
        return Err(Errno::EINVAL.into());
    }
    let on = match command as u32 {
        assist::ENABLE => true,
        assist::DISABLE => false,
        _ => return Err(Errno::ENOSYS.into()),
    };
    cur.domain.marks_runstate.store(on, Ordering::Relaxed);
    Ok(0)
}

impl<M: Machine> Current<'_, M> {
    /// Brings the guest's copy of the record up to date, if it wants one and it is not.
    pub(crate) fn update_runstate(&self) {
        if self.vcpu.runstate_due.swap(false, Ordering::Relaxed) {
            let area = self.vcpu.runstate_area.load(Ordering::Relaxed);
            if area != 0 {
                // What the guest's tables do not allow now is not written.
                let _ = self.write_runstate(self.vcpu, area);
            }
        }
    }

    #[hot]
    fn write_runstate(&self, vcpu: &Vcpu<M>, at: u64) -> Result<(), Errno> {
        let info = vcpu.runstate.info(&self.hv.clock, self.hv.machine.ticks());
        if !self.domain.marks_runstate.load(Ordering::Relaxed) {
            return self.write(at, &info);
        }
        let entry_at = core::mem::offset_of!(RunstateInfo, state_entry_time) as u64;
        let entry_at = at.checked_add(entry_at).ok_or(Errno::EFAULT)?;
        let marked = info.state_entry_time | RUNSTATE_UPDATE;
        self.write(entry_at, &marked)?;
        self.hv.machine.table_barrier();
        self.write(at, &RunstateInfo { state_entry_time: marked, ..info })?;
        self.hv.machine.table_barrier();
        self.write(entry_at, &info.state_entry_time)
    }
}
