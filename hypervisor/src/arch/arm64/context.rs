//! A vCPU's state beside the general registers, and switching it.

use hv_core::machine::Vmid;
use spin::Mutex;
use xen_abi::{
    Mfn, PAGE_SHIFT,
    arch::{CoreRegs, SCTLR_GUEST_INIT, VcpuGuestContext},
};
use zerocopy::FromZeros;

use super::{Regs, fp::Fp, identity, sysregs::*};
use crate::{
    gic::{Gic, VirtualState},
    guest_tlb,
};

/// HCR: stage 2 on; interrupts and aborts come here; set/way by override, caches by VA broadcast;
/// WFI, WFE, identification registers, SMC, implementation defined operations, ACTLR, set/way
/// maintenance and error records trap. Pointer authentication and allocation tags are off.
const HCR: u64 = HCR_VM
    | HCR_SWIO
    | HCR_PTW
    | HCR_FMO
    | HCR_IMO
    | HCR_AMO
    | HCR_FB
    | HCR_BSU_INNER
    | HCR_TWI
    | HCR_TWE
    | HCR_TID3
    | HCR_TSC
    | HCR_TIDCP
    | HCR_TACR
    | HCR_TSW
    | HCR_TERR;
const HCR_VM: u64 = 1 << 0;
const HCR_SWIO: u64 = 1 << 1;
const HCR_PTW: u64 = 1 << 2;
const HCR_FMO: u64 = 1 << 3;
const HCR_IMO: u64 = 1 << 4;
const HCR_AMO: u64 = 1 << 5;
/// A virtual SError is pending.
pub const HCR_VSE: u64 = 1 << 8;
const HCR_FB: u64 = 1 << 9;
const HCR_BSU_INNER: u64 = 1 << 10;
const HCR_TWI: u64 = 1 << 13;
const HCR_TWE: u64 = 1 << 14;
const HCR_TID3: u64 = 1 << 18;
const HCR_TSC: u64 = 1 << 19;
const HCR_TIDCP: u64 = 1 << 20;
const HCR_TACR: u64 = 1 << 21;
const HCR_TSW: u64 = 1 << 22;
/// Writes of the registers that control stage 1 trap.
pub const HCR_TVM: u64 = 1 << 26;
/// EL1 is in AArch64 state.
pub const HCR_RW: u64 = 1 << 31;
const HCR_TERR: u64 = 1 << 36;

/// CNTV_CTL: on; masked; condition met.
const TIMER_ENABLE: u64 = 1 << 0;
const TIMER_MASK: u64 = 1 << 1;
const TIMER_MET: u64 = 1 << 2;

const VMID_SHIFT: u32 = 48;

/// What a vCPU is while it is not loaded on a CPU.
pub struct Context(Mutex<State>);

/// The state.
struct State {
    regs: Regs,
    el1: El1,
    aarch32: AArch32,
    timer: Timer,
    fp: Fp,
    gic: VirtualState,
    hcr: u64,
    vmpidr: u64,
    vttbr: u64,
    counter_offset: u64,
}

