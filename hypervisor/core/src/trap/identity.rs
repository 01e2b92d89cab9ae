//! Identification registers as guests see them: what all CPUs have, less what is not virtualised.

use xen_abi::arch::gic;

use super::{MinimumEl, RegisterAccess, Served};
use crate::{Hypervisor, current::Current, machine::Machine};

/// Clears the four-bit fields that begin at these bits.
const fn without(fields: &[u32]) -> u64 {
    let mut mask = u64::MAX;
    let mut n = 0;
    while n < fields.len() {
        mask &= !(0xf << fields[n]);
        n += 1;
    }
    mask
}

/// Registers with a CRm: as many as op2 can tell apart.
const ROW: usize = 8;
/// CRm from which on they are AArch64's; those before are AArch32's.
const FIRST64: u8 = 4;

/// Where the table has a register.
const fn place(crm: u8, op2: u8) -> usize {
    (crm as usize).wrapping_sub(1).wrapping_mul(ROW) + op2 as usize
}

const ID_PFR1: usize = place(1, 1);
const ID_AA64PFR0: usize = place(4, 0);

/// What guests are shown of each register, with CRm 1 to 7.
const SHOWN: [u64; 7 * ROW] = {
    let mut shown = [0; 7 * ROW];
    let mut n = 0;
    while n < place(FIRST64, 0) {
        shown[n] = 0xffff_ffff;
        n += 1;
    }
    // ID_PFR0: AMU, RAS.
    shown[place(1, 0)] &= without(&[20, 28]);
    // ID_DFR0: memory-mapped and coprocessor trace, performance monitors, trace filter.
    shown[place(1, 2)] &= without(&[12, 16, 20, 24, 28]);
    // All that CRm 3 has are MVFR0 to MVFR2, ID_PFR2 without RAS fraction, ID_DFR1, ID_MMFR5.
    shown[place(3, 3)] = 0;
    shown[place(3, 4)] &= without(&[8]);
    shown[place(3, 7)] = 0;
    // ID_AA64PFR0: EL0 to EL3, FP, AdvSIMD, GIC where there is a GICv3, CSV2, CSV3, DIT. Not RAS, SVE, MPAM, AMU.
    shown[ID_AA64PFR0] = 0xff0f_0000_0fff_ffff;
    // ID_AA64PFR1: BT, SSBS. Not MTE, SME, RAS fraction.
    shown[place(4, 1)] = 0x0000_0000_0000_00ff;
    // ID_AA64DFR0: debug version, breakpoints, watchpoints, context breakpoints.
    shown[place(5, 0)] = 0x0000_0000_f0f0_f00f;
    // ID_AA64ISAR0: all of it but TME.
    shown[place(6, 0)] = 0xffff_ffff_f0ff_ffff;
    // ID_AA64ISAR1: all but pointer authentication (APA, API, GPA, GPI) and LS64.
    shown[place(6, 1)] = 0x0fff_ffff_00ff_f00f;
    // ID_AA64MMFR0, 1 and 2.
    shown[place(7, 0)] = 0x0000_0000_ffff_ffff;
    shown[place(7, 1)] = 0x0000_0000_f0ff_f0ff;
    shown[place(7, 2)] = 0xffff_0fff_ffff_ffff;
    shown
};

impl<M: Machine> Current<'_, M> {
    /// Reads an identification register, by its CRm and op2.
    #[inline]
    pub(super) fn identification(&mut self, access: RegisterAccess, (crm, op2): (u8, u8)) -> Served {
        // Coprocessor 15 has none of AArch64's; the other way round they are all there.
        let exists = access.is_a64() || crm < FIRST64;
        let value = if exists { self.hv.identity(crm, op2) } else { 0 };
        self.read_only(access, value, MinimumEl::Kernel)
    }
}

impl<M: Machine> Hypervisor<M> {
    /// What stays of a register whose field at this bit says that the interrupt controller's CPU
    /// interface is in system registers: on a board with a GICv2 no guest has those.
    fn gic_field(&self, at: u32) -> u64 {
        if self.gic_version() == gic::V3 { u64::MAX } else { !(0xf << at) }
    }

    /// c0, `crm` and `op2` of op0 3, op1 0, and as far as those are AArch32's, of coprocessor 15, op1 0.
    #[hot]
    #[inline(never)]
    fn identity(&self, crm: u8, op2: u8) -> u64 {
        let place = place(crm, op2);
        let Some(shown) = SHOWN.get(place) else { return 0 };
        let gic = match place {
            // Security and Virtualization extensions stay as they are.
            ID_PFR1 => self.gic_field(28),
            ID_AA64PFR0 => self.gic_field(24),
            _ => u64::MAX,
        };
        self.machine.id_register(crm < FIRST64, crm, op2) & shown & gic
    }

    /// MVFR `n`.
    pub(super) fn float_identity(&self, n: u8) -> u64 {
        self.identity(3, n)
    }
}
