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
    #[hot]
    #[inline]
    pub fn handle(&self, current: &mut Current<'_, M>, exit: Exit) {
        match exit {
            // The frequent ones, which are quicker without what the others need.
            Exit::DataAbort(abort) => current.data_abort(&abort),
            Exit::Register(access) => current.register(access),
            Exit::Hvc(HVC_TAG) => current.hypercall(),
            exit => self.handle_other(current, exit),
        }
    }

    #[hot]
    #[inline(never)]
    fn handle_other(&self, current: &mut Current<'_, M>, exit: Exit) {
        current.vcpu.exits.count(&exit);
        let instruction = match exit {
            Exit::WaitForInterrupt(instruction)
            | Exit::WaitForEvent(instruction)
            | Exit::Coprocessor(instruction)
            | Exit::Smc(instruction, 0) => instruction,
            Exit::FloatId(access) => access.instruction(),
            Exit::Hvc(0) => return current.smccc(),
            Exit::InstructionAbort(abort) => return current.instruction_abort(&abort),
            Exit::SError => return self.machine.inject_serror(),
            Exit::Smc(..) | Exit::Hvc(_) | Exit::Undefined => {
                return self.machine.inject_undefined(current.regs);
            }
            Exit::Interrupt | Exit::DataAbort(_) | Exit::Register(_) => return,
        };
        current.served(instruction, |current| {
            match exit {
                Exit::WaitForInterrupt(_) => current.wait_for_interrupt(),
                Exit::WaitForEvent(_) => self.yield_cpu(current.pcpu),
                Exit::Smc(..) => current.smccc(),
                Exit::FloatId(access) => return current.float_id(access),
                _ => return Served::Undefined,
            }
            Served::Done
        });
    }
}

impl<M: Machine> Current<'_, M> {
    /// Serves an instruction if its condition holds, and goes on behind it.
    #[inline]
    fn served(&mut self, instruction: Instruction, serve: impl FnOnce(&mut Self) -> Served) {
        let passes = skip::passes(self.regs, instruction);
        self.served_if(passes, instruction.len, serve);
    }

    #[inline]
    fn served_if(&mut self, passes: bool, len: u8, serve: impl FnOnce(&mut Self) -> Served) {
        if passes {
            match serve(self) {
                Served::Done => {}
                Served::Undefined => return self.hv.machine.inject_undefined(self.regs),
                Served::Again => return,
            }
        }
        skip::skip(self.regs, len);
    }

    /// Reads a general register as a syndrome names it.
    #[hot]
    fn reg(&self, n: u8) -> u64 {
        // No mode banks the low ones.
        if n < 8 {
            return self.regs.get(n);
        }
        if self.regs.is_banked(n) { self.hv.machine.read_banked(self.regs, n) } else { self.regs.get(n) }
    }

    /// Writes one.
    #[inline]
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
    #[hot]
    pub(crate) fn wait_for_interrupt(&mut self) {
        self.hv.block(self.pcpu, self.vcpu);
        if self.hv.has_interrupt(self) {
            self.hv.wake(self.domain, self.vcpu);
        }
    }

    #[hot]
    #[inline(never)]
    fn register(&mut self, access: RegisterAccess) {
        self.vcpu.exits.count(&Exit::Register(access));
        let instruction = access.instruction();
        // AArch64 has none with a condition, and looking for it is a twentieth of the way.
        let passes = access.is_a64() || skip::passes(self.regs, instruction);
        self.served_if(passes, instruction.len, |current| current.access_register(access));
    }

    #[inline]
    fn access_register(&mut self, access: RegisterAccess) -> Served {
        match access.identification() {
            Some(name) => self.identification(access, name),
            None => self.access_other(access),
        }
    }

    #[hot]
    #[inline(never)]
    fn access_other(&mut self, access: RegisterAccess) -> Served {
        match access.register() {
            // ICC_SGI1R, which is written all the time, and ICC_SRE.
            SysReg::Cp15Wide(0, 12) | SysReg::A64(3, 0, 12, 11, 5) => self.send_sgi(access),
            SysReg::Cp15(0, 12, 12, 5) | SysReg::A64(3, 0, 12, 12, 5) => self.gic_by_registers(access),
            SysReg::Cp15(..) | SysReg::Cp15Wide(..) => self.cp15(access),
            SysReg::Cp14(op1, crn, crm, op2) => self.cp14(access, (op1, crn, crm, op2)),
            SysReg::Cp14Wide(..) => Served::Undefined,
            SysReg::A64(op0, op1, crn, crm, op2) => self.sysreg(access, (op0, op1, crn, crm, op2)),
        }
    }

    // How registers behave (guest ABI, "Skip semantics"). What takes more than a few instructions is a
    // function of its own, so that the others need not save what it would use.

    #[inline]
    fn read_only(&mut self, access: RegisterAccess, value: u64, least: MinimumEl) -> Served {
        if !access.is_read() || (least == MinimumEl::Kernel && self.regs.is_user()) {
            return Served::Undefined;
        }
        self.set_reg(access.rt(), value);
        Served::Done
    }

    /// Reads as zero, ignores writes; not for user mode.
    #[inline(never)]
    fn zero(&mut self, access: RegisterAccess) -> Served {
        self.constant(access, 0)
    }

    /// Reads as a constant, ignores writes; not for user mode.
    #[inline(never)]
    fn constant(&mut self, access: RegisterAccess, value: u64) -> Served {
        if self.regs.is_user() {
            return Served::Undefined;
        }
        if access.is_read() {
            self.set_reg(access.rt(), value);
        }
        Served::Done
    }

    /// Ignores writes, cannot be read.
    fn write_ignored(&self, access: RegisterAccess) -> Served {
        if access.is_read() || self.regs.is_user() { Served::Undefined } else { Served::Done }
    }

    /// PMUSERENR: zero, which user mode may read.
    #[inline(never)]
    fn user_enable(&mut self, access: RegisterAccess) -> Served {
        if self.regs.is_user() && !access.is_read() {
            return Served::Undefined;
        }
        if access.is_read() {
            self.set_reg(access.rt(), 0);
        }
        Served::Done
    }
}
