//! Holds the reader and the writer against other crates, where those work.

use device_tree::{Node, Tree, Writer};
use dtoolkit::fdt::FdtNode;
use dtoolkit::{Node as _, Property as _};

/// Compares all of two trees.
fn same(ours: &Node<'_>, theirs: &FdtNode<'_>) {
    assert_eq!(ours.name(), theirs.name());
    let mut their_properties = theirs.properties();
    for property in ours.properties() {
        let other = their_properties.next().unwrap();
        assert_eq!((property.name, property.value), (other.name(), other.value()), "{ours}");
    }
    assert!(their_properties.next().is_none(), "{ours}");
    let mut their_children = theirs.children();
    for child in ours.children() {
        same(&child, &their_children.next().unwrap());
    }
    assert!(their_children.next().is_none(), "{ours}");
}

#[test]
fn dtoolkit_reads_the_same() {
    for blob in crate::ALL {
        same(&Tree::parse(blob).unwrap().root(), &dtoolkit::fdt::Fdt::new(blob).unwrap().root());
    }
}

#[test]
fn fdt_reads_the_same_nodes() {
    for blob in crate::ALL {
        let names: Vec<_> = Tree::parse(blob).unwrap().nodes().map(|node| node.name()).collect();
        let theirs = fdt::Fdt::new(blob).unwrap();
        assert_eq!(names[1..], theirs.all_nodes().map(|node| node.name).collect::<Vec<_>>()[1..]);
    }
}

#[test]
fn dtoolkit_reads_what_we_write() {
    for blob in crate::ALL {
        let tree = Tree::parse(blob).unwrap();
        let mut writer = Writer::new(tree.reservations(), tree.boot_cpu());
        writer.copy_node(&tree.root());
        let copy = writer.finish();
        same(&tree.root(), &dtoolkit::fdt::Fdt::new(&copy).unwrap().root());
        same(&Tree::parse(&copy).unwrap().root(), &dtoolkit::fdt::Fdt::new(blob).unwrap().root());
    }
}

#[test]
fn a_small_tree_is_written_as_vm_fdt_writes_it() {
    let mut theirs = vm_fdt::FdtWriter::new().unwrap();
    let root = theirs.begin_node("").unwrap();
    theirs.property_u32("#address-cells", 2).unwrap();
    theirs.property_string("model", "test").unwrap();
    let child = theirs.begin_node("memory@40000000").unwrap();
    theirs.property_array_u64("reg", &[0x4000_0000, 0x1000]).unwrap();
    theirs.property_null("empty").unwrap();
    theirs.end_node(child).unwrap();
    theirs.end_node(root).unwrap();
    let theirs = theirs.finish().unwrap();

    let mut ours = Writer::new([], 0);
    ours.begin_node("").u32("#address-cells", 2).str("model", "test");
    ours.begin_node("memory@40000000")
        .regions("reg", &[device_tree::Region { base: 0x4000_0000, size: 0x1000 }])
        .property("empty", &[])
        .end_node();
    ours.end_node();
    let ours = ours.finish();
    same(&Tree::parse(&theirs).unwrap().root(), &dtoolkit::fdt::Fdt::new(&ours).unwrap().root());
}

/// Why there is a reader and a writer of our own.
#[test]
fn a_name_of_32_characters_is_read_and_written() {
    let name = "snps,dis-del-phy-power-chg-quirk";
    let mut writer = Writer::new([], 0);
    writer.begin_node("").property(name, &[]).end_node();
    let blob = writer.finish();
    assert!(Tree::parse(&blob).unwrap().root().has(name));
    assert!(dtoolkit::fdt::Fdt::new(&blob).is_err());
    let mut vm_fdt = vm_fdt::FdtWriter::new().unwrap();
    vm_fdt.begin_node("").unwrap();
    assert!(vm_fdt.property_null(name).is_err());
}
