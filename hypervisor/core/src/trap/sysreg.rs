//! AArch64 system registers that trap (guest ABI, 13.3).

use super::{MinimumEl, RegisterAccess, Served};
use crate::{current::Current, machine::Machine, vtimer::PhysicalRegister};

impl<M: Machine> Current<'_, M> {
    pub(super) fn sysreg(&mut self, access: RegisterAccess, register: (u8, u8, u8, u8, u8)) -> Served {
        match register {
            (3, 3, 14, 2, 0) => self.physical_timer(access, PhysicalRegister::TimerValue),
            (3, 3, 14, 2, 1) => self.physical_timer(access, PhysicalRegister::Control),
            (3, 3, 14, 2, 2) => self.physical_timer(access, PhysicalRegister::CompareValue),
            // ACTLR.
            (3, 0, 1, 0, 1) => self.constant(access, self.hv.machine.auxiliary_control()),
            // DC ISW, CSW, CISW.
            (1, 0, 7, 6 | 10 | 14, 2) => self.set_way(access),
            // SCTLR; TTBR0, TTBR1, TCR; AFSR0, AFSR1; ESR; FAR; MAIR; AMAIR; CONTEXTIDR.
            (3, 0, 1, 0, 0)
            | (3, 0, 2, 0, 0..=2)
            | (3, 0, 5, 1, 0 | 1)
            | (3, 0, 5, 2, 0)
            | (3, 0, 6, 0, 0)
            | (3, 0, 10, 2 | 3, 0)
            | (3, 0, 13, 0, 1) => self.translation_write(access),
            // PMUSERENR.
            (3, 3, 9, 14, 0) => self.user_enable(access),
            // PMINTENSET, PMINTENCLR.
            (3, 0, 9, 14, 1 | 2) => self.zero(access),
            // PMCR to PMCEID1; PMCCNTR, PMXEVTYPER, PMXEVCNTR; PMOVSSET.
            (3, 3, 9, 12, 0..=7) | (3, 3, 9, 13, 0..=2) | (3, 3, 9, 14, 3) => self.zero(access),
            _ => self.debug_register(access, register),
        }
    }

    #[inline(never)]
    fn debug_register(&mut self, access: RegisterAccess, register: (u8, u8, u8, u8, u8)) -> Served {
        match register {
            // MDRAR.
            (2, 0, 1, 0, 0) => self.read_only(access, 0, MinimumEl::Kernel),
            // OSLAR; OSLSR; OSDLR.
            (2, 0, 1, 0, 4) => self.write_ignored(access),
            (2, 0, 1, 1, 4) => self.read_only(access, 8, MinimumEl::Kernel),
            (2, 0, 1, 3, 4) => self.zero(access),
            // MDSCR; DBGBVR, DBGBCR, DBGWVR, DBGWCR.
            (2, 0, 0, 2, 2) | (2, 0, 0, _, 4..=7) => self.zero(access),
            // MDCCSR.
            (2, 3, 0, 1, 0) => self.read_only(access, 0, MinimumEl::User),
            _ => Served::Undefined,
        }
    }
}
