//! Addresses: `reg`, `ranges`, and the way from a device's bus to the CPU.

use crate::node::Node;
use crate::tree::Error;

/// A range of addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Region {
    /// The first.
    pub base: u64,
    /// How many.
    pub size: u64,
}

impl Region {
    /// The address after the last; `None` when that does not fit 64 bits.
    pub const fn end(&self) -> Option<u64> {
        self.base.checked_add(self.size)
    }

    /// Says whether two regions have an address in common.
    pub const fn overlaps(&self, other: &Self) -> bool {
        let (low, high) = if self.base <= other.base { (self, other) } else { (other, self) };
        high.base - low.base < low.size && high.size > 0
    }
}

/// One entry of a bus's `ranges`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// What precedes the child's address when it has three cells: for PCI the space it is in.
    pub space: u32,
    /// Address on the bus.
    pub child: u64,
    /// Address above the bus.
    pub parent: u64,
    /// How many.
    pub size: u64,
}

impl<'a> Node<'a> {
    /// Cells of an address of its children; two if it does not say.
    pub fn address_cells(&self) -> u32 {
        self.u32("#address-cells").unwrap_or(2)
    }

    /// Cells of a size of its children; one if it does not say.
    pub fn size_cells(&self) -> u32 {
        self.u32("#size-cells").unwrap_or(1)
    }

    /// The regions of its `reg`, as addresses on the bus it is on; none without the property.
    pub fn reg(&self) -> Result<Reg<'a>, Error> {
        let Some(reg) = self.property("reg") else { return Ok(Reg::default()) };
        let parent = self.parent().ok_or(Error::Cells)?;
        Reg::new(reg.value, parent.address_cells(), parent.size_cells())
    }

    /// The entries of its `ranges`; none without the property, nor when it is empty (see
    /// [`Node::translate`]).
    pub fn ranges(&self) -> Result<Ranges<'a>, Error> {
        let Some(ranges) = self.property("ranges") else { return Ok(Ranges::default()) };
        let parent = self.parent().ok_or(Error::Cells)?;
        Ranges::new(ranges.value, self.address_cells(), parent.address_cells(), self.size_cells())
    }

    /// Translates a region on the bus that this node is, for its children, to the CPU's addresses. `None`
    /// when the bus is not one that the CPU sees through, or has no range for all of the region.
    pub fn translate(&self, mut region: Region) -> Option<Region> {
        let mut bus = *self;
        while let Some(above) = bus.parent() {
            if !bus.property("ranges")?.value.is_empty() {
                region = bus.ranges().ok()?.find_map(|range| range.translate(region))?;
            }
            bus = above;
        }
        region.end().map(|_| region)
    }

    /// The regions of its `reg` as the CPU's addresses; those that the CPU does not see are left out.
    pub fn regions(&self) -> Result<impl Iterator<Item = Region> + use<'a>, Error> {
        let bus = self.parent();
        Ok(self.reg()?.filter_map(move |region| bus?.translate(region)))
    }
}

impl Range {
    fn translate(&self, region: Region) -> Option<Region> {
        let offset = region.base.checked_sub(self.child)?;
        let fits = offset.checked_add(region.size)? <= self.size && (region.size > 0 || offset < self.size);
        fits.then_some(Region { base: self.parent.checked_add(offset)?, size: region.size })
    }
}

/// The regions of a `reg`.
#[derive(Clone, Debug, Default)]
pub struct Reg<'a> {
    rest: &'a [u8],
    address_cells: usize,
    size_cells: usize,
}

impl<'a> Reg<'a> {
    /// Splits a value into regions of so many cells.
    pub fn new(value: &'a [u8], address_cells: u32, size_cells: u32) -> Result<Self, Error> {
        if !(1..=2).contains(&address_cells) || size_cells > 2 {
            return Err(Error::Cells);
        }
        let (address_cells, size_cells) = (address_cells as usize, size_cells as usize);
        if !value.len().is_multiple_of((address_cells + size_cells) * 4) {
            return Err(Error::BadValue);
        }
        Ok(Self { rest: value, address_cells, size_cells })
    }
}

impl Iterator for Reg<'_> {
    type Item = Region;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let base = take(&mut self.rest, self.address_cells)?;
        let size = take(&mut self.rest, self.size_cells)?;
        Some(Region { base, size })
    }
}

/// The entries of a `ranges`.
#[derive(Clone, Debug, Default)]
pub struct Ranges<'a> {
    rest: &'a [u8],
    child_cells: usize,
    parent_cells: usize,
    size_cells: usize,
}

impl<'a> Ranges<'a> {
    fn new(value: &'a [u8], child: u32, parent: u32, size: u32) -> Result<Self, Error> {
        if !(1..=3).contains(&child) || !(1..=2).contains(&parent) || !(1..=2).contains(&size) {
            return if value.is_empty() { Ok(Self::default()) } else { Err(Error::Cells) };
        }
        let (child_cells, parent_cells, size_cells) = (child as usize, parent as usize, size as usize);
        if !value.len().is_multiple_of((child_cells + parent_cells + size_cells) * 4) {
            return Err(Error::BadValue);
        }
        Ok(Self { rest: value, child_cells, parent_cells, size_cells })
    }
}

impl Iterator for Ranges<'_> {
    type Item = Range;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let space_cells = self.child_cells.saturating_sub(2);
        let space = take(&mut self.rest, space_cells)? as u32;
        let child = take(&mut self.rest, self.child_cells - space_cells)?;
        let parent = take(&mut self.rest, self.parent_cells)?;
        let size = take(&mut self.rest, self.size_cells)?;
        Some(Range { space, child, parent, size })
    }
}

/// Takes a number of zero, one or two cells off the front.
pub fn take(bytes: &mut &[u8], cells: usize) -> Option<u64> {
    let (number, rest) = bytes.split_at_checked(cells * 4)?;
    *bytes = rest;
    Some(number.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)))
}
