//! A vCPU's state beside the general registers, and switching it.
//!
//! What is alike in both execution states: when things happen, the virtual timer, the GIC, the second
//! stage. Which registers there are besides says each state's `Own`.

use hv_core::machine::Vmid;
use lock::Mutex;
use xen_abi::{Mfn, PAGE_SHIFT, arch::VcpuGuestContext};

use crate::{
    arch::{
        self, Regs,
        context::{HCR_OWN, Own, copy_regs, hcr_for_state},
        sysregs::*,
    },
    gic::{Gic, VirtualState},
    guest_tlb,
};

/// HCR: stage 2 on; interrupts and aborts come here; set/way by override, caches by VA broadcast;
/// WFI, WFE, identification registers, SMC, implementation defined operations, ACTLR and set/way
/// maintenance trap.
const HCR: Word = HCR_VM
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
    | HCR_OWN;
const HCR_VM: Word = 1 << 0;
const HCR_SWIO: Word = 1 << 1;
const HCR_PTW: Word = 1 << 2;
const HCR_FMO: Word = 1 << 3;
const HCR_IMO: Word = 1 << 4;
const HCR_AMO: Word = 1 << 5;
/// A virtual asynchronous abort (SError) is pending.
pub const HCR_VSE: Word = 1 << 8;
const HCR_FB: Word = 1 << 9;
const HCR_BSU_INNER: Word = 1 << 10;
const HCR_TWI: Word = 1 << 13;
const HCR_TWE: Word = 1 << 14;
const HCR_TID3: Word = 1 << 18;
const HCR_TSC: Word = 1 << 19;
const HCR_TIDCP: Word = 1 << 20;
const HCR_TACR: Word = 1 << 21;
const HCR_TSW: Word = 1 << 22;
/// Writes of the registers that control stage 1 trap.
pub const HCR_TVM: Word = 1 << 26;

/// CNTV_CTL: on; masked; condition met.
const TIMER_ENABLE: Word = 1 << 0;
const TIMER_MASK: Word = 1 << 1;
const TIMER_MET: Word = 1 << 2;

const VMID_SHIFT: u32 = 48;

/// Reads registers into fields, or writes them from there: two at a time, so that one instruction has both of
/// them from memory or to it.
macro_rules! by_twos {
    (save $to:ident: $a:ident = $first:ident, $b:ident = $second:ident, $($rest:tt)*) => {
        let (first, second) = ($first::read(), $second::read());
        ($to.$a, $to.$b) = (first, second);
        $crate::context::by_twos!(save $to: $($rest)*);
    };
    (save $to:ident: $last:ident = $register:ident,) => { $to.$last = $register::read(); };
    (load $from:ident: $a:ident = $first:ident, $b:ident = $second:ident, $($rest:tt)*) => {
        let (first, second) = ($from.$a, $from.$b);
        $first::write(first);
        $second::write(second);
        $crate::context::by_twos!(load $from: $($rest)*);
    };
    (load $from:ident: $last:ident = $register:ident,) => { $register::write($from.$last); };
    ($what:ident $struct:ident:) => {};
}
pub(crate) use by_twos;

