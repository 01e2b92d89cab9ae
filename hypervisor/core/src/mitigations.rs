//! Mitigations of speculation that firmware has for guests (Arm DEN0070), each behind a call of its own.
//!
//! A guest's vCPUs may run on any CPU: what firmware offers on all of them is offered to guests, and passed on.

use core::sync::atomic::{AtomicI8, AtomicU32, Ordering};

use xen_abi::psci::{id, ret, smccc};

use crate::{
    Hypervisor,
    machine::{CpuId, Machine},
    predictor::{self, Firmware, Hardening, Missing},
};

/// Firmware that can be asked what there is has at least this PSCI (Arm DEN0022),
const PSCI_1_0: i32 = 1 << 16;
/// and this calling convention (Arm DEN0028).
const SMCCC_1_1: i32 = 1 << 16 | 1;

const CALLS: [u32; 3] = [smccc::ARCH_WORKAROUND_1, smccc::ARCH_WORKAROUND_2, smccc::ARCH_WORKAROUND_3];

/// What firmware says of each of the calls, the least of all CPUs: that it does not have it, that it is needed, that it
/// is not.
pub(crate) struct Mitigations {
    offered: [AtomicI8; CALLS.len()],
    /// What the log says already of what the hypervisor does for itself.
    told: AtomicU32,
}

impl Mitigations {
    pub(crate) const fn new() -> Self {
        Self {
            offered: [const { AtomicI8::new(smccc::NOT_REQUIRED as i8) }; CALLS.len()],
            told: AtomicU32::new(0),
        }
    }

    fn of(&self, function: u32) -> i32 {
        let n = CALLS.iter().position(|call| *call == function);
        n.map_or(smccc::NOT_SUPPORTED, |n| self.offered[n].load(Ordering::Relaxed).into())
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
    /// Asks this CPU's firmware, for guests and for the hypervisor itself.
    pub(crate) fn find_mitigations(&self, cpu: CpuId) {
        let call = |function, arg| self.machine.firmware(function, arg);
        let answers = call(id::VERSION, 0) >= PSCI_1_0
            && call(id::FEATURES, smccc::VERSION) >= ret::SUCCESS
            && call(smccc::VERSION, 0) >= SMCCC_1_1;
        let said = CALLS.map(|function| match answers {
            true => call(smccc::ARCH_FEATURES, function),
            false => smccc::NOT_SUPPORTED,
        });
        for ((function, answer), least) in CALLS.iter().zip(said).zip(&self.mitigations.offered) {
            least.fetch_min(answer.signum() as i8, Ordering::Relaxed);
            if answer == ret::SUCCESS && *function == smccc::ARCH_WORKAROUND_2 {
                call(*function, 1);
            }
        }
        let [workaround_1, _, workaround_3] = said;
        self.harden(cpu, Firmware { workaround_1, workaround_3 });
    }

    /// Has this CPU's predictor forget what guests teach it, as far as it needs that and can.
    fn harden(&self, cpu: CpuId, firmware: Firmware) {
        let wanted =
            match (predictor::choose(&self.machine.core(), firmware), self.options.harden_branch_predictor) {
                (_, Some(false)) => return,
                (Err(Missing(hardening)), Some(true)) => Ok(Some(hardening)),
                (wanted, _) => wanted,
            };
        let chosen = match wanted {
            Ok(None) => return,
            Ok(Some(hardening)) if self.machine.harden(hardening) => Ok(hardening),
            Ok(Some(hardening)) => Err(Missing(hardening)),
            Err(missing) => Err(missing),
        };
        let kind = match chosen {
            Ok(hardening) => hardening.kind(),
            Err(Missing(hardening)) => hardening.kind() << Hardening::KINDS,
        };
        if self.mitigations.told.fetch_or(kind, Ordering::Relaxed) & kind != 0 {
            return;
        }
        match chosen {
            Ok(hardening) => log::info!("CPU {}: {hardening} whenever a guest stops, against Spectre", cpu.0),
            Err(missing) => log::warn!("CPU {}: vulnerable to Spectre, without {missing}", cpu.0),
        }
    }

    /// A guest makes one of the calls.
    pub(crate) fn mitigate(&self, function: u32) {
        if function != smccc::ARCH_WORKAROUND_2 && self.mitigations.of(function) >= ret::SUCCESS {
            self.machine.firmware(function, 0);
        }
    }
}
