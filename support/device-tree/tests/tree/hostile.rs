//! Blobs that are broken, by accident or on purpose.

use crate::ALL;
use device_tree::{Error, Phandles, Region, Tree, Writer, total_size};

/// Numbers that look random, the same each time.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % limit
    }
}

#[test]
fn a_copy_is_the_same_tree_and_nothing_else_is() {
    for blob in ALL {
        let tree = Tree::parse(blob).unwrap();
        let mut copy = tree.as_bytes().to_vec();
        let names = |tree: &Tree<'_>| tree.nodes().map(|node| node.to_string()).collect::<Vec<_>>();
        assert_eq!(names(&tree.in_copy(&copy).unwrap()), names(&tree));
        assert!(tree.in_copy(&copy[1..]).is_none());
        copy[60] ^= 1;
        assert!(tree.in_copy(&copy).is_none());
    }
}

/// Does everything with a tree that can be done.
fn exercise(blob: &[u8]) -> Result<(), Error> {
    let tree = Tree::parse(blob)?;
    let phandles = Phandles::of(&tree);
    let mut writer = Writer::new(tree.reservations(), tree.boot_cpu());
    for node in tree.nodes() {
        let path = node.to_string();
        tree.find(&path);
        node.regions().map(Iterator::count).ok();
        node.ranges().map(Iterator::count).ok();
        node.translate(Region { base: u64::MAX - 1, size: 2 });
        node.interrupts(&phandles).ok();
        node.interrupt_map_targets(&phandles).ok();
        for property in node.properties() {
            let _ =
                (property.as_str(), property.as_u64(), property.strings().count(), property.cells().count());
        }
        assert_eq!(
            node.children().filter(|child| child.parent() == Some(node)).count(),
            node.children().count()
        );
    }
    writer.copy_node(&tree.root());
    let copy = writer.finish();
    let copy = Tree::parse(&copy).expect("what was read can be written");
    assert_eq!(copy.nodes().count(), tree.nodes().count());
    Ok(())
}

#[test]
fn the_blobs_themselves_are_good() {
    for blob in ALL {
        exercise(blob).unwrap();
    }
}

#[test]
fn corrupted_blobs_never_panic() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for blob in ALL {
        let mut refused = 0;
        for _ in 0..200 {
            let mut bad = blob.to_vec();
            for _ in 0..3 {
                let at = random.below(bad.len());
                bad[at] = random.below(256) as u8;
            }
            refused += usize::from(exercise(&bad).is_err());
        }
        assert!(refused > 5, "some must have hit something that matters");
    }
}

#[test]
fn corrupted_headers_never_panic() {
    let mut random = Random(0x0123_4567_89ab_cdef);
    for blob in ALL {
        for _ in 0..200 {
            let mut bad = blob.to_vec();
            let at = random.below(10) * 4;
            let value = [0, 1, 3, u32::MAX, u32::MAX - 3, blob.len() as u32][random.below(6)];
            bad[at..at + 4].copy_from_slice(&value.to_be_bytes());
            exercise(&bad).ok();
        }
    }
}

#[test]
fn truncated_blobs_are_refused() {
    for blob in ALL {
        for length in (0..blob.len()).step_by(97) {
            assert!(Tree::parse(&blob[..length]).is_err());
        }
    }
}

#[test]
fn what_follows_a_blob_does_not_matter() {
    let mut blob = ALL[0].to_vec();
    blob.extend([0xff; 100]);
    let tree = Tree::parse(&blob).unwrap();
    assert_eq!(tree.as_bytes(), ALL[0]);
    assert_eq!(total_size(&blob), Some(ALL[0].len()));
    assert_eq!(total_size(&blob[4..]), None);
}

#[test]
fn nesting_beyond_the_limit_is_refused() {
    let mut writer = Writer::new([], 0);
    writer.begin_node("");
    for _ in 0..40 {
        writer.begin_node("deeper");
    }
    for _ in 0..41 {
        writer.end_node();
    }
    assert_eq!(Tree::parse(&writer.finish()).unwrap_err(), Error::TooDeep);
}

