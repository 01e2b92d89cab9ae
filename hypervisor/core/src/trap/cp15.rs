//! AArch32 system registers that trap: coprocessors 15 and 14 (guest ABI, 13.4).

use core::sync::atomic::Ordering;

use xen_abi::Gfn;

use super::{MinimumEl, RegisterAccess, Served};
use crate::{
    current::Current,
    machine::{Machine, SysReg},
    regs::GuestRegs,
    vtimer::PhysicalRegister,
};

impl<M: Machine> Current<'_, M> {
    #[inline(never)]
    pub(super) fn cp15(&mut self, access: RegisterAccess) -> Served {
        use SysReg::{Cp15, Cp15Wide};
        match access.register() {
            Cp15(0, 14, 2, 0) => self.physical_timer(access, PhysicalRegister::TimerValue),
            Cp15(0, 14, 2, 1) => self.physical_timer(access, PhysicalRegister::Control),
            Cp15Wide(2, 14) => self.physical_timer(access, PhysicalRegister::CompareValue),
            // ACTLR.
            Cp15(0, 1, 0, 1) => self.constant(access, self.hv.machine.auxiliary_control()),
            // DCISW, DCCSW, DCCISW.
            Cp15(0, 7, 6 | 10 | 14, 2) => self.set_way(access),
            // PMUSERENR.
            Cp15(0, 9, 14, 0) => self.user_enable(access),
            // PMCR to PMCEID1; PMCCNTR, PMXEVTYPER, PMXEVCNTR; PMINTENSET, PMINTENCLR, PMOVSSET.
            Cp15(0, 9, 12, 0..=7) | Cp15(0, 9, 13, 0..=2) | Cp15(0, 9, 14, 1..=3) => self.zero(access),
            // SCTLR; TTBR0, TTBR1, TTBCR, TTBCR2; DACR; DFSR, IFSR, ADFSR, AIFSR; DFAR, IFAR.
            Cp15(0, 1, 0, 0)
            | Cp15(0, 2, 0, 0..=3)
            | Cp15(0, 3, 0, 0)
            | Cp15(0, 5, 0 | 1, 0 | 1)
            | Cp15(0, 6, 0, 0 | 2) => self.translation_write(access),
            // MAIR0 and 1 (PRRR, NMRR), AMAIR0 and 1; CONTEXTIDR; the wide TTBR0 and TTBR1.
            Cp15(0, 10, 2 | 3, 0 | 1) | Cp15(0, 13, 0, 1) | Cp15Wide(0 | 1, 2) => {
                self.translation_write(access)
            }
            _ => Served::Undefined,
        }
    }

    #[inline(never)]
    pub(super) fn cp14(&mut self, access: RegisterAccess, register: (u8, u8, u8, u8)) -> Served {
        match register {
            // DBGDIDR.
            (0, 0, 0, 0) => {
                let value = self.debug_id();
                self.read_only(access, value, MinimumEl::User)
            }
            // DBGDSCRint.
            (0, 0, 1, 0) => self.read_only(access, 0, MinimumEl::User),
            // DBGVCR; DBGDSCRext; DBGBVR, DBGBCR 0 and 1; DBGWVR0, DBGWCR0; DBGOSDLR.
            (0, 0, 7, 0) | (0, 0, 2, 2) | (0, 0, 0 | 1, 4 | 5) | (0, 0, 0, 6 | 7) | (0, 1, 3, 4) => {
                self.zero(access)
            }
            // DBGOSLAR.
            (0, 1, 0, 4) => self.write_ignored(access),
            _ => Served::Undefined,
        }
    }

    /// Version 5 of the debug architecture with one watchpoint and two breakpoints, the fewest it
    /// allows; variant and revision as the processor has them, one over the other as Xen has them.
    fn debug_id(&self) -> u64 {
        let midr = self.hv.machine.midr();
        u64::from(1 << 24 | 5 << 16 | (midr >> 20 & 0xf) | (midr & 0xf))
    }

    /// `VMRS` of FPSID, MVFR0, MVFR1 or MVFR2: only these are trapped.
    #[inline(never)]
    pub(super) fn float_id(&mut self, access: RegisterAccess) -> Served {
        let SysReg::Cp15(_, register, ..) = access.register() else { return Served::Undefined };
        // The number is where CRn is in other accesses; MVFR0 is 7, MVFR1 is 6, MVFR2 is 5.
        let value = match register {
            5..=7 => self.hv.float_identity(7 - register),
            _ => return Served::Undefined,
        };
        self.read_only(access, value, MinimumEl::Kernel)
    }

    /// A value of an access to the two halves of a 64-bit register, or to all of it.
    #[inline]
    pub(super) fn access_value(&self, access: RegisterAccess) -> u64 {
        match access.register() {
            SysReg::Cp15Wide(..) => self.reg(access.rt()) & 0xffff_ffff | self.reg(access.rt2()) << 32,
            SysReg::Cp15(..) => self.reg(access.rt()) & 0xffff_ffff,
            _ => self.reg(access.rt()),
        }
    }

    pub(super) fn set_access_value(&mut self, access: RegisterAccess, value: u64) {
        match access.register() {
            SysReg::Cp15Wide(..) => {
                self.set_reg(access.rt(), value & 0xffff_ffff);
                self.set_reg(access.rt2(), value >> 32);
            }
            SysReg::Cp15(..) => self.set_reg(access.rt(), value & 0xffff_ffff),
            _ => self.set_reg(access.rt(), value),
        }
    }

    #[inline(never)]
    pub(super) fn physical_timer(&mut self, access: RegisterAccess, register: PhysicalRegister) -> Served {
        const EL0PTEN: u32 = 1 << 9;
        if self.regs.is_user() && self.hv.machine.timer_control() & EL0PTEN == 0 {
            return Served::Undefined;
        }
        if access.is_read() {
            let value = self.read_physical_timer(register);
            self.set_access_value(access, value);
        } else {
            let value = self.access_value(access);
            self.write_physical_timer(register, value);
        }
        Served::Done
    }

    /// Maintenance by set and way cannot be virtualised: all the guest's RAM is cleaned instead,
    /// and from then on whenever it switches its caches, until it has them on (guest ABI, 13.5).
    #[inline(never)]
    pub(super) fn set_way(&mut self, access: RegisterAccess) -> Served {
        if access.is_read() || self.regs.is_user() {
            return Served::Undefined;
        }
        if self.hv.machine.traps_translation_writes() {
            return Served::Done;
        }
        if !self.clean_memory() {
            return Served::Again;
        }
        self.hv.machine.set_traps_translation_writes(true);
        Served::Done
    }

    /// A write of a register that controls stage 1, trapped while caches are watched.
    #[inline(never)]
    pub(super) fn translation_write(&mut self, access: RegisterAccess) -> Served {
        const CACHES_ON: u64 = 1 << 2;
        if access.is_read() || self.regs.is_user() {
            return Served::Undefined;
        }
        let machine = &self.hv.machine;
        let were_on = machine.system_control() & CACHES_ON != 0;
        if !machine.write_translation_register(access.register(), self.access_value(access)) {
            return Served::Undefined;
        }
        let are_on = machine.system_control() & CACHES_ON != 0;
        // A write that is done again, as cleaning was interrupted, finds its change made.
        if (were_on != are_on || self.vcpu.is_cleaning()) && !self.clean_memory() {
            return Served::Again;
        }
        if are_on {
            machine.set_traps_translation_writes(false);
        }
        Served::Done
    }

    /// Cleans and invalidates all RAM of the guest's that was used since the last time. False when
    /// something more urgent came up: the instruction is executed again then, and goes on here.
    fn clean_memory(&mut self) -> bool {
        let from = Gfn(self.vcpu.cleaning_from.load(Ordering::Relaxed));
        let next = self.domain.p2m(self.hv.mem()).flush_accessed(from, || self.must_stop());
        self.vcpu.cleaning_from.store(next.map_or(0, |gfn| gfn.0), Ordering::Relaxed);
        next.is_none()
    }
}
