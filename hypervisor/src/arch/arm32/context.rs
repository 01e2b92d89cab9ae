//! The registers of a vCPU that only this state switches.

use xen_abi::arch::{CoreRegs, SCTLR_GUEST_INIT, VcpuGuestContext, aarch32 as index};
use zerocopy::FromZeros;

use super::{Regs, sysregs::*, thumbee::ThumbEe, vfp::Vfp};
use crate::context::registers;

/// HCR beside what all guests have.
pub const HCR_OWN: Word = 0;

/// HCR with EL1 in that state: there is no other.
pub fn hcr_for_state(hcr: Word, _aarch32: bool) -> Word {
    hcr
}

/// Copies general registers.
pub fn copy_regs(to: &mut Regs, from: &Regs) {
    to.clone_from(from);
}

/// The registers.
pub struct Own {
    banked: Banked,
    el1: El1,
    thumbee: ThumbEe,
    vfp: Vfp,
}

registers! {
    /// The registers of other modes.
    Banked {
        sp_usr: u32 = SP_USR,
        sp_svc: u32 = SP_SVC, lr_svc: u32 = LR_SVC, spsr_svc: u32 = SPSR_SVC,
        sp_abt: u32 = SP_ABT, lr_abt: u32 = LR_ABT, spsr_abt: u32 = SPSR_ABT,
        sp_und: u32 = SP_UND, lr_und: u32 = LR_UND, spsr_und: u32 = SPSR_UND,
        sp_irq: u32 = SP_IRQ, lr_irq: u32 = LR_IRQ, spsr_irq: u32 = SPSR_IRQ,
        r8_fiq: u32 = R8_FIQ, r9_fiq: u32 = R9_FIQ, r10_fiq: u32 = R10_FIQ,
        r11_fiq: u32 = R11_FIQ, r12_fiq: u32 = R12_FIQ,
        sp_fiq: u32 = SP_FIQ, lr_fiq: u32 = LR_FIQ, spsr_fiq: u32 = SPSR_FIQ,
    }
}

registers! {
    /// The system registers of EL1 and EL0. ACTLR is not among them: HCR.TAC keeps guests from it.
    El1 {
        ttbr0: u64 = TTBR0_EL1,
        ttbr1: u64 = TTBR1_EL1,
        sctlr: u32 = SCTLR_EL1,
        cpacr: u32 = CPACR_EL1,
        ttbcr: u32 = TCR_EL1,
        dacr: u32 = DACR32_EL2,
        mair0: u32 = MAIR0,
        mair1: u32 = MAIR1,
        amair0: u32 = AMAIR0,
        amair1: u32 = AMAIR1,
        dfsr: u32 = DFSR,
        ifsr: u32 = IFSR32_EL2,
        adfsr: u32 = AFSR0_EL1,
        aifsr: u32 = AFSR1_EL1,
        dfar: u32 = DFAR,
        ifar: u32 = IFAR,
        vbar: u32 = VBAR_EL1,
        contextidr: u32 = CONTEXTIDR_EL1,
        tpidrurw: u32 = TPIDR_EL0,
        tpidruro: u32 = TPIDRRO_EL0,
        tpidrprw: u32 = TPIDR_EL1,
        csselr: u32 = CSSELR_EL1,
        cntkctl: u32 = CNTKCTL_EL1,
        par: u64 = PAR_EL1,
    }
}

/// Which element of the ABI's registers holds which of ours.
macro_rules! abi_registers {
    ($($index:path: $field:ident,)*) => {
        fn from_abi(core: &CoreRegs) -> Self {
            let fiq = |n: usize| core.x[index::R8_FIQ + n] as u32;
            Self {
                $($field: core.x[$index] as u32,)*
                r8_fiq: fiq(0), r9_fiq: fiq(1), r10_fiq: fiq(2), r11_fiq: fiq(3), r12_fiq: fiq(4),
                spsr_svc: core.spsr_svc(),
                spsr_abt: core.spsr_abt,
                spsr_und: core.spsr_und,
                spsr_irq: core.spsr_irq,
                spsr_fiq: core.spsr_fiq,
            }
        }

        fn to_abi(&self, core: &mut CoreRegs) {
            $(core.x[$index] = self.$field.into();)*
            let fiq = [self.r8_fiq, self.r9_fiq, self.r10_fiq, self.r11_fiq, self.r12_fiq];
            for (x, own) in core.x[index::R8_FIQ..].iter_mut().zip(fiq) {
                *x = own.into();
            }
            core.spsr_el1 = self.spsr_svc.into();
            core.spsr_abt = self.spsr_abt;
            core.spsr_und = self.spsr_und;
            core.spsr_irq = self.spsr_irq;
            core.spsr_fiq = self.spsr_fiq;
        }
    };
}

impl Banked {
    abi_registers! {
        index::SP_USR: sp_usr,
        index::SP_SVC: sp_svc, index::LR_SVC: lr_svc,
        index::SP_ABT: sp_abt, index::LR_ABT: lr_abt,
        index::SP_UND: sp_und, index::LR_UND: lr_und,
        index::SP_IRQ: sp_irq, index::LR_IRQ: lr_irq,
        index::SP_FIQ: sp_fiq, index::LR_FIQ: lr_fiq,
    }
}

impl Own {
    /// As at reset.
    pub fn at_reset() -> Self {
        let el1 = El1 { sctlr: SCTLR_GUEST_INIT as u32, ..El1::default() };
        Self { banked: Banked::default(), el1, thumbee: ThumbEe::default(), vfp: Vfp::new() }
    }

    /// Sets what the ABI names.
    pub fn set(&mut self, regs: &mut Regs, to: &VcpuGuestContext) {
        let Self { banked, el1, .. } = self;
        *banked = Banked::from_abi(&to.user_regs);
        for (own, x) in regs.r.iter_mut().zip(&to.user_regs.x) {
            *own = *x as u32;
        }
        regs.lr_usr = to.user_regs.x[index::LR_USR] as u32;
        regs.pc = to.user_regs.pc as u32;
        regs.cpsr = to.user_regs.cpsr as u32;
        el1.sctlr = to.sctlr as u32;
        el1.ttbcr = to.ttbcr as u32;
        el1.ttbr0 = to.ttbr0;
        el1.ttbr1 = to.ttbr1;
    }

    /// Gives it.
    pub fn get(&self, regs: &Regs, _hcr: Word) -> VcpuGuestContext {
        let mut context = VcpuGuestContext::new_zeroed();
        let Self { banked, el1, .. } = self;
        banked.to_abi(&mut context.user_regs);
        for (x, own) in context.user_regs.x.iter_mut().zip(&regs.r) {
            *x = u64::from(*own);
        }
        context.user_regs.x[index::LR_USR] = regs.lr_usr.into();
        context.user_regs.pc = regs.pc.into();
        context.user_regs.cpsr = regs.cpsr.into();
        context.sctlr = el1.sctlr.into();
        context.ttbcr = el1.ttbcr.into();
        context.ttbr0 = el1.ttbr0;
        context.ttbr1 = el1.ttbr1;
        context
    }

    /// Puts them on this CPU.
    #[inline(always)]
    pub fn load(&self, _hcr: Word) {
        self.el1.load();
        self.banked.load();
        self.thumbee.load();
        self.vfp.load();
    }

    /// Takes them off this CPU.
    #[inline(always)]
    pub fn save(&mut self, _hcr: Word) {
        self.el1.save();
        self.banked.save();
        self.thumbee.save();
        self.vfp.save();
    }
}
