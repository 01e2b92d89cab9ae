//! Mitigations of speculation that firmware has for guests (Arm DEN0070), each behind a call of its own.
//!
//! A guest's vCPUs may run on any CPU: what firmware offers on all of them is offered to guests, and passed on.

use core::sync::atomic::{AtomicI8, Ordering};

use xen_abi::psci::{id, ret, smccc};

use crate::{Hypervisor, machine::Machine};

/// Firmware that can be asked what there is has at least this PSCI (Arm DEN0022),
const PSCI_1_0: i32 = 1 << 16;
/// and this calling convention (Arm DEN0028).
const SMCCC_1_1: i32 = 1 << 16 | 1;

const CALLS: [u32; 3] = [smccc::ARCH_WORKAROUND_1, smccc::ARCH_WORKAROUND_2, smccc::ARCH_WORKAROUND_3];

/// What firmware says of each of the calls, the least of all CPUs: that it does not have it, that it is needed, that it
/// is not.
pub(crate) struct Mitigations([AtomicI8; CALLS.len()]);

impl Mitigations {
    pub(crate) const fn new() -> Self {
        Self([const { AtomicI8::new(smccc::NOT_REQUIRED as i8) }; CALLS.len()])
    }

    fn of(&self, function: u32) -> i32 {
        let n = CALLS.iter().position(|call| *call == function);
        n.map_or(smccc::NOT_SUPPORTED, |n| self.0[n].load(Ordering::Relaxed).into())
    }

    /// What guests are told of a call. The second one is never required: that mitigation stays on.
    pub(crate) fn offer(&self, function: u32) -> i32 {
        match self.of(function) {
            ret::SUCCESS if function == smccc::ARCH_WORKAROUND_2 => smccc::NOT_REQUIRED,
            answer => answer,
        }
    }
}

impl<M: Machine> Hypervisor<M> {
    /// Asks this CPU's firmware.
    pub(crate) fn find_mitigations(&self) {
        let call = |function, arg| self.machine.firmware(function, arg);
        let answers = call(id::VERSION, 0) >= PSCI_1_0
            && call(id::FEATURES, smccc::VERSION) >= ret::SUCCESS
            && call(smccc::VERSION, 0) >= SMCCC_1_1;
        for (function, least) in CALLS.iter().zip(&self.mitigations.0) {
            let answer = if answers { call(smccc::ARCH_FEATURES, *function) } else { smccc::NOT_SUPPORTED };
            least.fetch_min(answer.signum() as i8, Ordering::Relaxed);
            if answer == ret::SUCCESS && *function == smccc::ARCH_WORKAROUND_2 {
                call(*function, 1);
            }
        }
    }

    /// A guest makes one of the calls.
    pub(crate) fn mitigate(&self, function: u32) {
        if function != smccc::ARCH_WORKAROUND_2 && self.mitigations.of(function) >= ret::SUCCESS {
            self.machine.firmware(function, 0);
        }
    }
}
