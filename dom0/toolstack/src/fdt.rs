//! Writes a guest's device tree.

use alloc::string::ToString;
use alloc::vec::Vec;

use guest_board::TreeWriter;
use vm_fdt::{Error, FdtWriter, FdtWriterNode};

/// A tree in the making; the first thing that cannot be written ends it.
pub(crate) struct Fdt {
    fdt: Result<FdtWriter, Error>,
    /// The nodes that are begun, the root first.
    open: Vec<FdtWriterNode>,
}

impl Fdt {
    /// Begins one.
    pub fn new() -> Self {
        Self { fdt: FdtWriter::new(), open: Vec::new() }
    }

    /// Gives the blob.
    pub fn finish(self) -> Result<Vec<u8>, Error> {
        self.fdt?.finish()
    }

    fn write<T>(&mut self, part: impl FnOnce(&mut FdtWriter) -> Result<T, Error>) -> Option<T> {
        match part(self.fdt.as_mut().ok()?) {
            Ok(written) => Some(written),
            Err(error) => {
                self.fdt = Err(error);
                None
            }
        }
    }
}

impl TreeWriter for Fdt {
    fn begin_node(&mut self, name: &str) {
        let node = self.write(|fdt| fdt.begin_node(name));
        self.open.extend(node);
    }

    fn end_node(&mut self) {
        if let Some(node) = self.open.pop() {
            self.write(|fdt| fdt.end_node(node));
        }
    }

    fn property(&mut self, name: &str, value: &[u8]) {
        self.write(|fdt| fdt.property(name, value));
    }

    fn strings(&mut self, name: &str, values: &[&str]) {
        // It refuses a zero within one.
        let values = values.iter().map(ToString::to_string).collect();
        self.write(|fdt| fdt.property_string_list(name, values));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_and_properties_are_where_they_were_put() {
        let mut fdt = Fdt::new();
        fdt.begin_node("");
        fdt.begin_node("a");
        fdt.strings("of", &["one", "two"]);
        fdt.end_node();
        fdt.begin_node("b");
        fdt.cells("reg", &[1, 2]);
        fdt.end_node();
        fdt.end_node();
        let blob = fdt.finish().unwrap();
        let tree = device_tree::Tree::parse(&blob).unwrap();
        let value = |path: &str, name: &str| tree.find(path).unwrap().property(name).unwrap().value.to_vec();
        assert_eq!(value("/a", "of"), b"one\0two\0");
        assert_eq!(value("/b", "reg"), [0, 0, 0, 1, 0, 0, 0, 2]);
    }

    #[test]
    fn what_cannot_be_written_is_told_at_the_end() {
        let mut fdt = Fdt::new();
        fdt.begin_node("");
        fdt.begin_node("a");
        fdt.strings("b", &["c\0d"]);
        fdt.property("e", &[]);
        fdt.end_node();
        fdt.end_node();
        assert_eq!(fdt.finish(), Err(Error::InvalidString));
    }
}
