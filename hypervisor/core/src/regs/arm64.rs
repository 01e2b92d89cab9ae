//! Registers of a guest on a 64-bit hypervisor, in either state.

use super::GuestRegs;
use xen_abi::arch::{aarch32 as index, psr};

/// What entry to EL2 saves. Assembly knows the order: x0 to x30, ELR_EL2, SPSR_EL2. An AArch32
/// guest's registers, banked ones too, lie in these as the architecture maps them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Arm64Regs {
    /// x0 to x30.
    pub x: [u64; 31],
    /// Where the guest goes on.
    pub pc: u64,
    /// Its processor state.
    pub pstate: u64,
}

const MODE_MASK: u64 = 0x1f;
const SP: u8 = 13;
const LR: u8 = 14;

impl Arm64Regs {
    fn narrow(&self, value: u64) -> u64 {
        if self.is_aarch32() { value & 0xffff_ffff } else { value }
    }

    /// Whether a mode may have register `n` for itself: none of AArch32 has the low ones, and AArch64 has no
    /// modes.
    fn may_be_banked(&self, n: u8) -> bool {
        n >= 8 && self.is_aarch32()
    }

    /// Where register `n` of AArch32 lies, as a syndrome names it: in the AArch64 view. QEMU names the
    /// register of a data abort as the AArch32 instruction did, which in a mode with registers of its own
    /// cannot be meant otherwise: there an instruction reaches no User mode register.
    #[hot]
    #[inline(never)]
    fn place(&self, n: u8) -> usize {
        match (self.mode(), n) {
            (psr::MODE_FIQ, 8..=12) => index::R8_FIQ + usize::from(n - 8),
            (psr::MODE_FIQ, SP) => index::SP_FIQ,
            (psr::MODE_FIQ, LR) => index::LR_FIQ,
            (psr::MODE_IRQ, SP) => index::SP_IRQ,
            (psr::MODE_IRQ, LR) => index::LR_IRQ,
            (psr::MODE_SVC, SP) => index::SP_SVC,
            (psr::MODE_SVC, LR) => index::LR_SVC,
            (psr::MODE_ABT, SP) => index::SP_ABT,
            (psr::MODE_ABT, LR) => index::LR_ABT,
            (psr::MODE_UND, SP) => index::SP_UND,
            (psr::MODE_UND, LR) => index::LR_UND,
            _ => n.into(),
        }
    }

    #[hot]
    #[inline(never)]
    fn set_by_mode(&mut self, n: u8, value: u64) {
        let (place, value) = (self.place(n), self.narrow(value));
        if let Some(x) = self.x.get_mut(place) {
            *x = value;
        }
    }

    fn mode(&self) -> u32 {
        (self.pstate & MODE_MASK) as u32
    }
}

impl GuestRegs for Arm64Regs {
    fn is_aarch32(&self) -> bool {
        self.pstate & u64::from(psr::MODE_BIT) != 0
    }

    fn hypercall_number(&self) -> u64 {
        if self.is_aarch32() { self.x[12] & 0xffff_ffff } else { self.x[16] }
    }

    fn arg(&self, n: usize) -> u64 {
        self.narrow(self.x[n])
    }

    fn set_arg(&mut self, n: usize, value: u64) {
        self.x[n] = self.narrow(value);
    }

    fn set_hypercall_number(&mut self, value: u64) {
        if self.is_aarch32() {
            self.x[12] = value & 0xffff_ffff;
        } else {
            self.x[16] = value;
        }
    }

    fn set_result(&mut self, value: i64) {
        self.x[0] = self.narrow(value as u64);
    }

    fn is_banked(&self, _n: u8) -> bool {
        false
    }

    #[inline]
    fn get(&self, n: u8) -> u64 {
        let place = if self.may_be_banked(n) { self.place(n) } else { n.into() };
        self.narrow(self.x.get(place).copied().unwrap_or(0))
    }

    #[inline]
    fn set(&mut self, n: u8, value: u64) {
        if self.may_be_banked(n) {
            return self.set_by_mode(n, value);
        }
        let value = self.narrow(value);
        if let Some(x) = self.x.get_mut(usize::from(n)) {
            *x = value;
        }
    }

    fn pc(&self) -> u64 {
        self.pc
    }

    fn set_pc(&mut self, value: u64) {
        self.pc = self.narrow(value);
    }

    fn pstate(&self) -> u64 {
        self.pstate
    }

    fn set_pstate(&mut self, value: u64) {
        self.pstate = value;
    }

    fn is_user(&self) -> bool {
        let mode = self.pstate & MODE_MASK;
        mode == u64::from(psr::MODE_USR) || mode == u64::from(psr::MODE_EL0T)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_32_bit_guest_passes_its_call_in_r12_and_the_low_halves() {
        let mut regs = Arm64Regs { pstate: psr::GUEST32_INIT.into(), ..Default::default() };
        regs.x[12] = 0xdead_0000_0000_0011;
        regs.x[0] = u64::MAX;
        assert_eq!((regs.hypercall_number(), regs.arg(0)), (0x11, 0xffff_ffff));
        regs.set_result(-1);
        assert_eq!(regs.x[0], 0xffff_ffff);
    }

    #[test]
    fn the_registers_of_a_mode_are_found_by_either_name() {
        let mut regs = Arm64Regs { pstate: psr::GUEST32_INIT.into(), ..Default::default() };
        regs.x[index::LR_SVC] = 1;
        regs.x[index::LR_USR] = 2;
        assert_eq!((regs.get(LR), regs.get(index::LR_SVC as u8)), (1, 1));
        regs.set(SP, 3);
        assert_eq!((regs.x[index::SP_SVC], regs.x[index::SP_USR]), (3, 0));
        for (mode, lr) in
            [(psr::MODE_USR, 14), (psr::MODE_IRQ, 16), (psr::MODE_FIQ, 30), (psr::MODE_EL1H, 14)]
        {
            regs.pstate = mode.into();
            regs.x[lr] = 4 + u64::from(mode);
            assert_eq!(regs.get(LR), 4 + u64::from(mode), "mode {mode:#x}");
        }
        regs.pstate = psr::MODE_FIQ.into();
        regs.set(8, 7);
        assert_eq!(regs.x[index::R8_FIQ], 7);
    }

    #[test]
    fn the_zero_register_reads_zero_and_ignores_writes() {
        let mut regs = Arm64Regs::default();
        regs.set(31, 5);
        assert_eq!(regs.get(31), 0);
    }
}
