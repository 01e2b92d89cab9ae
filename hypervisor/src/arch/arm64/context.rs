//! The registers of a vCPU that only this state switches.

use xen_abi::arch::{CoreRegs, SCTLR_GUEST_INIT, VcpuGuestContext};
use zerocopy::FromZeros;

use super::{Regs, fp::Fp, identity, sysregs::*, translate};
use crate::context::registers;

pub use super::copy::copy_regs;

/// HCR beside what all guests have: error records trap, EL1 is in AArch64 state unless it is said to be
/// in the other. Pointer authentication and allocation tags are off.
pub const HCR_OWN: Word = HCR_TERR | HCR_RW;
/// EL1 is in AArch64 state.
pub const HCR_RW: Word = 1 << 31;
const HCR_TERR: Word = 1 << 36;

/// HCR with EL1 in that state.
pub fn hcr_for_state(hcr: Word, aarch32: bool) -> Word {
    if aarch32 { hcr & !HCR_RW } else { hcr | HCR_RW }
}

/// Whether EL1 has the registers of AArch32, on a CPU that has them.
#[inline]
fn is_aarch32(hcr: Word) -> bool {
    hcr & HCR_RW == 0 && identity::has_aarch32()
}

/// The registers.
pub struct Own {
    el1: El1,
    aarch32: AArch32,
    fp: Fp,
}

registers! {
    /// The system registers of EL1 and EL0. ACTLR is not among them: HCR.TACR keeps guests from it.
    El1 {
        sp_el0: u64 = SP_EL0,
        sp_el1: u64 = SP_EL1,
        elr: u64 = ELR_EL1,
        spsr: u64 = SPSR_EL1,
        sctlr: u64 = SCTLR_EL1,
        cpacr: u64 = CPACR_EL1,
        tcr: u64 = TCR_EL1,
        ttbr0: u64 = TTBR0_EL1,
        ttbr1: u64 = TTBR1_EL1,
        mair: u64 = MAIR_EL1,
        amair: u64 = AMAIR_EL1,
        esr: u64 = ESR_EL1,
        far: u64 = FAR_EL1,
        afsr0: u64 = AFSR0_EL1,
        afsr1: u64 = AFSR1_EL1,
        par: u64 = PAR_EL1,
        vbar: u64 = VBAR_EL1,
        contextidr: u64 = CONTEXTIDR_EL1,
        tpidr_el0: u64 = TPIDR_EL0,
        tpidrro: u64 = TPIDRRO_EL0,
        tpidr_el1: u64 = TPIDR_EL1,
        csselr: u64 = CSSELR_EL1,
        cntkctl: u64 = CNTKCTL_EL1,
    }
}

registers! {
    /// What only a guest has whose EL1 is in AArch32 state.
    AArch32 {
        spsr_abt: u64 = SPSR_ABT,
        spsr_und: u64 = SPSR_UND,
        spsr_irq: u64 = SPSR_IRQ,
        spsr_fiq: u64 = SPSR_FIQ,
        dacr: u64 = DACR32_EL2,
        ifsr: u64 = IFSR32_EL2,
        fpexc: u64 = FPEXC32_EL2,
    }
}

impl AArch32 {
    fn set(&mut self, core: &CoreRegs) {
        self.spsr_abt = core.spsr_abt.into();
        self.spsr_und = core.spsr_und.into();
        self.spsr_irq = core.spsr_irq.into();
        self.spsr_fiq = core.spsr_fiq.into();
    }

    fn get(&self, core: &mut CoreRegs) {
        core.spsr_abt = self.spsr_abt as u32;
        core.spsr_und = self.spsr_und as u32;
        core.spsr_irq = self.spsr_irq as u32;
        core.spsr_fiq = self.spsr_fiq as u32;
    }
}

impl Own {
    /// As at reset.
    pub fn at_reset() -> Self {
        let el1 = El1 { sctlr: SCTLR_GUEST_INIT, ..El1::default() };
        Self { el1, aarch32: AArch32::default(), fp: Fp::new() }
    }

    /// Sets what the ABI names.
    pub fn set(&mut self, regs: &mut Regs, to: &VcpuGuestContext) {
        let core = &to.user_regs;
        *regs = Regs { x: core.x, pc: core.pc, pstate: core.cpsr };
        self.aarch32.set(core);
        let el1 = &mut self.el1;
        el1.spsr = core.spsr_el1;
        el1.sp_el0 = core.sp_el0;
        el1.sp_el1 = core.sp_el1;
        el1.elr = core.elr_el1;
        el1.sctlr = to.sctlr;
        el1.tcr = to.ttbcr;
        el1.ttbr0 = to.ttbr0;
        el1.ttbr1 = to.ttbr1;
    }

    /// Gives it.
    pub fn get(&self, regs: &Regs, hcr: Word) -> VcpuGuestContext {
        let mut context = VcpuGuestContext::new_zeroed();
        let el1 = &self.el1;
        let core = &mut context.user_regs;
        core.x = regs.x;
        core.pc = regs.pc;
        core.cpsr = regs.pstate;
        core.spsr_el1 = el1.spsr;
        if hcr & HCR_RW != 0 {
            core.sp_el0 = el1.sp_el0;
            core.sp_el1 = el1.sp_el1;
            core.elr_el1 = el1.elr;
        } else {
            self.aarch32.get(core);
        }
        context.sctlr = el1.sctlr;
        context.ttbcr = el1.tcr;
        context.ttbr0 = el1.ttbr0;
        context.ttbr1 = el1.ttbr1;
        context
    }

    /// Puts them on this CPU.
    #[inline(always)]
    pub fn load(&self, hcr: Word) {
        // Cortex-A57 852523, Cortex-A72 853709: DACR32_EL2 takes effect with a write of SCTLR_EL1, TCR_EL1, TTBR0_EL1,
        // TTBR1_EL1 or CONTEXTIDR_EL1 that comes after it.
        if is_aarch32(hcr) {
            self.aarch32.load();
        }
        self.el1.load();
        self.fp.load();
    }

    /// Takes them off this CPU.
    #[inline(always)]
    pub fn save(&mut self, hcr: Word) {
        translate::par_barrier();
        self.el1.save();
        translate::par_barrier();
        if is_aarch32(hcr) {
            self.aarch32.save();
        }
        self.fp.save();
    }
}