/// Defines a struct of registers, with what reads them all and writes them all.
macro_rules! registers {
    ($(#[$doc:meta])* $struct:ident { $($field:ident = $register:ident,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Default)]
        struct $struct { $($field: u64,)* }

        impl $struct {
            #[inline(always)]
            fn save(&mut self) {
                $(self.$field = $register::read();)*
            }

            #[inline(always)]
            fn load(&self) {
                $($register::write(self.$field);)*
            }
        }
    };
}

registers! {
    /// The system registers of EL1 and EL0.
    El1 {
        sp_el0 = SP_EL0,
        sp_el1 = SP_EL1,
        elr = ELR_EL1,
        spsr = SPSR_EL1,
        sctlr = SCTLR_EL1,
        actlr = ACTLR_EL1,
        cpacr = CPACR_EL1,
        tcr = TCR_EL1,
        ttbr0 = TTBR0_EL1,
        ttbr1 = TTBR1_EL1,
        mair = MAIR_EL1,
        amair = AMAIR_EL1,
        esr = ESR_EL1,
        far = FAR_EL1,
        afsr0 = AFSR0_EL1,
        afsr1 = AFSR1_EL1,
        par = PAR_EL1,
        vbar = VBAR_EL1,
        contextidr = CONTEXTIDR_EL1,
        tpidr_el0 = TPIDR_EL0,
        tpidrro = TPIDRRO_EL0,
        tpidr_el1 = TPIDR_EL1,
        csselr = CSSELR_EL1,
        cntkctl = CNTKCTL_EL1,
    }
}

registers! {
    /// What only a guest has whose EL1 is in AArch32 state.
    AArch32 {
        spsr_abt = SPSR_ABT,
        spsr_und = SPSR_UND,
        spsr_irq = SPSR_IRQ,
        spsr_fiq = SPSR_FIQ,
        dacr = DACR32_EL2,
        ifsr = IFSR32_EL2,
        fpexc = FPEXC32_EL2,
    }
}

registers! {
    /// The virtual timer.
    Timer {
        compare = CNTV_CVAL_EL0,
        control = CNTV_CTL_EL0,
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

impl Context {
    /// As at reset, with no general registers set.
    pub fn new(root: Mfn, vmid: Vmid, vmpidr: u64, counter_offset: u64) -> Self {
        Self(Mutex::new(State {
            regs: Regs::default(),
            el1: El1 { sctlr: SCTLR_GUEST_INIT, actlr: ACTLR_EL1::read(), ..El1::default() },
            aarch32: AArch32::default(),
            timer: Timer::default(),
            fp: Fp::new(),
            gic: VirtualState::RESET,
            hcr: HCR | HCR_RW,
            vmpidr,
            vttbr: root.0 << PAGE_SHIFT | u64::from(vmid.0) << VMID_SHIFT,
            counter_offset,
        }))
    }

    /// Sets what the ABI names, and the state that EL1 is in. The vCPU is not loaded.
    pub fn set(&self, to: &VcpuGuestContext, aarch32: bool) {
        let mut state = self.0.lock();
        let core = &to.user_regs;
        state.hcr = if aarch32 { state.hcr & !HCR_RW } else { state.hcr | HCR_RW };
        state.regs = Regs { x: core.x, pc: core.pc, pstate: core.cpsr };
        state.aarch32.set(core);
        let el1 = &mut state.el1;
        el1.spsr = core.spsr_el1;
        el1.sp_el0 = core.sp_el0;
        el1.sp_el1 = core.sp_el1;
        el1.elr = core.elr_el1;
        el1.sctlr = to.sctlr;
        el1.tcr = to.ttbcr;
        el1.ttbr0 = to.ttbr0;
        el1.ttbr1 = to.ttbr1;
    }

    /// Gives it. Of a vCPU that is loaded, what it was when it came.
    pub fn get(&self) -> VcpuGuestContext {
        let state = self.0.lock();
        let mut context = VcpuGuestContext::new_zeroed();
        let core = &mut context.user_regs;
        core.x = state.regs.x;
        core.pc = state.regs.pc;
        core.cpsr = state.regs.pstate;
        core.spsr_el1 = state.el1.spsr;
        state.aarch32.get(core);
        if state.hcr & HCR_RW != 0 {
            core.sp_el0 = state.el1.sp_el0;
            core.sp_el1 = state.el1.sp_el1;
            core.elr_el1 = state.el1.elr;
        }
        context.sctlr = state.el1.sctlr;
        context.ttbcr = state.el1.tcr;
        context.ttbr0 = state.el1.ttbr0;
        context.ttbr1 = state.el1.ttbr1;
        context
    }

    /// Puts the vCPU on this CPU, but for its general registers, which go to `regs`.
    #[inline(never)]
    pub fn load(&self, regs: &mut Regs, gic: &Gic) {
        let state = self.0.lock();
        VTTBR_EL2::write(state.vttbr);
        VMPIDR_EL2::write(state.vmpidr);
        HCR_EL2::write(state.hcr);
        CNTVOFF_EL2::write(state.counter_offset);
        state.el1.load();
        if state.is_aarch32() {
            state.aarch32.load();
        }
        state.fp.load();
        state.timer.load();
        gic.load(&state.gic);
        super::isb();
        guest_tlb::forget_siblings((state.vttbr >> VMID_SHIFT) as u8, state.vmpidr);
        regs.clone_from(&state.regs);
    }

    /// Takes the vCPU off this CPU.
    #[inline(never)]
    pub fn save(&self, regs: &Regs, gic: &Gic) {
        let mut state = self.0.lock();
        state.regs.clone_from(regs);
        state.timer.save();
        // A guest that is not loaded must not interrupt.
        CNTV_CTL_EL0::write(0);
        state.el1.save();
        if state.is_aarch32() {
            state.aarch32.save();
        }
        state.fp.save();
        gic.save(&mut state.gic);
        // HCR.VSE is cleared by hardware when the guest takes the abort.
        state.hcr = HCR_EL2::read();
        if super::pending_abort() {
            state.hcr |= HCR_VSE;
        }
    }

    /// When the virtual timer is due, in ticks of the guest's counter, if it can interrupt.
    pub fn virtual_timer_deadline(&self) -> Option<u64> {
        let timer = &self.0.lock().timer;
        let armed = timer.control & (TIMER_ENABLE | TIMER_MASK) == TIMER_ENABLE;
        armed.then_some(timer.compare)
    }
}

impl State {
    /// Whether the registers of AArch32 are its own, on a CPU that has them.
    #[inline]
    fn is_aarch32(&self) -> bool {
        self.hcr & HCR_RW == 0 && identity::has_aarch32()
    }
}

/// Masks the virtual timer of the vCPU that is loaded here; false if it had not fired.
pub fn mask_loaded_timer() -> bool {
    let control = CNTV_CTL_EL0::read();
    let fired = control & (TIMER_ENABLE | TIMER_MASK | TIMER_MET) == TIMER_ENABLE | TIMER_MET;
    if fired {
        CNTV_CTL_EL0::write(control | TIMER_MASK);
    }
    fired
}
