//! Hypercalls: from registers to the operation and back.
//!
//! A handler takes the caller and its arguments and gives a value or says why not. It neither reads
//! nor writes the argument registers, so the same handlers serve both register conventions and the
//! entries of a multicall.

mod multicall;
#[cfg(test)]
mod tests;

use xen_abi::{Errno, hypercall::*};

use crate::{
    console_io::console_io,
    current::Current,
    domctl::domctl,
    event_channel::event_channel_op,
    grant_table::grant_table_op,
    hvm::hvm_op,
    machine::Machine,
    memory::memory_op,
    platform::platform_op,
    regs::GuestRegs,
    sched_op::sched_op,
    sysctl::sysctl,
    vcpu_op::{vcpu_op, vm_assist},
};
use multicall::multicall;

/// The argument registers of a hypercall.
pub type Args = [u64; 5];

/// Length of the `HVC` instruction in every instruction set.
const HVC_LEN: u64 = 4;

/// Why a hypercall has no result (yet).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// It failed; the guest gets the negated number.
    Failed(Errno),
    /// It stopped half way to let the CPU do something else: the guest's `HVC` runs again with these
    /// arguments, which say where to go on.
    Preempted(Args),
}

impl From<Errno> for Stop {
    fn from(errno: Errno) -> Self {
        Self::Failed(errno)
    }
}

/// What a hypercall handler gives: a value not negative as a register of the guest holds it, or
/// why not.
pub type HypercallResult = Result<u64, Stop>;

impl<M: Machine> Current<'_, M> {
    /// Serves the `HVC` that the guest made. It is given no register but those of a call's number and
    /// arguments, and changes no other.
    #[hot]
    #[inline(never)]
    pub fn hypercall(&mut self) {
        let number = self.regs.hypercall_number().min(COUNT.into()) as u32;
        let (first, second) = (self.regs.arg(0), self.regs.arg(1));
        self.vcpu.exits.count_hypercall(number);
        // The frequent ones without collecting what they do not use.
        let result = match number {
            EVENT_CHANNEL_OP => event_channel_op(self, first, second),
            XEN_VERSION => self.xen_version(first, second),
            SCHED_OP => sched_op(self, first, second),
            GRANT_TABLE_OP => {
                let regs = &self.regs;
                let args = [first, second, regs.arg(2), regs.arg(3), regs.arg(4)];
                grant_table_op(self, args)
            }
            _ => self.rare_hypercall(number),
        };
        match result {
            Ok(value) => self.regs.set_result(value as i64),
            Err(Stop::Failed(errno)) => self.regs.set_result(errno.to_ret()),
            Err(Stop::Preempted(args)) => self.call_again(args),
        }
    }

    #[inline(never)]
    fn rare_hypercall(&mut self, number: u32) -> HypercallResult {
        let args = core::array::from_fn(|n| self.regs.arg(n));
        call(self, number, args)
    }

    /// Lets the guest make the same call again, with other arguments.
    #[inline(never)]
    fn call_again(&mut self, args: Args) {
        for (n, arg) in args.into_iter().enumerate() {
            self.regs.set_arg(n, arg);
        }
        self.regs.set_pc(self.regs.pc().wrapping_sub(HVC_LEN));
    }
}

/// Serves any call, but for multicall's own entries.
fn call<M: Machine>(cur: &mut Current<'_, M>, number: u32, args: Args) -> HypercallResult {
    match number {
        MULTICALL => multicall(cur, args[0], args[1]),
        _ => call_one(cur, number, args),
    }
}

/// Serves any call but a multicall.
fn call_one<M: Machine>(cur: &mut Current<'_, M>, number: u32, args: Args) -> HypercallResult {
    match number {
        MEMORY_OP => memory_op(cur, args),
        GRANT_TABLE_OP => grant_table_op(cur, args),
        EVENT_CHANNEL_OP => event_channel_op(cur, args[0], args[1]),
        XEN_VERSION => cur.xen_version(args[0], args[1]),
        SCHED_OP => sched_op(cur, args[0], args[1]),
        CONSOLE_IO => console_io(cur, args),
        VCPU_OP => vcpu_op(cur, args[0], args[1], args[2]),
        VM_ASSIST => vm_assist(cur, args[0], args[1]),
        HVM_OP => hvm_op(cur, args),
        DOMCTL => domctl(cur, args),
        SYSCTL => sysctl(cur, args),
        PLATFORM_OP => platform_op(cur, args),
        // Among them the first forms of calls, which ARM never had, and what is a build option of Xen's: argo, dm_op, hypfs, FLASK, PCI.
        _ => Err(Errno::ENOSYS.into()),
    }
}

/// How many argument registers a call has; those of a multicall's entry beyond mean nothing.
fn arity(number: u32) -> usize {
    match number {
        SYSCTL | DOMCTL | PLATFORM_OP | EVENT_CHANNEL_OP_COMPAT | XSM_OP => 1,
        GRANT_TABLE_OP | CONSOLE_IO | VCPU_OP => 3,
        _ if number < COUNT => 2,
        _ => 0,
    }
}
