//! Interrupts: from a device through nexus nodes to the controller.

use alloc::vec::Vec;

use crate::node::Node;
use crate::property::Property;
use crate::tree::{Error, Tree};

/// How many steps the way to a controller may have.
const MAX_STEPS: usize = 32;
/// How many cells an interrupt or a unit address may have.
const MAX_CELLS: usize = 8;

/// The nodes that have a phandle.
#[derive(Clone, Debug)]
pub struct Phandles<'a> {
    nodes: Vec<(u32, Node<'a>)>,
}

impl<'a> Phandles<'a> {
    /// Collects them in one walk.
    pub fn of(tree: &Tree<'a>) -> Self {
        let mut nodes: Vec<_> = tree.nodes().filter_map(|node| Some((node.phandle()?, node))).collect();
        nodes.sort_by_key(|(phandle, _)| *phandle);
        Self { nodes }
    }

    /// Finds the node of a phandle.
    pub fn get(&self, phandle: u32) -> Result<Node<'a>, Error> {
        let index = self.nodes.binary_search_by_key(&phandle, |(known, _)| *known);
        index.map(|index| self.nodes[index].1).map_err(|_| Error::NoSuchPhandle(phandle))
    }

    /// The largest phandle in use.
    pub fn max(&self) -> u32 {
        self.nodes.last().map_or(0, |(phandle, _)| *phandle)
    }
}

/// An interrupt at its controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interrupt<'a> {
    /// The controller.
    pub controller: Node<'a>,
    /// What it is called there: `#interrupt-cells` cells; see [`crate::gic`].
    pub cells: Vec<u32>,
}

impl<'a> Node<'a> {
    /// The controller or nexus that its `interrupts` go to: the nearest node up the interrupt parents, or up
    /// the tree, that says how many cells it counts in.
    pub fn interrupt_parent(&self, phandles: &Phandles<'a>) -> Result<Node<'a>, Error> {
        let mut node = *self;
        for _ in 0..MAX_STEPS {
            node = match node.u32("interrupt-parent") {
                Some(phandle) => phandles.get(phandle)?,
                None => node.parent().ok_or(Error::NoInterruptParent)?,
            };
            if node.has("#interrupt-cells") {
                return Ok(node);
            }
        }
        Err(Error::NoInterruptParent)
    }

    /// Its interrupts, each at the controller where it arrives.
    pub fn interrupts(&self, phandles: &Phandles<'a>) -> Result<Vec<Interrupt<'a>>, Error> {
        let mut found = Vec::new();
        if let Some(extended) = self.property("interrupts-extended") {
            let mut cells = Cells::of(&extended)?;
            while let Some(phandle) = cells.next() {
                let parent = phandles.get(phandle)?;
                let specifier = cells.take(interrupt_cells(&parent)?)?;
                found.push(self.resolve(parent, specifier, phandles)?);
            }
        } else if let Some(interrupts) = self.property("interrupts") {
            let mut cells = Cells::of(&interrupts)?;
            let parent = self.interrupt_parent(phandles)?;
            let count = interrupt_cells(&parent)?;
            while !cells.is_empty() {
                found.push(self.resolve(parent, cells.take(count)?, phandles)?);
            }
        }
        Ok(found)
    }

    /// Where all interrupts arrive that this node, a nexus, passes on: the targets of its `interrupt-map`.
    pub fn interrupt_map_targets(&self, phandles: &Phandles<'a>) -> Result<Vec<Interrupt<'a>>, Error> {
        let Some(map) = Map::of(self)? else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        for entry in map.entries(phandles)? {
            found.push(follow(entry.parent, entry.parent_unit, entry.parent_specifier, phandles)?);
        }
        Ok(found)
    }

    fn resolve(
        &self,
        parent: Node<'a>,
        specifier: Vec<u32>,
        phandles: &Phandles<'a>,
    ) -> Result<Interrupt<'a>, Error> {
        let unit = self.property("reg").map(|reg| reg.cells().take(MAX_CELLS).collect()).unwrap_or_default();
        follow(parent, unit, specifier, phandles)
    }
}

/// Goes from nexus to nexus until there is a controller.
fn follow<'a>(
    mut parent: Node<'a>,
    mut unit: Vec<u32>,
    mut specifier: Vec<u32>,
    phandles: &Phandles<'a>,
) -> Result<Interrupt<'a>, Error> {
    for _ in 0..MAX_STEPS {
        if parent.has("interrupt-controller") {
            return Ok(Interrupt { controller: parent, cells: specifier });
        }
        let map = Map::of(&parent)?.ok_or(Error::NoInterruptParent)?;
        let entries = map.entries(phandles)?;
        let entry = entries
            .into_iter()
            .find(|entry| map.matches(entry, &unit, &specifier))
            .ok_or(Error::NoInterruptParent)?;
        (parent, unit, specifier) = (entry.parent, entry.parent_unit, entry.parent_specifier);
    }
    Err(Error::NoInterruptParent)
}

