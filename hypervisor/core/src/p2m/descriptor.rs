//! Stage-2 descriptors in the long (LPAE) format, the same for both ARM states.
//!
//! Arm ARM (ARMv7-A) B3.6 and (ARMv8-A) D5.3. The type of a mapping is kept in bits 58..55, which
//! the hardware leaves to software.

use xen_abi::Mfn;

use crate::machine::Access;

/// An entry that maps nothing.
pub const EMPTY: u64 = 0;

const VALID: u64 = 1 << 0;
/// At levels 1 and 2 a table, at level 3 a page; clear for a block.
const TABLE_OR_PAGE: u64 = 1 << 1;
const READ: u64 = 1 << 6;
const WRITE: u64 = 1 << 7;
const ACCESSED: u64 = 1 << 10;
const EXECUTE_NEVER: u64 = 1 << 54;
const OUTPUT: u64 = 0x0000_ffff_ffff_f000;
const KIND_SHIFT: u32 = 55;
const KIND_MASK: u64 = 0xf;

// MemAttr and SH, in place.
const MEM_WRITE_BACK: u64 = 0xf << 2;
const MEM_NON_CACHEABLE: u64 = 0x5 << 2;
const MEM_DEVICE: u64 = 0x1 << 2;
const OUTER_SHAREABLE: u64 = 2 << 8;
const INNER_SHAREABLE: u64 = 3 << 8;

/// The level whose entries map pages.
pub const LAST_LEVEL: u32 = 3;

/// log2 of the frames that an entry of `level` covers.
pub const fn order_of(level: u32) -> u32 {
    (LAST_LEVEL - level) * 9
}

/// What a frame is mapped as: memory attributes, rights, and who answers for the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum P2mType {
    /// The domain's RAM, or a page that the hypervisor lent it.
    RamRw = 1,
    /// The same for reading only.
    RamRo = 2,
    /// Device memory, strongly ordered whatever the guest asks for.
    MmioDevice = 3,
    /// Device memory that the guest may map as normal, non-cacheable.
    MmioNonCacheable = 4,
    /// Device memory where the guest's own attributes decide.
    MmioCacheable = 5,
    /// A frame of another domain; the mapping holds a reference.
    ForeignRw = 6,
    /// The same for reading only.
    ForeignRo = 7,
    /// A granted frame; the grant holds the reference.
    GrantRw = 8,
    /// The same for reading only.
    GrantRo = 9,
}

impl P2mType {
    const ALL: [Self; 9] = [
        Self::RamRw,
        Self::RamRo,
        Self::MmioDevice,
        Self::MmioNonCacheable,
        Self::MmioCacheable,
        Self::ForeignRw,
        Self::ForeignRo,
        Self::GrantRw,
        Self::GrantRo,
    ];

    /// Whether the guest, and the hypervisor in its name, may write.
    pub const fn is_writable(self) -> bool {
        !matches!(self, Self::RamRo | Self::ForeignRo | Self::GrantRo)
    }

    /// Memory of the domain itself.
    pub const fn is_ram(self) -> bool {
        matches!(self, Self::RamRw | Self::RamRo)
    }

    /// A mapping that holds a reference to another domain's frame.
    pub const fn is_foreign(self) -> bool {
        matches!(self, Self::ForeignRw | Self::ForeignRo)
    }

    /// A mapping of a grant.
    pub const fn is_grant(self) -> bool {
        matches!(self, Self::GrantRw | Self::GrantRo)
    }

    /// A frame of RAM, whoever owns it.
    pub const fn is_any_ram(self) -> bool {
        self.is_ram() || self.is_foreign() || self.is_grant()
    }

    /// What an entry of the kind has beside a frame.
    #[inline(always)]
    const fn bits(self) -> u64 {
        BITS[self as usize]
    }

    const fn attributes(self) -> u64 {
        let memory = match self {
            Self::MmioDevice => MEM_DEVICE | OUTER_SHAREABLE,
            Self::MmioNonCacheable => MEM_NON_CACHEABLE | OUTER_SHAREABLE,
            Self::MmioCacheable => MEM_WRITE_BACK | OUTER_SHAREABLE,
            _ => MEM_WRITE_BACK | INNER_SHAREABLE,
        };
        let write = if self.is_writable() { WRITE } else { 0 };
        let execute = if self.is_ram() { 0 } else { EXECUTE_NEVER };
        memory | READ | write | execute
    }
}

/// [`P2mType::bits`] of each kind.
const BITS: [u64; P2mType::ALL.len() + 1] = {
    let mut bits = [0; P2mType::ALL.len() + 1];
    let mut at = 0;
    while at < P2mType::ALL.len() {
        let kind = P2mType::ALL[at];
        bits[kind as usize] = (kind as u64) << KIND_SHIFT | kind.attributes() | ACCESSED | VALID;
        at += 1;
    }
    bits
};

/// A table entry, decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Nothing.
    Empty,
    /// The next level's table.
    Table(Mfn),
    /// A block or page that begins at this frame.
    Leaf(Mfn, P2mType),
}

