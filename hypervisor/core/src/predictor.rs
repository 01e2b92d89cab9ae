//! What a CPU's branch predictor has to forget when a guest stops, so that what the guest taught it does not lead the
//! hypervisor's speculation (CVE-2017-5715, CVE-2022-23960; Arm's "Speculative Processor Vulnerability" papers).
//!
//! A CPU that needs nothing, or for which nothing can be done, keeps its vectors as they are.

use core::fmt;

use xen_abi::psci::{ret, smccc};

use crate::errata::*;

/// What identification registers say of a CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Core {
    /// MIDR.
    pub midr: u32,
    /// ID_AA64PFR0.CSV2: from 1 on branches are not predicted by other contexts' addresses, from 3 on not by their
    /// history either.
    pub csv2: u8,
    /// ID_AA64MMFR1.ECBHB: history does not outlive an exception.
    pub drops_history: bool,
    /// ID_AA64ISAR2.CLRBHB: an instruction clears history.
    pub clears_history: bool,
    /// ACTLR.IBE of a Cortex-A15: invalidating the instruction cache invalidates the predictor.
    pub invalidates_predictor: bool,
}

/// What firmware says of its workarounds 1 and 3 (Arm DEN0070).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Firmware {
    /// SMCCC_ARCH_WORKAROUND_1 makes the predictor forget addresses.
    pub workaround_1: i32,
    /// SMCCC_ARCH_WORKAROUND_3 makes it forget history, and addresses where that is needed.
    pub workaround_3: i32,
}

/// What is done each time that a guest stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hardening {
    /// A call of firmware.
    Firmware(u32),
    /// So many branches, which push out the guest's.
    Loop(u16),
    /// The instruction that clears history.
    ClearHistory,
    /// AArch32: the predictor is invalidated (BPIALL).
    InvalidatePredictor,
    /// AArch32: the instruction cache is invalidated, and the predictor with it (ICIALLU).
    InvalidateInstructions,
}

impl Hardening {
    /// How many kinds there are.
    pub(crate) const KINDS: u32 = 5;

    /// Its kind, as a bit.
    pub(crate) fn kind(self) -> u32 {
        match self {
            Self::Firmware(_) => 1 << 0,
            Self::Loop(_) => 1 << 1,
            Self::ClearHistory => 1 << 2,
            Self::InvalidatePredictor => 1 << 3,
            Self::InvalidateInstructions => 1 << 4,
        }
    }
}

impl fmt::Display for Hardening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Firmware(smccc::ARCH_WORKAROUND_1) => f.write_str("SMCCC_ARCH_WORKAROUND_1"),
            Self::Firmware(_) => f.write_str("SMCCC_ARCH_WORKAROUND_3"),
            Self::Loop(branches) => write!(f, "{branches} branches"),
            Self::ClearHistory => f.write_str("CLRBHB"),
            Self::InvalidatePredictor => f.write_str("BPIALL"),
            Self::InvalidateInstructions => f.write_str("ICIALLU"),
        }
    }
}

/// What would be needed and is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missing(pub Hardening);

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Hardening::Firmware(_) => write!(f, "{} in firmware", self.0),
            Hardening::InvalidateInstructions => f.write_str("ACTLR.IBE, which firmware sets"),
            other => other.fmt(f),
        }
    }
}

/// Chooses for a CPU.
pub fn choose(core: &Core, firmware: Firmware) -> Result<Option<Hardening>, Missing> {
    let model = core.midr & MODEL;
    match model {
        CORTEX_A12 | CORTEX_A17 => return Ok(Some(Hardening::InvalidatePredictor)),
        CORTEX_A15 if core.invalidates_predictor => return Ok(Some(Hardening::InvalidateInstructions)),
        CORTEX_A15 => return Err(Missing(Hardening::InvalidateInstructions)),
        _ => {}
    }
    let Firmware { workaround_1, workaround_3 } = firmware;
    if core.csv2 == 0 {
        // Whoever forgets addresses forgets history with them.
        for (function, answer) in
            [(smccc::ARCH_WORKAROUND_3, workaround_3), (smccc::ARCH_WORKAROUND_1, workaround_1)]
        {
            if answer == ret::SUCCESS {
                return Ok(Some(Hardening::Firmware(function)));
            }
        }
        if FORGETS_BY_FIRMWARE.contains(&model) && workaround_1 != smccc::NOT_REQUIRED {
            return Err(Missing(Hardening::Firmware(smccc::ARCH_WORKAROUND_1)));
        }
    }
    if core.csv2 >= 3 || core.drops_history {
        return Ok(None);
    }
    let branches = LOOPS.iter().find(|(_, cores)| cores.contains(&model)).map(|(branches, _)| *branches);
    let by_firmware = Hardening::Firmware(smccc::ARCH_WORKAROUND_3);
    match branches {
        Some(_) if core.clears_history => Ok(Some(Hardening::ClearHistory)),
        Some(branches) => Ok(Some(Hardening::Loop(branches))),
        None if workaround_3 == ret::SUCCESS => Ok(Some(by_firmware)),
        None if HISTORY_BY_FIRMWARE.contains(&model) && workaround_3 != smccc::NOT_REQUIRED => {
            Err(Missing(by_firmware))
        }
        None => Ok(None),
    }
}

