//! Switching a guest's vCPUs on and asking whether they are (Arm DEN0022).

use core::sync::atomic::Ordering;

use xen_abi::{
    arch::{SCTLR_GUEST_INIT, VGCF_ONLINE, VcpuGuestContext, psr},
    psci::{AFFINITY_OFF, AFFINITY_ON, ret},
};

use crate::{
    Hypervisor,
    current::Current,
    domain::{Domain, vmpidr},
    machine::Machine,
    vcpu::Vcpu,
};

/// What CPU_ON wants.
pub(crate) struct CpuOn {
    /// Affinity of the vCPU.
    pub(crate) target: u64,
    /// Where it starts; bit 0 says Thumb.
    pub(crate) entry: u64,
    /// What it finds in its first register.
    pub(crate) context: u64,
}

impl<M: Machine> Current<'_, M> {
    pub(crate) fn cpu_on(&self, on: &CpuOn) -> i32 {
        let index = (on.target & 0xff) | (on.target >> 8 & 0xff) << 4;
        let Some(vcpu) = self.domain.vcpu(index as u32) else {
            return ret::INVALID_PARAMETERS;
        };
        let context = match start_context(self.domain.is_aarch32(), on.entry, on.context) {
            Some(context) => context,
            None => return ret::INVALID_ADDRESS,
        };
        loop {
            if !vcpu.sched.is_down() {
                return ret::ALREADY_ON;
            }
            // Another CPU may be about to save it still.
            self.hv.wait_until_off(vcpu);
            let _life = self.domain.life();
            if vcpu.sched.is_down() && !vcpu.sched.is_loaded() {
                self.hv.start_vcpu(self.domain, vcpu, &context);
                return ret::SUCCESS;
            }
        }
    }

    pub(crate) fn affinity_info(&self, target: u64, level: u64) -> i32 {
        let levels = if cfg!(target_arch = "arm") { 3 } else { 4 };
        if level >= levels {
            return ret::INVALID_PARAMETERS;
        }
        // Affinity levels of eight bits: 0 to 2, and 3 above the word.
        let all: u64 = 0xff_00ff_ffff;
        let mask = if level == 3 { 0xff_0000_0000 } else { all & (u64::MAX << (8 * level)) };
        let mut matching = self.domain.vcpus().iter().filter(|vcpu| vmpidr(vcpu.id) & mask == target & mask);
        let is_on = matching.any(|vcpu| !vcpu.sched.is_down());
        if is_on { AFFINITY_ON as i32 } else { AFFINITY_OFF as i32 }
    }
}

impl<M: Machine> Hypervisor<M> {
    /// Switches on a vCPU that is down and loaded nowhere, with these registers. The caller holds the
    /// domain's lifecycle lock.
    pub(crate) fn start_vcpu(
        &self,
        domain: &alloc::sync::Arc<Domain<M>>,
        vcpu: &Vcpu<M>,
        context: &VcpuGuestContext,
    ) {
        self.reset_interrupts(domain, vcpu);
        self.machine.set_context(&vcpu.context, context, domain.is_aarch32());
        vcpu.initialised.store(true, Ordering::Release);
        self.vcpu_up(domain, vcpu);
    }
}

/// The registers that a vCPU starts with; none if a 64-bit one is to start in Thumb state.
pub(crate) fn start_context(aarch32: bool, entry: u64, context: u64) -> Option<VcpuGuestContext> {
    let thumb = entry & 1 != 0;
    if thumb && !aarch32 {
        return None;
    }
    let mut start = VcpuGuestContext { flags: VGCF_ONLINE, sctlr: SCTLR_GUEST_INIT, ..Default::default() };
    let cpsr = match (aarch32, thumb) {
        (false, _) => psr::GUEST64_INIT,
        (true, false) => psr::GUEST32_INIT,
        (true, true) => psr::GUEST32_INIT | psr::THUMB,
    };
    start.user_regs.cpsr = cpsr.into();
    start.user_regs.pc = entry & !u64::from(thumb);
    start.user_regs.x[0] = context;
    Some(start)
}
