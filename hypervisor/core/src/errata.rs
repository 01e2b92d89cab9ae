//! Errata of Arm's cores that a hypervisor has to work around, by MIDR.
//!
//! Which revisions have which is in the cores' Software Developers Errata Notices. What the code generator and the
//! linker work around is in `.cargo/config.toml`; what is done for all cores alike is where it is done, in `arch/arm64`:
//! Cortex-A57 832075 in `device.rs`, Cortex-A57 852523 with Cortex-A72 853709 in `context.rs`.

/// A set of errata.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Errata(u32);

impl Errata {
    /// None.
    pub const NONE: Self = Self(0);
    /// A clean of a data cache line can lose or corrupt what another core wrote: clean and invalidate.
    /// Cortex-A53 819472, 824069, 826319, 827319.
    pub const CLEAN: Self = Self(1 << 0);
    /// Address translation runs ahead in a mix of two guests' registers, and its result is cached.
    /// Cortex-A55 1530923, Cortex-A57 1319537, Cortex-A72 1319367, Cortex-A76 and Neoverse N1 1165522.
    pub const SPECULATIVE_AT: Self = Self(1 << 1);
    /// One TLB invalidation may miss what is just being walked for: a second one does not.
    /// Cortex-A55 2441007, Cortex-A76 and Neoverse N1 1286807.
    pub const REPEAT_TLBI: Self = Self(1 << 2);
    /// A read of PAR among loads of devices can deadlock without barriers. Cortex-A77 1508412.
    pub const PAR_READ: Self = Self(1 << 3);
    /// A fault of both stages is reported as the second's. Cortex-A57 834220.
    pub const WRONG_STAGE: Self = Self(1 << 4);

    /// Those of a core.
    pub fn of(midr: u32) -> Self {
        let core = midr & MODEL;
        let revision = midr >> 16 & 0xf0 | midr & 0xf;
        let has = |known: &&Known| known.core == core && revision <= known.last;
        Self(KNOWN.iter().filter(has).fold(0, |all, known| all | known.errata.0))
    }

    /// The bits, to be kept in an atomic.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Whether these bits have one of the set.
    pub const fn any_in(self, bits: u32) -> bool {
        self.0 & bits != 0
    }
}

/// MIDR: implementer and part number.
pub(crate) const MODEL: u32 = 0xff00_fff0;
pub(crate) const CORTEX_A12: u32 = 0x4100_c0d0;
pub(crate) const CORTEX_A15: u32 = 0x4100_c0f0;
pub(crate) const CORTEX_A17: u32 = 0x4100_c0e0;
pub(crate) const CORTEX_A53: u32 = 0x4100_d030;
pub(crate) const CORTEX_A55: u32 = 0x4100_d050;
pub(crate) const CORTEX_A57: u32 = 0x4100_d070;
pub(crate) const CORTEX_A72: u32 = 0x4100_d080;
pub(crate) const CORTEX_A73: u32 = 0x4100_d090;
pub(crate) const CORTEX_A75: u32 = 0x4100_d0a0;
pub(crate) const CORTEX_A76: u32 = 0x4100_d0b0;
pub(crate) const CORTEX_A76AE: u32 = 0x4100_d0e0;
pub(crate) const CORTEX_A77: u32 = 0x4100_d0d0;
pub(crate) const CORTEX_A78: u32 = 0x4100_d410;
pub(crate) const CORTEX_A78AE: u32 = 0x4100_d420;
pub(crate) const CORTEX_A78C: u32 = 0x4100_d4b0;
pub(crate) const CORTEX_A710: u32 = 0x4100_d470;
pub(crate) const CORTEX_A715: u32 = 0x4100_d4d0;
pub(crate) const CORTEX_A720: u32 = 0x4100_d810;
pub(crate) const CORTEX_X1: u32 = 0x4100_d440;
pub(crate) const CORTEX_X1C: u32 = 0x4100_d4c0;
pub(crate) const CORTEX_X2: u32 = 0x4100_d480;
pub(crate) const CORTEX_X3: u32 = 0x4100_d4e0;
pub(crate) const NEOVERSE_N1: u32 = 0x4100_d0c0;
pub(crate) const NEOVERSE_N2: u32 = 0x4100_d490;
pub(crate) const NEOVERSE_V1: u32 = 0x4100_d400;
pub(crate) const NEOVERSE_V2: u32 = 0x4100_d4f0;