#[test]
fn a_property_after_a_child_is_refused() {
    let mut writer = Writer::new([], 0);
    writer.begin_node("").begin_node("child").end_node().u32("late", 1).end_node();
    assert_eq!(Tree::parse(&writer.finish()).unwrap_err(), Error::Nesting);
}

#[test]
fn an_unended_tree_is_refused() {
    let mut writer = Writer::new([], 0);
    writer.begin_node("").begin_node("child").end_node();
    assert_eq!(Tree::parse(&writer.finish()).unwrap_err(), Error::Nesting);
}

#[test]
fn interrupt_parents_that_go_in_circles_end() {
    let mut writer = Writer::new([], 0);
    writer.begin_node("").u32("#address-cells", 0);
    writer.begin_node("device").u32("interrupt-parent", 1).u32("interrupts", 5).end_node();
    for (name, phandle, next) in [("one", 1, 2), ("two", 2, 1)] {
        writer.begin_node(name).u32("phandle", phandle).u32("#address-cells", 0).u32("#interrupt-cells", 1);
        writer.cells("interrupt-map", &[5, next, 5]).end_node();
    }
    writer.end_node();
    let blob = writer.finish();
    let tree = Tree::parse(&blob).unwrap();
    let device = tree.find("/device").unwrap();
    assert_eq!(device.interrupts(&Phandles::of(&tree)), Err(Error::NoInterruptParent));
}

#[test]
fn a_region_is_not_translated_past_the_end_of_its_range() {
    let mut writer = Writer::new([], 0);
    writer.begin_node("").u32("#address-cells", 1).u32("#size-cells", 1);
    writer.begin_node("bus").u32("#address-cells", 1).u32("#size-cells", 1);
    writer.cells("ranges", &[0x1000, 0x8000_0000, 0x1000]);
    writer.begin_node("in").cells("reg", &[0x1f00, 0x100]).end_node();
    writer.begin_node("out").cells("reg", &[0x1f00, 0x101]).end_node();
    writer.begin_node("below").cells("reg", &[0xfff, 1]).end_node();
    writer.end_node().end_node();
    let blob = writer.finish();
    let tree = Tree::parse(&blob).unwrap();
    let regions = |path| tree.find(path).unwrap().regions().unwrap().collect::<Vec<_>>();
    assert_eq!(regions("/bus/in"), [Region { base: 0x8000_0f00, size: 0x100 }]);
    assert_eq!(regions("/bus/out"), []);
    assert_eq!(regions("/bus/below"), []);
}

#[test]
fn values_of_the_wrong_size_are_errors() {
    let mut writer = Writer::new([], 0);
    writer.begin_node("").u32("#address-cells", 2).u32("#size-cells", 2);
    writer.begin_node("odd").cells("reg", &[1, 2, 3]).end_node().end_node();
    let blob = writer.finish();
    let tree = Tree::parse(&blob).unwrap();
    assert_eq!(tree.find("/odd").unwrap().reg().unwrap_err(), Error::BadValue);
}

#[test]
fn nops_are_passed_over() {
    let words = [
        1,
        0, // root
        4,
        3,
        4,
        0,
        7,
        4, // nop, property "a", nop
        1,
        0x6200_0000,
        4,
        2,
        4, // child "b"
        1,
        0x6300_0000,
        2, // child "c"
        4,
        2,
        9u32,
    ];
    let mut structure: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
    let (header, reserved) = (40, 16);
    let strings = header + reserved + structure.len();
    let fields =
        [0xd00d_feed, strings + 2, header + reserved, strings, header, 17, 16, 0, 2, structure.len()];
    let mut blob: Vec<u8> = fields.iter().flat_map(|field| (*field as u32).to_be_bytes()).collect();
    blob.extend([0; 16]);
    blob.append(&mut structure);
    blob.extend(b"a\0");
    let tree = Tree::parse(&blob).unwrap();
    assert_eq!(tree.root().u32("a"), Some(7));
    assert_eq!(tree.root().children().map(|child| child.name()).collect::<Vec<_>>(), ["b", "c"]);
    exercise(&blob).unwrap();
}