/// Decodes an entry of `level`. Entries are only ever written here, so what does not decode would
/// be our own mistake; it counts as empty.
pub fn decode(value: u64, level: u32) -> Entry {
    if value & VALID == 0 {
        return Entry::Empty;
    }
    let mfn = Mfn::containing(value & OUTPUT);
    if level < LAST_LEVEL && value & TABLE_OR_PAGE != 0 {
        return Entry::Table(mfn);
    }
    let kind = (value >> KIND_SHIFT & KIND_MASK) as usize;
    let kind = kind.checked_sub(1).and_then(|index| P2mType::ALL.get(index));
    kind.map_or(Entry::Empty, |kind| Entry::Leaf(mfn, *kind))
}

/// An entry that points to the next level's table.
pub fn table(mfn: Mfn) -> u64 {
    (mfn.0 << 12) & OUTPUT | TABLE_OR_PAGE | VALID
}

/// The table that an entry above the last level points to.
#[inline(always)]
pub fn table_at(value: u64) -> Option<Mfn> {
    let points = value & (VALID | TABLE_OR_PAGE) == VALID | TABLE_OR_PAGE;
    points.then(|| Mfn::containing(value & OUTPUT))
}

/// The first frame of an entry that maps the domain's own RAM and allows the access.
#[inline(always)]
pub fn own_ram(value: u64, access: Access) -> Option<Mfn> {
    const RW: u64 = P2mType::RamRw as u64;
    const RO: u64 = P2mType::RamRo as u64;
    // Neither what is empty nor a table has a kind.
    let kind = value >> KIND_SHIFT & KIND_MASK;
    let allowed = kind == RW || kind == RO && access == Access::Read;
    allowed.then(|| Mfn::containing(value & OUTPUT))
}

/// Whether an entry of the last level maps a grant of that frame.
#[inline(always)]
pub fn is_grant_of(value: u64, mfn: Mfn) -> bool {
    const READ_ONLY: u64 = page(Mfn(0), P2mType::GrantRw) ^ page(Mfn(0), P2mType::GrantRo);
    let difference = accessed(value) ^ page(mfn, P2mType::GrantRw);
    difference == 0 || difference == READ_ONLY
}

/// An entry of `level` that maps what begins at `mfn`.
pub fn leaf(mfn: Mfn, kind: P2mType, level: u32) -> u64 {
    let page = if level == LAST_LEVEL { TABLE_OR_PAGE } else { 0 };
    (mfn.0 << 12) & OUTPUT | kind.bits() | page
}

/// An entry of the last level.
#[inline(always)]
pub const fn page(mfn: Mfn, kind: P2mType) -> u64 {
    (mfn.0 << 12) & OUTPUT | kind.bits() | TABLE_OR_PAGE
}

/// The entry, made to fault at the next access, which [`accessed`] ends.
pub fn unaccessed(value: u64) -> u64 {
    value & !ACCESSED
}

/// The entry of a mapping that has been accessed.
pub const fn accessed(value: u64) -> u64 {
    value | ACCESSED
}

/// Whether the mapping has been accessed since [`unaccessed`].
pub fn is_accessed(value: u64) -> bool {
    value & ACCESSED != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_decode_to_what_they_were_made_of() {
        for kind in P2mType::ALL {
            for level in 1..=3 {
                let mfn = Mfn(0xabc_d000_0000 >> 12 & !0x3ffff);
                assert_eq!(decode(leaf(mfn, kind, level), level), Entry::Leaf(mfn, kind));
                let untouched = unaccessed(leaf(mfn, kind, level));
                assert_eq!(decode(untouched, level), Entry::Leaf(mfn, kind));
                assert!(!is_accessed(untouched) && is_accessed(accessed(untouched)));
            }
        }
        assert_eq!(decode(table(Mfn(0x4_1234)), 2), Entry::Table(Mfn(0x4_1234)));
        assert_eq!(decode(0, 1), Entry::Empty);
    }

    #[test]
    fn pages_have_the_bits_that_the_architecture_wants() {
        // Normal write-back, inner shareable, read-write, executable, accessed page.
        let ram = leaf(Mfn(0x40000), P2mType::RamRw, 3);
        assert_eq!(ram & 0x0040_ffff_ffff_ffff, 0x4000_07ff);
        // Device, read-write, never executed, as a 2 MiB block.
        let mmio = leaf(Mfn(0x9000), P2mType::MmioDevice, 2);
        assert_eq!(mmio & 0x0040_ffff_ffff_ffff, 0x0040_0000_0900_06c5);
        // A read-only grant may be neither written nor executed.
        let grant = leaf(Mfn(1), P2mType::GrantRo, 3);
        assert_eq!(grant & (EXECUTE_NEVER | WRITE | READ), EXECUTE_NEVER | READ);
    }

    #[test]
    fn any_bits_at_all_decode() {
        let mut value = 0x9e37_79b9_7f4a_7c15u64;
        for _ in 0..10_000 {
            value = value.wrapping_mul(0xd134_2543_de82_ef95).wrapping_add(1);
            let _ = decode(value, 1 + (value >> 60) as u32 % 3);
        }
    }
}
