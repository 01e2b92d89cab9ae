//! Making vCPUs, their registers, and how they are scheduled.

use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use xen_abi::{
    Errno,
    arch::{VGCF_ONLINE, VcpuGuestContext, psr},
    domctl::{Domctl, GetVcpuInfo, MaxVcpus, SchedCredit, SchedulerOp, VcpuContext, schedop, scheduler},
    vcpu::runstate,
};

use super::{Result, Served, not_self};
use crate::{current::Current, domain::Domain, machine::Machine, vcpu::Vcpu};

const MODE_MASK: u64 = 0x1f;
/// All of a CPU, as a cap counts it: in percent.
const WHOLE_CPU: usize = 100;

/// As many as the domain was created for; again is no failure.
pub(super) fn create<M: Machine>(cur: &Current<'_, M>, op: &Domctl, domain: &Arc<Domain<M>>) -> Result {
    not_self(cur, domain)?;
    if op.u.get::<MaxVcpus>().max != domain.config.max_vcpus {
        return Err(Errno::EINVAL);
    }
    if domain.vcpus().is_empty() {
        cur.hv.create_vcpus(domain)?;
    }
    Ok(Served::Quietly)
}

/// Sets a vCPU's registers, or resets it.
pub(super) fn set_context<M: Machine>(cur: &Current<'_, M>, op: &Domctl, domain: &Arc<Domain<M>>) -> Result {
    let asked: VcpuContext = op.u.get();
    not_self(cur, domain)?;
    let vcpu = domain.vcpu(asked.vcpu).ok_or(Errno::EINVAL)?;
    if asked.ctxt.is_null() {
        return while_off(cur, domain, vcpu, || {
            cur.hv.vcpu_down(vcpu);
            vcpu.initialised.store(false, Ordering::Release);
        });
    }
    let context: VcpuGuestContext = cur.read(asked.ctxt.addr)?;
    if !is_allowed(&context, domain.is_aarch32()) {
        return Err(Errno::EINVAL);
    }
    while_off(cur, domain, vcpu, || {
        cur.hv.machine.set_context(&vcpu.context, &context, domain.is_aarch32());
        vcpu.initialised.store(true, Ordering::Release);
        if context.flags & VGCF_ONLINE != 0 {
            cur.hv.vcpu_up(domain, vcpu);
        } else {
            cur.hv.vcpu_down(vcpu);
        }
    })
}

/// Does something while no CPU has the vCPU, which the domain keeps from starting it.
fn while_off<M: Machine>(
    cur: &Current<'_, M>,
    domain: &Arc<Domain<M>>,
    vcpu: &Vcpu<M>,
    change: impl FnOnce(),
) -> Result {
    cur.hv.pause_vcpu(vcpu);
    cur.hv.wait_until_off(vcpu);
    {
        let _life = domain.life();
        change();
    }
    cur.hv.unpause_vcpu(domain, vcpu);
    Ok(Served::Quietly)
}

/// Whether a guest may be in the modes that its status registers say.
fn is_allowed(context: &VcpuGuestContext, aarch32: bool) -> bool {
    let regs = &context.user_regs;
    let mode = |status: u64| (status & MODE_MASK) as u32;
    let is_32 = |status| {
        use psr::*;
        let modes = [MODE_USR, MODE_FIQ, MODE_IRQ, MODE_SVC, MODE_ABT, MODE_UND, MODE_SYS];
        modes.contains(&mode(status))
    };
    let is_64 = |status| [psr::MODE_EL1H, psr::MODE_EL1T, psr::MODE_EL0T].contains(&mode(status));
    if aarch32 {
        let banked = [regs.spsr_svc(), regs.spsr_abt, regs.spsr_und, regs.spsr_irq, regs.spsr_fiq];
        is_32(regs.cpsr) && banked.into_iter().all(|status| status == 0 || is_32(status.into()))
    } else {
        is_64(regs.cpsr) && (regs.spsr_el1 == 0 || is_64(regs.spsr_el1))
    }
}

pub(super) fn get_context<M: Machine>(cur: &Current<'_, M>, op: &Domctl, domain: &Arc<Domain<M>>) -> Result {
    let asked: VcpuContext = op.u.get();
    let vcpu = domain.vcpu(asked.vcpu).ok_or(Errno::EINVAL)?;
    if core::ptr::eq(vcpu, cur.vcpu) {
        return Err(Errno::EINVAL);
    }
    if !vcpu.initialised.load(Ordering::Acquire) {
        return Err(Errno::ENODATA);
    }
    cur.hv.pause_vcpu(vcpu);
    cur.hv.wait_until_off(vcpu);
    let mut context = cur.hv.machine.get_context(&vcpu.context);
    context.flags = if vcpu.sched.is_down() { 0 } else { VGCF_ONLINE };
    cur.hv.unpause_vcpu(domain, vcpu);
    cur.write(asked.ctxt.addr, &context)?;
    Ok(Served::Answered)
}

pub(super) fn info<M: Machine>(cur: &Current<'_, M>, op: &mut Domctl, domain: &Arc<Domain<M>>) -> Result {
    let asked: GetVcpuInfo = op.u.get();
    if asked.vcpu >= domain.config.max_vcpus {
        return Err(Errno::EINVAL);
    }
    let vcpu = domain.vcpu(asked.vcpu).ok_or(Errno::ESRCH)?;
    op.u.set(&GetVcpuInfo {
        vcpu: asked.vcpu,
        online: (!vcpu.sched.is_down()).into(),
        blocked: (vcpu.sched.is_blocked() && !vcpu.sched.is_down()).into(),
        running: (vcpu.runstate.state() == runstate::RUNNING).into(),
        cpu_time: cur.hv.vcpu_time_ns(vcpu),
        cpu: vcpu.sched.cpu().0,
        ..GetVcpuInfo::default()
    });
    Ok(Served::Answered)
}

/// The domain's share of the CPUs, as the credit2 scheduler has it.
pub(super) fn schedule<M: Machine>(cur: &Current<'_, M>, op: &mut Domctl, domain: &Arc<Domain<M>>) -> Result {
    let mut asked: SchedulerOp = op.u.get();
    if asked.sched_id != scheduler::CREDIT2 {
        return Err(Errno::EINVAL);
    }
    match asked.cmd {
        schedop::PUTINFO => {
            let share = asked.credit();
            if usize::from(share.cap) > WHOLE_CPU * domain.vcpus().len() {
                return Err(Errno::EINVAL);
            }
            cur.hv.set_domain_share(domain, share.weight, share.cap);
            return Ok(Served::Quietly);
        }
        schedop::GETINFO => {}
        _ => return Err(Errno::EINVAL),
    }
    asked.set_credit(SchedCredit { weight: domain.sched.weight(), cap: domain.sched.cap() });
    op.u.set(&asked);
    Ok(Served::Answered)
}
