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
        let mut nodes: Vec<(u32, Node<'a>)> = Vec::new();
        for node in tree.nodes() {
            if let Some(phandle) = node.phandle() {
                // Trees are mostly written in the order of phandles.
                let at = nodes.partition_point(|(known, _)| *known <= phandle);
                nodes.insert(at, (phandle, node));
            }
        }
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
        let extended = self.property("interrupts-extended");
        let Some(property) = extended.or_else(|| self.property("interrupts")) else { return Ok(Vec::new()) };
        let mut cells = Cells::of(&property)?;
        // Each names its own parent, or they have one in common.
        let common = if extended.is_some() { None } else { Some(self.interrupt_parent(phandles)?) };
        let unit = self.property("reg").map(|reg| reg.value.as_chunks().0).unwrap_or_default();
        let unit = Cells(unit.get(..MAX_CELLS).unwrap_or(unit));
        let mut found = Vec::new();
        while !cells.is_empty() {
            let parent = match common {
                Some(parent) => parent,
                None => phandles.get(cells.next()?)?,
            };
            let specifier = cells.take(interrupt_cells(&parent)?)?;
            found.push(follow(parent, unit, specifier, phandles)?);
        }
        Ok(found)
    }

    /// Where all interrupts arrive that this node, a nexus, passes on: the targets of its `interrupt-map`.
    pub fn interrupt_map_targets(&self, phandles: &Phandles<'a>) -> Result<Vec<Interrupt<'a>>, Error> {
        let Some(mut map) = Map::of(self)? else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        while let Some(entry) = map.next(phandles)? {
            found.push(follow(entry.parent, entry.parent_unit, entry.parent_specifier, phandles)?);
        }
        Ok(found)
    }
}

/// Goes from nexus to nexus until there is a controller.
fn follow<'a>(
    mut parent: Node<'a>,
    mut unit: Cells<'a>,
    mut specifier: Cells<'a>,
    phandles: &Phandles<'a>,
) -> Result<Interrupt<'a>, Error> {
    for _ in 0..MAX_STEPS {
        if parent.has("interrupt-controller") {
            let cells = (0..specifier.0.len()).map(|at| specifier.cell(at)).collect();
            return Ok(Interrupt { controller: parent, cells });
        }
        let mut map = Map::of(&parent)?.ok_or(Error::NoInterruptParent)?;
        let entry = loop {
            let entry = map.next(phandles)?.ok_or(Error::NoInterruptParent)?;
            if map.matches(&entry, unit, specifier) {
                break entry;
            }
        };
        (parent, unit, specifier) = (entry.parent, entry.parent_unit, entry.parent_specifier);
    }
    Err(Error::NoInterruptParent)
}

/// What is left of an `interrupt-map`, and its mask.
struct Map<'a> {
    cells: Cells<'a>,
    unit_cells: usize,
    interrupt_cells: usize,
    mask: Option<Property<'a>>,
}

struct Entry<'a> {
    child: Cells<'a>,
    parent: Node<'a>,
    parent_unit: Cells<'a>,
    parent_specifier: Cells<'a>,
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

    fn next(&mut self, phandles: &Phandles<'a>) -> Result<Option<Entry<'a>>, Error> {
        let cells = &mut self.cells;
        if cells.is_empty() {
            return Ok(None);
        }
        let child = cells.take(self.unit_cells + self.interrupt_cells)?;
        let parent = phandles.get(cells.next()?)?;
        let parent_unit = cells.take(bounded(parent.u32("#address-cells").unwrap_or(0))?)?;
        let parent_specifier = cells.take(interrupt_cells(&parent)?)?;
        Ok(Some(Entry { child, parent, parent_unit, parent_specifier }))
    }

    /// Compares unit address and interrupt where the mask has ones; without a mask, everywhere.
    fn matches(&self, entry: &Entry<'_>, unit: Cells<'_>, specifier: Cells<'_>) -> bool {
        let mask = self.mask.map(|mask| Cells(mask.value.as_chunks().0));
        specifier.0.len() == self.interrupt_cells
            && (0..entry.child.0.len()).all(|at| {
                let asked = match at.checked_sub(self.unit_cells) {
                    None => unit.cell(at),
                    Some(at) => specifier.cell(at),
                };
                let counts = mask.map_or(u32::MAX, |mask| mask.cell(at));
                asked & counts == entry.child.cell(at) & counts
            })
    }
}

fn interrupt_cells(node: &Node<'_>) -> Result<usize, Error> {
    let cells = bounded(node.u32("#interrupt-cells").ok_or(Error::NoInterruptParent)?)?;
    if cells == 0 { Err(Error::Cells) } else { Ok(cells) }
}

fn bounded(cells: u32) -> Result<usize, Error> {
    usize::try_from(cells).ok().filter(|cells| *cells <= MAX_CELLS).ok_or(Error::Cells)
}

/// Cells of a value, taken from the front.
#[derive(Clone, Copy)]
struct Cells<'a>(&'a [[u8; 4]]);

impl<'a> Cells<'a> {
    fn of(property: &Property<'a>) -> Result<Self, Error> {
        match property.value.as_chunks() {
            (cells, []) => Ok(Self(cells)),
            _ => Err(Error::BadValue),
        }
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A cell; those beyond the last are 0.
    fn cell(&self, at: usize) -> u32 {
        self.0.get(at).map_or(0, |cell| u32::from_be_bytes(*cell))
    }

    fn next(&mut self) -> Result<u32, Error> {
        self.take(1).map(|cells| cells.cell(0))
    }

    fn take(&mut self, count: usize) -> Result<Self, Error> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Error::BadValue)?;
        self.0 = rest;
        Ok(Self(taken))
    }
}
