//! What a guest's trap means.

mod cp15;
mod esr;
mod gic;
mod identity;
mod mmio;
mod skip;
mod smccc;
mod sysreg;
#[cfg(test)]
mod tests;

use xen_abi::hypercall::HVC_TAG;

use crate::{
    Hypervisor,
    current::Current,
    machine::{Machine, SysReg},
    regs::GuestRegs,
};

pub use esr::{Abort, Condition, Exit, Fault, FaultRegisters, Instruction, RegisterAccess, Transfer};

/// Whether the guest goes on behind a trapped instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Served {
    /// It was executed.
    Done,
    /// There is no such thing: an undefined instruction.
    Undefined,
    /// It has to be executed again, as the work is not finished.
    Again,
}

/// Who may use a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MinimumEl {
    User,
    Kernel,
}

impl<M: Machine> Hypervisor<M> {
    /// Serves a trap. The guest's registers say where it goes on.
    #[inline]
    pub fn handle(&self, current: &mut Current<'_, M>, exit: Exit) {
        match exit {
            Exit::Hvc(HVC_TAG) => current.hypercall(),
            exit => self.handle_other(current, exit),
        }
    }

    /// Kept apart from hypercalls, which are quicker without what this needs.
    #[inline(never)]
    fn handle_other(&self, current: &mut Current<'_, M>, exit: Exit) {
        current.vcpu.exits.count(&exit);
        match exit {
            Exit::Hvc(0) => current.smccc(),
            Exit::DataAbort(abort) => current.data_abort(&abort),
            Exit::WaitForInterrupt(instruction) => current.served(instruction, |current| {
                current.wait_for_interrupt();
                Served::Done
            }),
            Exit::WaitForEvent(instruction) => current.served(instruction, |current| {
                current.hv.yield_cpu(current.cpu);
                Served::Done
            }),
            Exit::Register(access) => current.served(access.instruction, |c| c.register(&access)),
            Exit::FloatId(access) => current.served(access.instruction, |c| c.float_id(&access)),
            Exit::Smc(instruction, 0) => current.served(instruction, |current| {
                current.smccc();
                Served::Done
            }),
            Exit::InstructionAbort(abort) => current.instruction_abort(&abort),
            Exit::SError => self.machine.inject_serror(),
            Exit::Coprocessor(instruction) => current.served(instruction, |_| Served::Undefined),
            Exit::Smc(..) | Exit::Hvc(_) | Exit::Undefined => self.machine.inject_undefined(current.regs),
            Exit::Interrupt => {}
        }
    }
}

impl<M: Machine> Current<'_, M> {
    /// Serves an instruction if its condition holds, and goes on behind it.
    fn served(&mut self, instruction: Instruction, serve: impl FnOnce(&mut Self) -> Served) {
        if skip::passes(self.regs, instruction) {
            match serve(self) {
                Served::Done => {}
                Served::Undefined => return self.hv.machine.inject_undefined(self.regs),
                Served::Again => return,
            }
        }
        skip::skip(self.regs, instruction.len);
    }

    /// Reads a general register as a syndrome names it.
    fn reg(&self, n: u8) -> u64 {
        // No mode banks the low ones.
        if n < 8 {
            return self.regs.get(n);
        }
        if self.regs.is_banked(n) { self.hv.machine.read_banked(self.regs, n) } else { self.regs.get(n) }
    }

    /// Writes one.
    fn set_reg(&mut self, n: u8, value: u64) {
        if n < 8 {
            return self.regs.set(n, value);
        }
        if self.regs.is_banked(n) {
            self.hv.machine.write_banked(self.regs, n, value);
        } else {
            self.regs.set(n, value);
        }
    }

    /// Sleeps until an interrupt is pending, whether it is masked or not.
    pub(crate) fn wait_for_interrupt(&mut self) {
        self.hv.block(self.cpu, self.vcpu);
        if self.hv.has_interrupt(self) {
            self.hv.wake(self.domain, self.vcpu);
        }
    }

    fn register(&mut self, access: &RegisterAccess) -> Served {
        match access.register {
            // ICC_SGI1R, which is written all the time, and ICC_SRE.
            SysReg::Cp15Wide(0, 12) | SysReg::A64(3, 0, 12, 11, 5) => self.send_sgi(access),
            SysReg::Cp15(0, 12, 12, 5) | SysReg::A64(3, 0, 12, 12, 5) => self.gic_by_registers(access),
            SysReg::Cp15(..) | SysReg::Cp15Wide(..) => self.cp15(access),
            SysReg::Cp14(op1, crn, crm, op2) => self.cp14(access, (op1, crn, crm, op2)),
            SysReg::Cp14Wide(..) => Served::Undefined,
            SysReg::A64(op0, op1, crn, crm, op2) => self.sysreg(access, (op0, op1, crn, crm, op2)),
        }
    }

    // How registers behave (guest ABI, "Skip semantics").

    fn read_only(&mut self, access: &RegisterAccess, value: u64, least: MinimumEl) -> Served {
        if !access.is_read || (least == MinimumEl::Kernel && self.regs.is_user()) {
            return Served::Undefined;
        }
        self.set_reg(access.rt, value);
        Served::Done
    }

    /// Reads as zero, ignores writes; not for user mode.
    fn zero(&mut self, access: &RegisterAccess) -> Served {
        self.constant(access, 0)
    }

    /// Reads as a constant, ignores writes; not for user mode.
    fn constant(&mut self, access: &RegisterAccess, value: u64) -> Served {
        if self.regs.is_user() {
            return Served::Undefined;
        }
        if access.is_read {
            self.set_reg(access.rt, value);
        }
        Served::Done
    }

    /// Ignores writes, cannot be read.
    fn write_ignored(&self, access: &RegisterAccess) -> Served {
        if access.is_read || self.regs.is_user() { Served::Undefined } else { Served::Done }
    }

    /// PMUSERENR: zero, which user mode may read.
    fn user_enable(&mut self, access: &RegisterAccess) -> Served {
        if self.regs.is_user() && !access.is_read {
            return Served::Undefined;
        }
        if access.is_read {
            self.set_reg(access.rt, 0);
        }
        Served::Done
    }
}