/// Cores whose addresses only firmware can make forgotten, where CSV2 does not say that they need not be.
const FORGETS_BY_FIRMWARE: &[u32] = &[CORTEX_A57, CORTEX_A72, CORTEX_A73, CORTEX_A75];
/// Cores whose history only firmware can make forgotten.
const HISTORY_BY_FIRMWARE: &[u32] = &[CORTEX_A73, CORTEX_A75];
/// Cores whose history so many branches push out.
const LOOPS: &[(u16, &[u32])] = &[
    (8, &[CORTEX_A57, CORTEX_A72]),
    (24, &[CORTEX_A76, CORTEX_A76AE, CORTEX_A77, NEOVERSE_N1]),
    (
        32,
        &[
            CORTEX_A78,
            CORTEX_A78AE,
            CORTEX_A78C,
            CORTEX_X1,
            CORTEX_X1C,
            CORTEX_A710,
            CORTEX_X2,
            NEOVERSE_N2,
            NEOVERSE_V1,
        ],
    ),
    (38, &[CORTEX_A715, CORTEX_A720]),
    (132, &[CORTEX_X3, NEOVERSE_V2]),
];

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    const W1: Hardening = Hardening::Firmware(smccc::ARCH_WORKAROUND_1);
    const W3: Hardening = Hardening::Firmware(smccc::ARCH_WORKAROUND_3);

    fn of(midr: u32, csv2: u8, workaround_1: i32, workaround_3: i32) -> Result<Option<Hardening>, Missing> {
        choose(
            &Core { midr: midr | 0x1f_0003, csv2, ..Core::default() },
            Firmware { workaround_1, workaround_3 },
        )
    }

    #[test]
    fn addresses_are_forgotten_by_firmware() {
        for core in [CORTEX_A57, CORTEX_A72, CORTEX_A73, CORTEX_A75] {
            assert_eq!(of(core, 0, 0, -1), Ok(Some(W1)));
            assert_eq!(of(core, 0, 0, 0), Ok(Some(W3)));
            assert_eq!(of(core, 0, -1, -1), Err(Missing(W1)));
        }
        // A maker's core that nobody here knows.
        assert_eq!(of(0x4e00_0030, 0, 0, -1), Ok(Some(W1)));
        assert_eq!(of(0x4e00_0030, 0, -1, -1), Ok(None));
    }

    #[test]
    fn cores_in_order_need_nothing() {
        for core in [CORTEX_A53, CORTEX_A55] {
            assert_eq!(of(core, 0, -1, -1), Ok(None));
            assert_eq!(of(core, 0, 1, 1), Ok(None));
        }
    }

    #[test]
    fn history_is_pushed_out_or_left_to_firmware() {
        assert_eq!(of(CORTEX_A72, 1, 1, -1), Ok(Some(Hardening::Loop(8))));
        assert_eq!(of(CORTEX_A72, 0, 1, -1), Ok(Some(Hardening::Loop(8))));
        assert_eq!(of(NEOVERSE_N1, 1, -1, -1), Ok(Some(Hardening::Loop(24))));
        assert_eq!(of(CORTEX_A78, 1, 1, 0), Ok(Some(Hardening::Loop(32))));
        assert_eq!(of(CORTEX_X3, 2, -1, -1), Ok(Some(Hardening::Loop(132))));
        assert_eq!(of(CORTEX_A75, 1, 1, 0), Ok(Some(W3)));
        assert_eq!(of(CORTEX_A75, 1, 1, 1), Ok(None));
        assert_eq!(of(CORTEX_A73, 1, 1, -1), Err(Missing(W3)));
        assert_eq!(of(CORTEX_A77, 3, -1, -1), Ok(None));
    }

    #[test]
    fn a_core_that_can_clear_its_history_does() {
        let firmware = Firmware { workaround_1: -1, workaround_3: -1 };
        let core = Core { midr: CORTEX_A78, csv2: 1, clears_history: true, ..Core::default() };
        assert_eq!(choose(&core, firmware), Ok(Some(Hardening::ClearHistory)));
        assert_eq!(choose(&Core { drops_history: true, ..core }, firmware), Ok(None));
    }

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(Missing(W1).to_string(), "SMCCC_ARCH_WORKAROUND_1 in firmware");
        let missing = Missing(Hardening::InvalidateInstructions);
        assert_eq!(missing.to_string(), "ACTLR.IBE, which firmware sets");
    }

    #[test]
    fn cores_of_armv7_invalidate() {
        let firmware = Firmware { workaround_1: -1, workaround_3: -1 };
        let choose = |midr, invalidates_predictor| {
            choose(&Core { midr, invalidates_predictor, ..Core::default() }, firmware)
        };
        assert_eq!(choose(0x410f_c0d0, false), Ok(Some(Hardening::InvalidatePredictor)));
        assert_eq!(choose(0x411f_c0e1, false), Ok(Some(Hardening::InvalidatePredictor)));
        assert_eq!(choose(0x412f_c0f1, true), Ok(Some(Hardening::InvalidateInstructions)));
        assert_eq!(choose(0x412f_c0f1, false), Err(Missing(Hardening::InvalidateInstructions)));
        assert_eq!(choose(0x410f_c075, false), Ok(None), "Cortex-A7");
    }
}
