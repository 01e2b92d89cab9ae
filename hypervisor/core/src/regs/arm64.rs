//! Registers of a guest on a 64-bit hypervisor, in either state.

use super::GuestRegs;
use xen_abi::arch::psr;

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

impl Arm64Regs {
    fn narrow(&self, value: u64) -> u64 {
        if self.is_aarch32() { value & 0xffff_ffff } else { value }
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

    fn get(&self, n: u8) -> u64 {
        self.narrow(self.x.get(usize::from(n)).copied().unwrap_or(0))
    }

    fn set(&mut self, n: u8, value: u64) {
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
    fn the_zero_register_reads_zero_and_ignores_writes() {
        let mut regs = Arm64Regs::default();
        regs.set(31, 5);
        assert_eq!(regs.get(31), 0);
    }
}