/// What a core has up to a revision: `rXpY` as 0xXY.
struct Known {
    core: u32,
    last: u32,
    errata: Errata,
}

const ALL: u32 = 0xff;

const KNOWN: &[Known] = &[
    Known { core: CORTEX_A53, last: 0x02, errata: Errata::CLEAN },
    Known { core: CORTEX_A55, last: 0x20, errata: Errata::SPECULATIVE_AT },
    Known { core: CORTEX_A55, last: ALL, errata: Errata::REPEAT_TLBI },
    Known { core: CORTEX_A57, last: ALL, errata: Errata::SPECULATIVE_AT },
    Known { core: CORTEX_A57, last: 0x12, errata: Errata::WRONG_STAGE },
    Known { core: CORTEX_A72, last: ALL, errata: Errata::SPECULATIVE_AT },
    Known { core: CORTEX_A76, last: 0x20, errata: Errata::SPECULATIVE_AT },
    Known { core: CORTEX_A76, last: 0x30, errata: Errata::REPEAT_TLBI },
    Known { core: NEOVERSE_N1, last: 0x20, errata: Errata::SPECULATIVE_AT },
    Known { core: NEOVERSE_N1, last: 0x30, errata: Errata::REPEAT_TLBI },
    Known { core: CORTEX_A77, last: 0x10, errata: Errata::PAR_READ },
];

#[cfg(test)]
mod tests {
    use super::*;

    fn of(core: u32, variant: u32, patch: u32) -> Errata {
        // With the architecture's field, which all have set.
        Errata::of(core | variant << 20 | 0xf << 16 | patch)
    }

    #[test]
    fn revisions_bound_what_a_core_has() {
        assert_eq!(of(CORTEX_A53, 0, 2), Errata::CLEAN);
        assert_eq!(of(CORTEX_A53, 0, 4), Errata::NONE);
        assert_eq!(of(CORTEX_A57, 1, 2), Errata(Errata::SPECULATIVE_AT.0 | Errata::WRONG_STAGE.0));
        assert_eq!(of(CORTEX_A57, 1, 3), Errata::SPECULATIVE_AT);
        assert_eq!(of(CORTEX_A72, 1, 0), Errata::SPECULATIVE_AT);
        assert_eq!(of(CORTEX_A76, 2, 0), Errata(Errata::SPECULATIVE_AT.0 | Errata::REPEAT_TLBI.0));
        assert_eq!(of(CORTEX_A76, 3, 0), Errata::REPEAT_TLBI);
        assert_eq!(of(CORTEX_A76, 3, 1), Errata::NONE);
        assert_eq!(of(NEOVERSE_N1, 1, 0), Errata(Errata::SPECULATIVE_AT.0 | Errata::REPEAT_TLBI.0));
        assert_eq!(of(NEOVERSE_N1, 3, 1), Errata::NONE);
        assert_eq!(of(CORTEX_A77, 1, 0), Errata::PAR_READ);
        assert_eq!(of(CORTEX_A77, 1, 1), Errata::NONE);
        assert_eq!(of(CORTEX_A55, 2, 1), Errata::REPEAT_TLBI);
    }

    #[test]
    fn other_makers_cores_have_none_of_them() {
        assert_eq!(Errata::of(CORTEX_A76 & 0x00ff_ffff | 0x5100_0000), Errata::NONE);
        assert_eq!(Errata::of(NEOVERSE_V1), Errata::NONE);
        assert_eq!(Errata::of(0), Errata::NONE);
    }

    #[test]
    fn a_set_is_found_in_the_bits_of_all_cpus() {
        let bits = of(CORTEX_A57, 1, 0).bits() | of(CORTEX_A53, 0, 0).bits();
        assert!(Errata::WRONG_STAGE.any_in(bits) && Errata::CLEAN.any_in(bits));
        assert!(!Errata::PAR_READ.any_in(bits));
    }
}