/// An `interrupt-map` and its mask.
struct Map<'a> {
    cells: Cells,
    unit_cells: usize,
    interrupt_cells: usize,
    mask: Option<Property<'a>>,
}

struct Entry<'a> {
    child: Vec<u32>,
    parent: Node<'a>,
    parent_unit: Vec<u32>,
    parent_specifier: Vec<u32>,
}

impl<'a> Map<'a> {
    fn of(node: &Node<'a>) -> Result<Option<Self>, Error> {
        let Some(map) = node.property("interrupt-map") else { return Ok(None) };
        Ok(Some(Self {
            cells: Cells::of(&map)?,
            unit_cells: bounded(node.address_cells())?,
            interrupt_cells: interrupt_cells(node)?,
            mask: node.property("interrupt-map-mask"),
        }))
    }

    fn entries(&self, phandles: &Phandles<'a>) -> Result<Vec<Entry<'a>>, Error> {
        let mut cells = self.cells.clone();
        let mut entries = Vec::new();
        while !cells.is_empty() {
            let child = cells.take(self.unit_cells + self.interrupt_cells)?;
            let parent = phandles.get(cells.next().ok_or(Error::BadValue)?)?;
            let parent_unit = cells.take(bounded(parent.u32("#address-cells").unwrap_or(0))?)?;
            let parent_specifier = cells.take(interrupt_cells(&parent)?)?;
            entries.push(Entry { child, parent, parent_unit, parent_specifier });
        }
        Ok(entries)
    }

    /// Compares unit address and interrupt where the mask has ones; without a mask, everywhere.
    fn matches(&self, entry: &Entry<'_>, unit: &[u32], specifier: &[u32]) -> bool {
        let unit = unit.iter().copied().chain(core::iter::repeat(0)).take(self.unit_cells);
        let asked = unit.chain(specifier.iter().copied());
        let mask = self
            .mask
            .iter()
            .flat_map(Property::cells)
            .chain(core::iter::repeat(if self.mask.is_some() { 0 } else { u32::MAX }));
        specifier.len() == self.interrupt_cells
            && asked.zip(&entry.child).zip(mask).all(|((asked, known), mask)| asked & mask == known & mask)
    }
}

fn interrupt_cells(node: &Node<'_>) -> Result<usize, Error> {
    let cells = bounded(node.u32("#interrupt-cells").ok_or(Error::NoInterruptParent)?)?;
    if cells == 0 { Err(Error::Cells) } else { Ok(cells) }
}

fn bounded(cells: u32) -> Result<usize, Error> {
    usize::try_from(cells).ok().filter(|cells| *cells <= MAX_CELLS).ok_or(Error::Cells)
}

/// The cells of a value, taken from the front.
#[derive(Clone)]
struct Cells {
    rest: alloc::collections::VecDeque<u32>,
}

impl Cells {
    fn of(property: &Property<'_>) -> Result<Self, Error> {
        if !property.value.len().is_multiple_of(4) {
            return Err(Error::BadValue);
        }
        Ok(Self { rest: property.cells().collect() })
    }

    fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    fn next(&mut self) -> Option<u32> {
        self.rest.pop_front()
    }

    fn take(&mut self, count: usize) -> Result<Vec<u32>, Error> {
        if self.rest.len() < count { Err(Error::BadValue) } else { Ok(self.rest.drain(..count).collect()) }
    }
}
