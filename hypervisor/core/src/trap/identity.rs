//! Identification registers as guests see them: what all CPUs have, less what is not virtualised.

use xen_abi::arch::gic;

use crate::{Hypervisor, machine::Machine};

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

/// The AArch32 fields that are hidden: CRm, opc2 and what stays.
const HIDDEN32: &[(u8, u8, u64)] = &[
    // ID_PFR0: AMU, RAS.
    (1, 0, without(&[20, 28])),
    // ID_DFR0: memory-mapped and coprocessor trace, performance monitors, trace filter.
    (1, 2, without(&[12, 16, 20, 24, 28])),
    // ID_PFR2: RAS fraction.
    (3, 4, without(&[8])),
];

/// The AArch64 fields that are shown: CRm, op2 and what stays. The others read as zero.
const SHOWN64: &[(u8, u8, u64)] = &[
    // ID_AA64PFR0: EL0 to EL3, FP, AdvSIMD, GIC where there is a GICv3, CSV2, CSV3, DIT. Not RAS, SVE, MPAM, AMU.
    (4, 0, 0xff0f_0000_0fff_ffff),
    // ID_AA64PFR1: BT, SSBS. Not MTE, SME, RAS fraction.
    (4, 1, 0x0000_0000_0000_00ff),
    // ID_AA64DFR0: debug version, breakpoints, watchpoints, context breakpoints.
    (5, 0, 0x0000_0000_f0f0_f00f),
    // ID_AA64ISAR0: all of it but TME.
    (6, 0, 0xffff_ffff_f0ff_ffff),
    // ID_AA64ISAR1: all but pointer authentication (APA, API, GPA, GPI) and LS64.
    (6, 1, 0x0fff_ffff_00ff_f00f),
    // ID_AA64MMFR0, 1 and 2.
    (7, 0, 0x0000_0000_ffff_ffff),
    (7, 1, 0x0000_0000_f0ff_f0ff),
    (7, 2, 0xffff_0fff_ffff_ffff),
];

impl<M: Machine> Hypervisor<M> {
    /// What stays of a register whose field at this bit says that the interrupt controller's CPU
    /// interface is in system registers: on a board with a GICv2 no guest has those.
    fn gic_field(&self, at: u32) -> u64 {
        if self.gic_version() == gic::V3 { u64::MAX } else { without(&[at]) }
    }

    /// Coprocessor 15, c0, `crm`, `op2`.
    pub(super) fn identity32(&self, crm: u8, op2: u8) -> u64 {
        let known = match crm {
            1 | 2 => op2 <= 7,
            // MVFR0 to MVFR2, ID_PFR2, ID_DFR1, ID_MMFR5.
            3 => matches!(op2, 0..=2 | 4..=6),
            _ => false,
        };
        if !known {
            return 0;
        }
        let keep = match (crm, op2) {
            // ID_PFR1: Security and Virtualization extensions stay as they are.
            (1, 1) => self.gic_field(28),
            name => {
                let hidden = HIDDEN32.iter().find(|hidden| (hidden.0, hidden.1) == name);
                hidden.map_or(u64::MAX, |hidden| hidden.2)
            }
        };
        self.machine.id_register(true, crm, op2) & keep & 0xffff_ffff
    }

    /// MVFR `n`.
    pub(super) fn float_identity(&self, n: u8) -> u64 {
        self.identity32(3, n)
    }

    /// Op0 3, op1 0, c0, `crm`, `op2` of AArch64.
    pub(super) fn identity64(&self, crm: u8, op2: u8) -> u64 {
        if crm <= 3 {
            return self.identity32(crm, op2);
        }
        let shown = SHOWN64.iter().find(|shown| (shown.0, shown.1) == (crm, op2));
        let gic = if (crm, op2) == (4, 0) { self.gic_field(24) } else { u64::MAX };
        shown.map_or(0, |shown| self.machine.id_register(false, crm, op2) & shown.2 & gic)
    }
}