/// Defines a struct of registers, with what reads them all and writes them all.
macro_rules! registers {
    ($(#[$doc:meta])* $struct:ident { $($field:ident: $type:ty = $register:ident,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Default)]
        struct $struct { $($field: $type,)* }

        impl $struct {
            #[hot]
            #[inline(always)]
            fn save(&mut self) {
                $crate::context::by_twos!(save self: $($field = $register,)*);
            }

            #[hot]
            #[inline(always)]
            fn load(&self) {
                $crate::context::by_twos!(load self: $($field = $register,)*);
            }
        }
    };
}
pub(crate) use registers;

registers! {
    /// The virtual timer.
    Timer {
        compare: u64 = CNTV_CVAL_EL0,
        control: Word = CNTV_CTL_EL0,
    }
}

/// What a vCPU is while it is not loaded on a CPU.
pub struct Context(Mutex<State>);

/// The state.
struct State {
    regs: Regs,
    own: Own,
    timer: Timer,
    gic: VirtualState,
    hcr: Word,
    vmpidr: Word,
    vttbr: u64,
    counter_offset: u64,
}

impl Context {
    /// As at reset, with no general registers set.
    pub fn new(root: Mfn, vmid: Vmid, vmpidr: u64, counter_offset: u64) -> Self {
        Self(Mutex::new(State {
            regs: Regs::default(),
            own: Own::at_reset(),
            timer: Timer::default(),
            gic: VirtualState::RESET,
            hcr: HCR,
            vmpidr: vmpidr as Word,
            vttbr: root.0 << PAGE_SHIFT | u64::from(vmid.0) << VMID_SHIFT,
            counter_offset,
        }))
    }

    /// Sets what the ABI names, and the state that EL1 is in. The vCPU is not loaded.
    pub fn set(&self, to: &VcpuGuestContext, aarch32: bool) {
        let mut state = self.0.lock();
        let State { regs, own, hcr, .. } = &mut *state;
        *hcr = hcr_for_state(*hcr, aarch32);
        own.set(regs, to);
    }

    /// Gives it. Of a vCPU that is loaded, what it was when it came.
    pub fn get(&self) -> VcpuGuestContext {
        let state = self.0.lock();
        state.own.get(&state.regs, state.hcr)
    }

    /// Puts the vCPU on this CPU, but for its general registers, which go to `regs`.
    #[hot]
    #[inline(never)]
    pub fn load(&self, regs: &mut Regs, gic: &Gic) {
        let state = self.0.lock();
        VMPIDR_EL2::write(state.vmpidr);
        HCR_EL2::write(state.hcr);
        CNTVOFF_EL2::write(state.counter_offset);
        state.own.load(state.hcr);
        guest_tlb::enter(state.vttbr);
        state.timer.load();
        gic.load(&state.gic);
        arch::isb();
        #[allow(clippy::useless_conversion, reason = "where it is no word")]
        guest_tlb::forget_siblings((state.vttbr >> VMID_SHIFT) as u8, state.vmpidr.into());
        copy_regs(regs, &state.regs);
    }

    /// Takes the vCPU off this CPU. Says when its virtual timer is due, in ticks of the guest's counter, if it
    /// can interrupt.
    #[hot]
    #[inline(never)]
    pub fn save(&self, regs: &Regs, gic: &Gic) -> Option<u64> {
        let mut state = self.0.lock();
        copy_regs(&mut state.regs, regs);
        state.timer.save();
        // A guest that is not loaded must not interrupt.
        CNTV_CTL_EL0::write(0);
        let hcr = state.hcr;
        state.own.save(hcr);
        guest_tlb::leave();
        gic.save(&mut state.gic);
        // HCR.VSE is cleared by hardware when the guest takes the abort.
        state.hcr = HCR_EL2::read();
        if arch::pending_abort() {
            state.hcr |= HCR_VSE;
        }
        let armed = state.timer.control & (TIMER_ENABLE | TIMER_MASK) == TIMER_ENABLE;
        armed.then_some(state.timer.compare)
    }
}

/// Masks the virtual timer of the vCPU that is loaded here; false if it had not fired.
#[hot]
pub fn mask_loaded_timer() -> bool {
    let control = CNTV_CTL_EL0::read();
    let fired = control & (TIMER_ENABLE | TIMER_MASK | TIMER_MET) == TIMER_ENABLE | TIMER_MET;
    if fired {
        CNTV_CTL_EL0::write(control | TIMER_MASK);
    }
    fired
}

/// Whether writes of the registers that control stage 1 trap, of the vCPU that is loaded here.
pub fn traps_translation_writes() -> bool {
    HCR_EL2::read() & HCR_TVM != 0
}

/// Switches that.
pub fn set_traps_translation_writes(on: bool) {
    let others = HCR_EL2::read() & !HCR_TVM;
    HCR_EL2::write(if on { others | HCR_TVM } else { others });
}
