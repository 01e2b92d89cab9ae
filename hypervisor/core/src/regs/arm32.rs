//! Registers of a guest on a 32-bit hypervisor.

use super::GuestRegs;
use xen_abi::arch::psr;

/// What entry to Hyp mode saves. Assembly knows the order: r0 to r12, the User mode's lr (which Hyp
/// mode shares), ELR_hyp, SPSR_hyp.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Arm32Regs {
    /// r0 to r12 of User mode; FIQ mode banks r8 to r12.
    pub r: [u32; 13],
    /// lr of User mode.
    pub lr_usr: u32,
    /// Where the guest goes on.
    pub pc: u32,
    /// Its processor state.
    pub cpsr: u32,
}

const MODE_MASK: u32 = 0x1f;
const SP: u8 = 13;
const LR: u8 = 14;

impl Arm32Regs {
    fn mode(&self) -> u32 {
        self.cpsr & MODE_MASK
    }
}

impl GuestRegs for Arm32Regs {
    fn is_aarch32(&self) -> bool {
        true
    }

    fn hypercall_number(&self) -> u64 {
        self.r[12].into()
    }

    fn arg(&self, n: usize) -> u64 {
        self.r[n].into()
    }

    fn set_arg(&mut self, n: usize, value: u64) {
        self.r[n] = value as u32;
    }

    fn set_hypercall_number(&mut self, value: u64) {
        self.r[12] = value as u32;
    }

    fn set_result(&mut self, value: i64) {
        self.r[0] = value as u32;
    }

    fn is_banked(&self, n: u8) -> bool {
        match n {
            0..8 => false,
            8..=12 => self.mode() == psr::MODE_FIQ,
            SP => true,
            LR => self.mode() != psr::MODE_USR && self.mode() != psr::MODE_SYS,
            _ => false,
        }
    }

    fn get(&self, n: u8) -> u64 {
        if n < 8 {
            return self.r[usize::from(n)].into();
        }
        if self.is_banked(n) {
            return 0;
        }
        match n {
            LR => self.lr_usr.into(),
            15 => self.pc.into(),
            _ => self.r.get(usize::from(n)).copied().unwrap_or(0).into(),
        }
    }

    fn set(&mut self, n: u8, value: u64) {
        if n < 8 {
            self.r[usize::from(n)] = value as u32;
            return;
        }
        if self.is_banked(n) {
            return;
        }
        match n {
            LR => self.lr_usr = value as u32,
            15 => self.pc = value as u32,
            _ => {
                if let Some(r) = self.r.get_mut(usize::from(n)) {
                    *r = value as u32;
                }
            }
        }
    }

    fn pc(&self) -> u64 {
        self.pc.into()
    }

    fn set_pc(&mut self, value: u64) {
        self.pc = value as u32;
    }

    fn pstate(&self) -> u64 {
        self.cpsr.into()
    }

    fn set_pstate(&mut self, value: u64) {
        self.cpsr = value as u32;
    }

    fn is_user(&self) -> bool {
        self.mode() == psr::MODE_USR
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fiq_mode_banks_what_the_others_share() {
        let mut regs = Arm32Regs { cpsr: psr::MODE_SVC, ..Default::default() };
        assert!(!regs.is_banked(8) && regs.is_banked(13) && regs.is_banked(14));
        regs.cpsr = psr::MODE_FIQ;
        assert!(regs.is_banked(8) && regs.is_banked(12) && !regs.is_banked(7));
        regs.cpsr = psr::MODE_SYS;
        assert!(!regs.is_banked(14) && regs.is_banked(13));
    }

    #[test]
    fn a_negative_result_fills_the_register() {
        let mut regs = Arm32Regs::default();
        regs.set_result(-38);
        assert_eq!(regs.r[0], 0xffff_ffda);
    }
}
