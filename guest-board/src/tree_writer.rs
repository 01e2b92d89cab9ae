//! What device trees are written with.

use alloc::format;
use alloc::vec::Vec;

use device_tree::Writer;

use crate::Region;

/// Takes a device tree: nodes are begun and ended, and properties belong to the node begun last.
pub trait TreeWriter {
    /// Begins a node; the first one, the root, has an empty name.
    fn begin_node(&mut self, name: &str);

    /// Begins a node whose name ends with an address.
    fn begin_unit(&mut self, name: &str, address: u64) {
        self.begin_node(&format!("{name}@{address:x}"));
    }

    /// Ends the node.
    fn end_node(&mut self);

    /// Gives the node a property.
    fn property(&mut self, name: &str, value: &[u8]);

    /// Gives the node a property of cells.
    fn cells(&mut self, name: &str, cells: &[u32]) {
        let value: Vec<u8> = cells.iter().flat_map(|cell| cell.to_be_bytes()).collect();
        self.property(name, &value);
    }

    /// Gives the node a property of strings.
    fn strings(&mut self, name: &str, values: &[&str]) {
        let value: Vec<u8> = values.iter().flat_map(|text| text.bytes().chain([0])).collect();
        self.property(name, &value);
    }

    /// Gives the node the property `reg`, with two cells for each address and size.
    fn regions(&mut self, regions: &[Region]) {
        let numbers = regions.iter().flat_map(|region| [region.base, region.size]);
        let value: Vec<u8> = numbers.flat_map(u64::to_be_bytes).collect();
        self.property("reg", &value);
    }
}

impl TreeWriter for Writer {
    fn begin_node(&mut self, name: &str) {
        self.begin_node(name);
    }

    fn end_node(&mut self) {
        self.end_node();
    }

    fn property(&mut self, name: &str, value: &[u8]) {
        self.property(name, value);
    }

    fn cells(&mut self, name: &str, cells: &[u32]) {
        self.cells(name, cells);
    }

    fn strings(&mut self, name: &str, values: &[&str]) {
        self.strs(name, values);
    }

    fn regions(&mut self, regions: &[Region]) {
        self.regions("reg", regions);
    }
}
