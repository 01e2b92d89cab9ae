//! Calls by `HVC #0` or `SMC`, sorted by who answers (Arm DEN0028).

use xen_abi::psci::{MIGRATE_NOT_NEEDED, VERSION_1_1 as PSCI_1_1, id, ret, smccc, v0_1};

use crate::{current::Current, machine::Machine, regs::GuestRegs, vpsci::CpuOn};

/// How many functions the standard service has: its own three, and PSCI's.
const STANDARD_CALLS: u32 = 3 + 12;
/// The same of the hypervisor service.
const HYPERVISOR_CALLS: u32 = 3;
/// Bits of a function number within its owner's.
const FUNCTION: u32 = 0xffff;
/// Function numbers that are PSCI's.
const PSCI_FUNCTIONS: u32 = 0x1f;

impl<M: Machine> Current<'_, M> {
    /// Serves a call whose function id is in the first register.
    pub(super) fn smccc(&mut self) {
        let function = self.regs.arg(0) as u32;
        let is_fast = function & smccc::FAST != 0;
        let wide_from_narrow = function & id::SMC64 != 0 && self.domain.is_aarch32();
        let known = match function >> smccc::OWNER_SHIFT & smccc::OWNER_MASK {
            _ if function == v0_1::CPU_OFF || function == v0_1::CPU_ON => self.psci_0_1(function),
            _ if !is_fast || wide_from_narrow => false,
            smccc::OWNER_ARCH => self.architecture_call(function),
            smccc::OWNER_STANDARD => self.standard_call(function),
            smccc::OWNER_HYPERVISOR => self.hypervisor_call(function),
            _ => false,
        };
        if !known {
            self.answer(smccc::NOT_SUPPORTED);
        }
    }

    /// The result register, sign extended.
    fn answer(&mut self, value: i32) {
        self.regs.set_result(value.into());
    }

    fn answer_word(&mut self, value: u32) -> bool {
        self.regs.set_arg(0, value.into());
        true
    }

    fn answer_uid(&mut self, uid: [u8; 16]) -> bool {
        for (n, bytes) in uid.chunks_exact(4).enumerate() {
            let word = bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
            self.regs.set_arg(n, word);
        }
        true
    }

    fn answer_revision(&mut self, major: u32, minor: u32) -> bool {
        self.regs.set_arg(1, minor.into());
        self.answer_word(major)
    }

    fn architecture_call(&mut self, function: u32) -> bool {
        match function {
            smccc::VERSION => self.answer_word(smccc::VERSION_1_1),
            smccc::ARCH_FEATURES => {
                let answer = self.hv.mitigations.offer(self.narrow_arg(1) as u32);
                self.answer(answer);
                true
            }
            smccc::ARCH_WORKAROUND_1 | smccc::ARCH_WORKAROUND_2 | smccc::ARCH_WORKAROUND_3 => {
                self.hv.mitigate(function);
                true
            }
            _ => false,
        }
    }

    fn hypervisor_call(&mut self, function: u32) -> bool {
        match function & FUNCTION {
            _ if function & id::SMC64 != 0 => false,
            smccc::FUNC_CALL_COUNT => self.answer_word(HYPERVISOR_CALLS),
            smccc::FUNC_CALL_UID => self.answer_uid(smccc::XEN_UID),
            smccc::FUNC_CALL_REVISION => self.answer_revision(smccc::XEN_MAJOR, smccc::XEN_MINOR),
            _ => false,
        }
    }

    fn standard_call(&mut self, function: u32) -> bool {
        match function & FUNCTION {
            0..=PSCI_FUNCTIONS => self.psci(function),
            _ if function & id::SMC64 != 0 => false,
            smccc::FUNC_CALL_COUNT => self.answer_word(STANDARD_CALLS),
            smccc::FUNC_CALL_UID => self.answer_uid(smccc::SSSC_UID),
            smccc::FUNC_CALL_REVISION => self.answer_revision(smccc::SSSC_MAJOR, smccc::SSSC_MINOR),
            _ => false,
        }
    }

    fn psci_0_1(&mut self, function: u32) -> bool {
        if function == v0_1::CPU_OFF {
            self.cpu_off();
            return true;
        }
        let on = CpuOn { target: self.narrow_arg(1), entry: self.regs.arg(2), context: 0 };
        // 0.1 knows fewer errors.
        let result = match self.cpu_on(&on) {
            ret::ALREADY_ON | ret::INVALID_ADDRESS => ret::INVALID_PARAMETERS,
            other => other,
        };
        self.answer(result);
        true
    }

    fn psci(&mut self, function: u32) -> bool {
        let wide = function & id::SMC64 != 0;
        let arg = |current: &Self, n| if wide { current.regs.arg(n) } else { current.narrow_arg(n) };
        match (function & !id::SMC64, wide) {
            (id::CPU_ON, _) => {
                let on = CpuOn { target: arg(self, 1), entry: arg(self, 2), context: arg(self, 3) };
                let result = self.cpu_on(&on);
                self.answer(result);
            }
            (id::AFFINITY_INFO, _) => {
                let result = self.affinity_info(arg(self, 1), self.narrow_arg(2));
                self.answer(result);
            }
            (id::CPU_SUSPEND, _) => {
                self.answer(ret::SUCCESS);
                self.wait_for_interrupt();
            }
            (id::VERSION, false) => return self.answer_word(PSCI_1_1),
            (id::CPU_OFF, false) => self.cpu_off(),
            (id::MIGRATE_INFO_TYPE, false) => return self.answer_word(MIGRATE_NOT_NEEDED),
            (id::SYSTEM_OFF, false) => self.system_off(xen_abi::sched::shutdown::POWEROFF),
            (id::SYSTEM_RESET, false) => self.system_off(xen_abi::sched::shutdown::REBOOT),
            (id::FEATURES, false) => {
                let result = features(self.narrow_arg(1) as u32);
                self.answer(result);
            }
            _ => return false,
        }
        true
    }

    fn narrow_arg(&self, n: usize) -> u64 {
        self.regs.arg(n) & 0xffff_ffff
    }

    fn cpu_off(&mut self) {
        self.answer(ret::SUCCESS);
        self.hv.vcpu_down(self.vcpu);
    }

    fn system_off(&mut self, reason: u32) {
        self.answer(ret::INTERNAL_FAILURE);
        self.hv.shutdown_domain(self.domain, reason as u8);
    }
}

/// Which functions there are.
fn features(function: u32) -> i32 {
    const WIDE: [u32; 3] = [id::CPU_SUSPEND, id::CPU_ON, id::AFFINITY_INFO];
    const NARROW: [u32; 7] = [
        id::VERSION,
        id::CPU_OFF,
        id::MIGRATE_INFO_TYPE,
        id::SYSTEM_OFF,
        id::SYSTEM_RESET,
        id::FEATURES,
        smccc::VERSION,
    ];
    let known = WIDE.contains(&(function & !id::SMC64)) || NARROW.contains(&function);
    if known { ret::SUCCESS } else { ret::NOT_SUPPORTED }
}
