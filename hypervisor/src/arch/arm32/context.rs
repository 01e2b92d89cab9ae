//! A vCPU's state beside the general registers, and switching it.

use hv_core::machine::Vmid;
use spin::Mutex;
use xen_abi::{
    Mfn, PAGE_SHIFT,
    arch::{CoreRegs, SCTLR_GUEST_INIT, VcpuGuestContext, aarch32 as index},
};
use zerocopy::FromZeros;

use super::{Regs, sysregs::*, thumbee::ThumbEe, vfp::Vfp};
use crate::{
    gic::{Gic, VirtualState},
    guest_tlb,
};

/// HCR: stage 2 on; interrupts and aborts come here; set/way by override, caches by VA broadcast;
/// WFI, WFE, identification registers, SMC, implementation defined operations, ACTLR and set/way
/// maintenance trap.
const HCR: u32 = HCR_VM
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
    | HCR_TAC
    | HCR_TSW;
const HCR_VM: u32 = 1 << 0;
const HCR_SWIO: u32 = 1 << 1;
const HCR_PTW: u32 = 1 << 2;
const HCR_FMO: u32 = 1 << 3;
const HCR_IMO: u32 = 1 << 4;
const HCR_AMO: u32 = 1 << 5;
/// A virtual asynchronous abort is pending.
pub const HCR_VA: u32 = 1 << 8;
const HCR_FB: u32 = 1 << 9;
const HCR_BSU_INNER: u32 = 1 << 10;
const HCR_TWI: u32 = 1 << 13;
const HCR_TWE: u32 = 1 << 14;
const HCR_TID3: u32 = 1 << 18;
const HCR_TSC: u32 = 1 << 19;
const HCR_TIDCP: u32 = 1 << 20;
const HCR_TAC: u32 = 1 << 21;
const HCR_TSW: u32 = 1 << 22;
/// Writes of the registers that control stage 1 trap.
pub const HCR_TVM: u32 = 1 << 26;

/// CNTV_CTL: on; masked; condition met.
const TIMER_ENABLE: u32 = 1 << 0;
const TIMER_MASK: u32 = 1 << 1;
const TIMER_MET: u32 = 1 << 2;

const VMID_SHIFT: u32 = 48;

/// What a vCPU is while it is not loaded on a CPU.
pub struct Context(Mutex<State>);

/// The state.
pub(super) struct State {
    pub(super) regs: Regs,
    pub(super) banked: Banked,
    pub(super) el1: El1,
    timer: Timer,
    thumbee: ThumbEe,
    vfp: Vfp,
    gic: VirtualState,
    hcr: u32,
    vmpidr: u32,
    vttbr: u64,
    counter_offset: u64,
}

/// Defines a struct of registers, with what reads them all and writes them all.
macro_rules! registers {
    ($(#[$doc:meta])* $struct:ident { $($field:ident: $type:ty = $register:ident,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Default)]
        pub(super) struct $struct { $(pub(super) $field: $type,)* }

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
    /// The system registers of EL1 and EL0.
    El1 {
        sctlr: u32 = SCTLR_EL1,
        actlr: u32 = ACTLR_EL1,
        cpacr: u32 = CPACR_EL1,
        ttbcr: u32 = TCR_EL1,
        ttbr0: u64 = TTBR0_EL1,
        ttbr1: u64 = TTBR1_EL1,
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
        par: u64 = PAR_EL1,
        vbar: u32 = VBAR_EL1,
        contextidr: u32 = CONTEXTIDR_EL1,
        tpidrurw: u32 = TPIDR_EL0,
        tpidruro: u32 = TPIDRRO_EL0,
        tpidrprw: u32 = TPIDR_EL1,
        csselr: u32 = CSSELR_EL1,
        cntkctl: u32 = CNTKCTL_EL1,
    }
}

registers! {
    /// The virtual timer.
    Timer {
        compare: u64 = CNTV_CVAL_EL0,
        control: u32 = CNTV_CTL_EL0,
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

impl Context {
    /// As at reset, with no general registers set.
    pub fn new(root: Mfn, vmid: Vmid, vmpidr: u64, counter_offset: u64) -> Self {
        Self(Mutex::new(State {
            regs: Regs::default(),
            banked: Banked::default(),
            el1: El1 { sctlr: SCTLR_GUEST_INIT as u32, actlr: ACTLR_EL1::read(), ..El1::default() },
            timer: Timer::default(),
            thumbee: ThumbEe::default(),
            vfp: Vfp::new(),
            gic: VirtualState::RESET,
            hcr: HCR,
            vmpidr: vmpidr as u32,
            vttbr: root.0 << PAGE_SHIFT | u64::from(vmid.0) << VMID_SHIFT,
            counter_offset,
        }))
    }

    /// Sets what the ABI names. The vCPU is not loaded.
    pub fn set(&self, to: &VcpuGuestContext, _aarch32: bool) {
        let mut state = self.0.lock();
        let State { regs, banked, el1, .. } = &mut *state;
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

    /// Gives it. Of a vCPU that is loaded, what it was when it came.
    pub fn get(&self) -> VcpuGuestContext {
        let state = self.0.lock();
        let State { regs, banked, el1, .. } = &*state;
        let mut context = VcpuGuestContext::new_zeroed();
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

    /// Puts the vCPU on this CPU, but for its general registers, which go to `regs`.
    #[inline(never)]
    pub fn load(&self, regs: &mut Regs, gic: &Gic) {
        let state = self.0.lock();
        VTTBR_EL2::write(state.vttbr);
        VMPIDR_EL2::write(state.vmpidr);
        HCR_EL2::write(state.hcr);
        CNTVOFF_EL2::write(state.counter_offset);
        state.el1.load();
        state.banked.load();
        state.thumbee.load();
        state.vfp.load();
        state.timer.load();
        gic.load(&state.gic);
        super::isb();
        guest_tlb::forget_siblings((state.vttbr >> VMID_SHIFT) as u8, state.vmpidr.into());
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
        state.banked.save();
        state.thumbee.save();
        state.vfp.save();
        gic.save(&mut state.gic);
        // HCR.VA is cleared by hardware when the guest takes the abort.
        state.hcr = HCR_EL2::read();
        if super::pending_abort() {
            state.hcr |= HCR_VA;
        }
    }

    /// When the virtual timer is due, in ticks of the guest's counter, if it can interrupt.
    pub fn virtual_timer_deadline(&self) -> Option<u64> {
        let timer = &self.0.lock().timer;
        let armed = timer.control & (TIMER_ENABLE | TIMER_MASK) == TIMER_ENABLE;
        armed.then_some(timer.compare)
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
