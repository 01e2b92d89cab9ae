//! Where RAM is, and which of it is taken.

use core::{iter, ops::Range};

use device_tree::{Node, Reg, Region, Tree};
use heapless::Vec;

use super::{Error, chosen::Chosen, shared::Shared};

/// The most ranges that are told apart.
pub const MAX_RANGES: usize = 32;

/// Disjoint ranges of physical addresses, in ascending order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranges(Vec<Range<u64>, MAX_RANGES>);

impl Ranges {
    /// All RAM that the tree lists.
    pub fn of_ram<'a>(tree: &Tree<'a>) -> Result<Self, Error<'a>> {
        let mut ranges = Self::default();
        for node in tree.root().children().filter(is_memory) {
            for region in regions(&node)? {
                ranges.add(range(region))?;
            }
        }
        if ranges.0.is_empty() { Err(Error::Missing("memory")) } else { Ok(ranges) }
    }

    /// Adds a range; where it overlaps or touches others they become one.
    pub fn add<'a>(&mut self, mut range: Range<u64>) -> Result<(), Error<'a>> {
        if range.is_empty() {
            return Ok(());
        }
        self.0.retain(|other| {
            let apart = other.end < range.start || range.end < other.start;
            if !apart {
                range = range.start.min(other.start)..range.end.max(other.end);
            }
            apart
        });
        let at = self.0.partition_point(|other| other.start < range.start);
        self.0.insert(at, range).map_err(|_| Error::TooManyRanges)
    }

    /// Takes a range out.
    pub fn remove<'a>(&mut self, hole: Range<u64>) -> Result<(), Error<'a>> {
        if hole.is_empty() {
            return Ok(());
        }
        let mut rest = Vec::new();
        for range in &self.0 {
            let below = range.start..range.end.min(hole.start);
            let above = range.start.max(hole.end)..range.end;
            for part in [below, above].into_iter().filter(|part| !part.is_empty()) {
                rest.push(part).map_err(|_| Error::TooManyRanges)?;
            }
        }
        self.0 = rest;
        Ok(())
    }

    /// Keeps what is in `others` as well.
    pub fn keep<'a>(&mut self, others: &Self) -> Result<(), Error<'a>> {
        let mut kept = Self::default();
        for own in &self.0 {
            for other in &others.0 {
                kept.add(own.start.max(other.start)..own.end.min(other.end))?;
            }
        }
        *self = kept;
        Ok(())
    }

    /// Takes out what only partly fills a page of `size` bytes, a power of two.
    pub fn keep_whole_pages(&mut self, size: u64) {
        for range in &mut self.0 {
            let start = range.start.checked_next_multiple_of(size).unwrap_or(range.end);
            *range = start..(range.end & !(size - 1)).max(start);
        }
        self.0.retain(|range| !range.is_empty());
    }

    /// Whether all of a range is in one of them.
    pub fn contains(&self, range: &Range<u64>) -> bool {
        self.0.iter().any(|own| own.start <= range.start && range.end <= own.end)
    }

    /// The ranges.
    pub fn as_slice(&self) -> &[Range<u64>] {
        &self.0
    }

    /// How many addresses are in them.
    pub fn total(&self) -> u64 {
        self.0.iter().map(|range| range.end - range.start).sum()
    }
}

fn is_memory(node: &Node<'_>) -> bool {
    let is = match node.str("device_type") {
        Some(kind) => kind == "memory",
        None => node.base_name() == "memory",
    };
    is && node.is_available()
}

fn regions<'a>(node: &Node<'a>) -> Result<impl Iterator<Item = Region> + use<'a>, Error<'a>> {
    node.regions().map_err(|error| Error::Tree(node.at(), error))
}

fn range(region: Region) -> Range<u64> {
    region.base..region.base.saturating_add(region.size)
}

/// Calls `f` with each range that firmware keeps for itself: the children of `/reserved-memory` that
/// have an address.
pub fn reserved<'a>(
    tree: &Tree<'a>,
    mut f: impl FnMut(Range<u64>) -> Result<(), Error<'a>>,
) -> Result<(), Error<'a>> {
    let Some(node) = tree.root().child("reserved-memory") else { return Ok(()) };
    for child in node.children().filter(Node::is_available) {
        for region in regions(&child)? {
            f(range(region))?;
        }
    }
    Ok(())
}

/// What a node of a guest sets aside for it, in cells as the nearest node above says.
pub const STATIC: &str = "xen,static-mem";

/// The memory that is set aside for the guest of a node; none without the property.
pub fn set_aside<'a>(node: &Node<'a>) -> Result<Reg<'a>, Error<'a>> {
    let Some(property) = node.property(STATIC) else { return Ok(Reg::default()) };
    let (address, size) = cells(node);
    Reg::new(property.value, address, size).map_err(|_| Error::Property(node.at(), STATIC))
}

/// What `/chosen` says all memory comes from but what is set aside, in cells as the node above says.
const HEAP: &str = "xen,static-heap";
/// What each piece of it begins and ends at a multiple of.
const HEAP_ALIGN: u64 = 64 << 10;

/// The memory that all but what is set aside comes from; none without the property, when it may come from anywhere.
pub fn heap<'a>(chosen: &Chosen<'a>) -> Result<Option<Ranges>, Error<'a>> {
    let named = chosen.node().and_then(|node| Some((node, node.property(HEAP)?)));
    let Some((node, property)) = named else { return Ok(None) };
    let bad = Error::Property(node.at(), HEAP);
    let (address, size) = cells(&node);
    let mut ranges = Ranges::default();
    for region in Reg::new(property.value, address, size).map_err(|_| bad)? {
        if !(region.base | region.size).is_multiple_of(HEAP_ALIGN) || region.end().is_none() {
            return Err(bad);
        }
        ranges.add(range(region))?;
    }
    if ranges.0.is_empty() { Err(bad) } else { Ok(Some(ranges)) }
}

/// How many cells there are to an address and a size, as the nearest node above says.
pub(super) fn cells(node: &Node<'_>) -> (u32, u32) {
    let cells = |name| iter::successors(node.parent(), Node::parent).find_map(|node| node.u32(name));
    (cells("#address-cells").unwrap_or(2), cells("#size-cells").unwrap_or(1))
}

/// Calls `f` with each range that is set aside for a guest, or for several. A guest whose node makes no sense is left
/// out later.
pub fn all_set_aside<'a>(
    chosen: &Chosen<'a>,
    mut f: impl FnMut(Range<u64>) -> Result<(), Error<'a>>,
) -> Result<(), Error<'a>> {
    for node in chosen.domains() {
        for region in set_aside(&node).unwrap_or_default() {
            f(range(region))?;
        }
    }
    let mut done = Ok(());
    Shared::all(chosen, &mut |shared| {
        done = f(range(shared.host));
        done.is_ok()
    });
    done
}

/// Calls `f` with each range that a boot module lies in.
pub fn modules<'a>(
    chosen: &Chosen<'a>,
    mut f: impl FnMut(Range<u64>) -> Result<(), Error<'a>>,
) -> Result<(), Error<'a>> {
    for module in chosen.all_modules() {
        f(range(module?.region))?;
    }
    Ok(())
}
