use std::{collections::BTreeMap, vec, vec::Vec};

use super::*;

const GIB: u64 = 1 << 30;
const MIB: u64 = 1 << 20;

/// Tables in a map, and what was invalidated.
#[derive(Default)]
struct Memory {
    tables: BTreeMap<u64, Vec<u64>>,
    invalidated: Vec<(u64, u64)>,
    left: u64,
}

impl TableMemory for Memory {
    fn alloc(&mut self) -> Option<u64> {
        self.left = self.left.checked_sub(1)?;
        let at = 0x10_0000 + self.tables.len() as u64 * PAGE;
        self.tables.insert(at, vec![0; 512]);
        Some(at)
    }

    fn read(&self, table: u64, index: u64) -> u64 {
        self.tables[&table][index as usize]
    }

    fn write(&mut self, table: u64, index: u64, entry: u64) {
        self.tables.get_mut(&table).unwrap()[index as usize] = entry;
    }

    fn invalidate(&mut self, va: u64, size: u64) {
        self.invalidated.push((va, size));
    }
}

fn tables(left: u64) -> Tables<Memory> {
    let mut memory = Memory { left: left + 1, ..Memory::default() };
    let root = memory.alloc().unwrap();
    Tables::new(root, 4 * GIB, memory)
}

impl Tables<Memory> {
    /// What the hardware would find: the entry that maps `va`, and the address it maps it to.
    fn walk(&self, va: u64) -> Option<(u64, u64)> {
        let mut table = self.root;
        for level in 1..=3 {
            let entry = self.memory.read(table, va / span(level) % ENTRIES);
            if entry & VALID == 0 {
                return None;
            }
            if level == 3 || !is_table(entry) {
                return Some((entry, (entry & ADDRESS & !(span(level) - 1)) | (va % span(level))));
            }
            table = entry & ADDRESS;
        }
        None
    }
}

#[test]
fn large_ranges_take_blocks_and_their_ends_take_pages() {
    let mut t = tables(10);
    let (va, size) = (GIB + 2 * MIB - PAGE, 4 * MIB + 2 * PAGE);
    t.map(va, va, size, Kind::Data).unwrap();
    for at in [va, va + PAGE, va + 3 * MIB + 5, va + size - 1] {
        assert_eq!(t.walk(at).unwrap().1, at);
    }
    assert_eq!(t.walk(va - 1), None);
    assert_eq!(t.walk(va + size), None);
    // The root, one of level 2, one of level 3 at each end.
    assert_eq!(t.memory.tables.len(), 4);
}

#[test]
fn kinds_differ_in_what_the_hardware_allows() {
    let mut t = tables(10);
    for (i, (kind, read_only, never_execute)) in [
        (Kind::Code, true, false),
        (Kind::ReadOnly, true, true),
        (Kind::Data, false, true),
        (Kind::Device, false, true),
    ]
    .into_iter()
    .enumerate()
    {
        let va = i as u64 * PAGE;
        t.map(va, 7 * PAGE, PAGE, kind).unwrap();
        let (entry, pa) = t.walk(va).unwrap();
        assert_eq!(pa, 7 * PAGE);
        assert_eq!(entry & READ_ONLY != 0, read_only, "{kind:?}");
        assert_eq!(entry & NEVER_EXECUTE != 0, never_execute, "{kind:?}");
    }
}

#[test]
fn the_same_mapping_twice_is_one_and_another_one_is_refused() {
    let mut t = tables(10);
    t.map(GIB, GIB, 4 * MIB, Kind::Data).unwrap();
    t.map(GIB, GIB, 4 * MIB, Kind::Data).unwrap();
    t.map(GIB + PAGE, GIB + PAGE, PAGE, Kind::Data).unwrap();
    let other = t.map(GIB + PAGE, GIB, PAGE, Kind::Data);
    assert_eq!(other, Err(MapError::Taken(GIB + PAGE)));
    let other = t.map(GIB, GIB, 4 * MIB, Kind::Device);
    assert_eq!(other, Err(MapError::Taken(GIB)));
}

#[test]
fn a_block_over_pages_fills_up_the_pages() {
    let mut t = tables(10);
    t.map(GIB + PAGE, GIB + PAGE, PAGE, Kind::Data).unwrap();
    t.map(GIB, GIB, 2 * MIB, Kind::Data).unwrap();
    for page in [0, 1, 511] {
        assert_eq!(t.walk(GIB + page * PAGE).unwrap().1, GIB + page * PAGE);
    }
}

#[test]
fn pages_are_protected_and_unmapped_and_their_translations_forgotten() {
    let mut t = tables(10);
    t.map(GIB, 0, 4 * PAGE, Kind::Data).unwrap();
    t.protect(GIB, 2 * PAGE, Kind::Code).unwrap();
    t.unmap(GIB + 3 * PAGE, PAGE).unwrap();
    assert!(t.walk(GIB).unwrap().0 & READ_ONLY != 0);
    assert!(t.walk(GIB + 2 * PAGE).unwrap().0 & READ_ONLY == 0);
    assert_eq!(t.walk(GIB + 3 * PAGE), None);
    let forgotten = [(GIB, 2 * PAGE), (GIB + 3 * PAGE, PAGE)];
    assert_eq!(t.memory.invalidated, forgotten);
    assert_eq!(t.unmap(GIB + 3 * PAGE, PAGE), Err(MapError::Taken(GIB + 3 * PAGE)));
}

#[test]
fn a_block_is_forgotten_as_a_whole() {
    let mut t = tables(10);
    t.map(GIB, GIB, 4 * MIB, Kind::Data).unwrap();
    t.forget_block(GIB).unwrap();
    assert_eq!(t.walk(GIB + MIB), None);
    assert!(t.walk(GIB + 2 * MIB).is_some());
    assert_eq!(t.memory().invalidated, [(GIB, 2 * MIB)]);
    t.map(GIB, GIB, PAGE, Kind::Data).unwrap();
    assert_eq!(t.forget_block(GIB), Err(MapError::Taken(GIB)));
    assert_eq!(t.forget_block(0), Err(MapError::Taken(0)));
}

#[test]
fn bad_ranges_and_lack_of_memory_are_errors() {
    let mut t = tables(1);
    for (va, pa, size) in
        [(1, 0, PAGE), (0, 1, PAGE), (0, 0, 1), (4 * GIB, 0, PAGE), (u64::MAX - PAGE + 1, 0, PAGE)]
    {
        let refused = t.map(va, pa, size, Kind::Data);
        assert_eq!(refused, Err(MapError::BadRange));
    }
    assert_eq!(t.map(0, 0, PAGE, Kind::Data), Err(MapError::NoMemory));
}
