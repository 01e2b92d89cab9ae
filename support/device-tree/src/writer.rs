//! Makes a blob. Names are taken as they are.

use alloc::vec::Vec;
use core::ops::Range;

use crate::address::Region;
use crate::node::Node;
use crate::property::Property;
use crate::tree::MAGIC;

const HEADER_SIZE: usize = 40;

/// A blob in the making: nodes are begun and ended, and properties belong to the node begun last.
///
/// All properties of a node must come before its children. Nothing is checked but by [`crate::Tree::parse`]
/// of the result.
#[derive(Clone, Debug)]
pub struct Writer {
    reservations: Vec<u8>,
    boot_cpu: u32,
    structure: Vec<u8>,
    strings: Vec<u8>,
    /// Where each name is among the strings, in the order of the names.
    names: Vec<Range<usize>>,
}

impl Writer {
    /// Begins a tree.
    pub fn new(reservations: impl IntoIterator<Item = Region>, boot_cpu: u32) -> Self {
        let mut regions: Vec<_> = reservations.into_iter().collect();
        regions.push(Region::default());
        let (structure, strings, names) = (Vec::new(), Vec::new(), Vec::new());
        Self { reservations: encoded(&regions), boot_cpu, structure, strings, names }
    }

    /// Begins a node; the first one, the root, has an empty name.
    pub fn begin_node(&mut self, name: &str) -> &mut Self {
        self.cell(1);
        self.structure.extend_from_slice(name.as_bytes());
        self.structure.push(0);
        self.align()
    }

    /// Ends the node.
    pub fn end_node(&mut self) -> &mut Self {
        self.cell(2)
    }

    /// Gives the node a property.
    pub fn property(&mut self, name: &str, value: &[u8]) -> &mut Self {
        let header = [3, value.len() as u32, self.intern(name)].map(u32::to_be_bytes);
        self.structure.extend_from_slice(header.as_flattened());
        self.structure.extend_from_slice(value);
        self.align()
    }

    /// Gives the node a property of cells.
    pub fn cells(&mut self, name: &str, cells: &[u32]) -> &mut Self {
        self.property(name, &encoded_cells(cells))
    }

    /// Gives the node a property of one cell.
    pub fn u32(&mut self, name: &str, value: u32) -> &mut Self {
        self.property(name, &value.to_be_bytes())
    }

    /// Gives the node a property of two cells.
    pub fn u64(&mut self, name: &str, value: u64) -> &mut Self {
        self.property(name, &value.to_be_bytes())
    }

    /// Gives the node a property of regions, with two cells for each address and size.
    pub fn regions(&mut self, name: &str, regions: &[Region]) -> &mut Self {
        self.property(name, &encoded(regions))
    }

    /// Gives the node a property of a string.
    pub fn str(&mut self, name: &str, value: &str) -> &mut Self {
        self.strs(name, &[value])
    }

    /// Gives the node a property of strings.
    pub fn strs(&mut self, name: &str, values: &[&str]) -> &mut Self {
        let mut value = Vec::new();
        for text in values {
            value.extend_from_slice(text.as_bytes());
            value.push(0);
        }
        self.property(name, &value)
    }

    /// Copies a property.
    pub fn copy(&mut self, property: &Property<'_>) -> &mut Self {
        self.property(property.name, property.value)
    }

    /// Copies a node with all below it.
    pub fn copy_node(&mut self, node: &Node<'_>) -> &mut Self {
        self.begin_node(node.name());
        for property in node.properties() {
            self.copy(&property);
        }
        for child in node.children() {
            self.copy_node(&child);
        }
        self.end_node()
    }

    /// Ends the tree and returns the blob.
    pub fn finish(mut self) -> Vec<u8> {
        self.cell(9);
        let reservations = HEADER_SIZE;
        let structure = reservations + self.reservations.len();
        let strings = structure + self.structure.len();
        let total = (strings + self.strings.len()).next_multiple_of(8);
        let fields = [
            MAGIC,
            total as u32,
            structure as u32,
            strings as u32,
            reservations as u32,
            17,
            16,
            self.boot_cpu,
            self.strings.len() as u32,
            self.structure.len() as u32,
        ];
        let mut blob = encoded_cells(&fields);
        for block in [self.reservations, self.structure, self.strings] {
            blob.extend_from_slice(&block);
        }
        blob.resize(total, 0);
        blob
    }

    fn cell(&mut self, cell: u32) -> &mut Self {
        self.structure.extend_from_slice(&cell.to_be_bytes());
        self
    }

    fn align(&mut self) -> &mut Self {
        self.structure.resize(self.structure.len().next_multiple_of(4), 0);
        self
    }

    /// Finds or makes the place of a name among the strings.
    fn intern(&mut self, name: &str) -> u32 {
        let name = name.as_bytes();
        let offset = match self.names.binary_search_by(|known| self.strings[known.clone()].cmp(name)) {
            Ok(at) => self.names[at].start,
            Err(at) => {
                let offset = self.strings.len();
                self.strings.extend(name);
                self.names.insert(at, offset..self.strings.len());
                self.strings.push(0);
                offset
            }
        };
        offset as u32
    }
}

#[inline(never)]
fn encoded_cells(cells: &[u32]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(size_of_val(cells));
    for cell in cells {
        bytes.extend_from_slice(&cell.to_be_bytes());
    }
    bytes
}

/// Regions with two cells for each address and size.
fn encoded(regions: &[Region]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(size_of_val(regions));
    for region in regions {
        bytes.extend_from_slice(&region.base.to_be_bytes());
        bytes.extend_from_slice(&region.size.to_be_bytes());
    }
    bytes
}
