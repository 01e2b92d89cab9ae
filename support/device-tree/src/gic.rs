//! Interrupts of a GIC as the tree writes them: three cells (kind, number, flags), and more that do not
//! matter here.

/// What makes an interrupt pending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// A change.
    Edge,
    /// A state.
    Level,
}

/// Level low, for all CPUs of a GICv2: the flags with which PPIs are usually written.
pub const PPI_LEVEL_LOW: u32 = 0xf08;

/// First private interrupt of a CPU.
pub const PPI_BASE: u32 = 16;
/// First interrupt that all CPUs share.
pub const SPI_BASE: u32 = 32;
/// Interrupts from this one on are special.
pub const SPI_END: u32 = 1020;

/// Decodes an interrupt's number and trigger; `None` when it is not a PPI or SPI that there can be.
pub fn decode(cells: &[u32]) -> Option<(u32, Trigger)> {
    let &[kind, number, flags, ..] = cells else { return None };
    let (base, end) = match kind {
        0 => (SPI_BASE, SPI_END),
        1 => (PPI_BASE, SPI_BASE),
        _ => return None,
    };
    let intid = base.checked_add(number).filter(|intid| *intid < end)?;
    let trigger = if flags & 0b0011 != 0 { Trigger::Edge } else { Trigger::Level };
    Some((intid, trigger))
}

/// Encodes a PPI, by its interrupt id, that is active low and level.
pub const fn ppi(intid: u32) -> [u32; 3] {
    [1, intid.wrapping_sub(PPI_BASE), PPI_LEVEL_LOW]
}

/// Encodes an SPI, by its interrupt id.
pub const fn spi(intid: u32, flags: u32) -> [u32; 3] {
    [0, intid.wrapping_sub(SPI_BASE), flags]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interrupt_ids_follow_the_kind() {
        assert_eq!(decode(&[0, 16, 1]), Some((48, Trigger::Edge)));
        assert_eq!(decode(&[1, 11, PPI_LEVEL_LOW]), Some((27, Trigger::Level)));
        assert_eq!(decode(&ppi(31)), Some((31, Trigger::Level)));
        assert_eq!(decode(&spi(33, 4)), Some((33, Trigger::Level)));
    }

    #[test]
    fn numbers_beyond_the_gic_are_refused() {
        assert_eq!(decode(&[0, 988, 4]), None);
        assert_eq!(decode(&[1, 16, 4]), None);
        assert_eq!(decode(&[0, u32::MAX, 4]), None);
        assert_eq!(decode(&[2, 0, 4]), None);
        assert_eq!(decode(&[0, 1]), None);
    }
}
