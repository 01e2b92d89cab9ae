//! Lists of calls: nested, endless, that change themselves, and with calls that take long.

use guest_sdk::abi::{
    GuestHandle,
    hypercall::{EVENT_CHANNEL_OP, MEMORY_OP, MULTICALL, MulticallEntry, XEN_VERSION},
    memory::{MemoryReservation, op},
    version,
};

use crate::{
    calls::{self, Tally},
    edge::Edge,
};

/// Entries that fit before the edge.
const ENTRIES: usize = 4096 / size_of::<MulticallEntry>();

fn entry(number: u32, args: [u64; 2]) -> MulticallEntry {
    MulticallEntry { op: number.into(), args: [args[0], args[1], 0, 0, 0, 0], ..Default::default() }
}

fn issue(tally: &mut Tally, list: usize, count: usize) -> isize {
    tally.call([MULTICALL as usize, list, count, 0, 0, 0])
}

/// Makes them.
pub fn run(edge: &Edge) -> Tally {
    let mut tally = Tally::default();
    let version = entry(XEN_VERSION, [version::op::VERSION.into(), 0]);
    let list = edge.end() - size_of::<MulticallEntry>() * ENTRIES;

    // A list in a list; calls that there are not.
    for number in [MULTICALL, EVENT_CHANNEL_OP, 40, 63, 64, u32::MAX] {
        let mut nested = [entry(number, [list as u64, 1]), version];
        issue(&mut tally, nested.as_mut_ptr() as usize, nested.len());
    }
    // More entries than there is memory for.
    for count in [ENTRIES, ENTRIES + 1, 0x7fff_ffff, usize::MAX] {
        edge.fill(version);
        issue(&mut tally, list, count);
    }
    // From where nothing is, or across the edge.
    for start in [0, 1, edge.end() - 8, edge.end(), usize::MAX - 7] {
        issue(&mut tally, start, 2);
    }
    // An entry that writes over the next one, and over itself.
    for offset in [0, size_of::<MulticallEntry>()] {
        edge.fill(version);
        let extra = entry(XEN_VERSION, [version::op::CAPABILITIES.into(), (list + offset) as u64]);
        edge.write(0, &extra);
        issue(&mut tally, list, ENTRIES);
    }
    // Memory given back and asked for again, in calls that may stop half way.
    let page = edge.page();
    let mut reservation = MemoryReservation {
        extent_start: GuestHandle::new(core::ptr::from_ref(&page) as u64),
        nr_extents: 1,
        domid: guest_sdk::abi::Domid::SELF,
        ..Default::default()
    };
    let at = core::ptr::from_mut(&mut reservation) as u64;
    for round in 0..ENTRIES {
        let command = if round % 2 == 0 { op::DECREASE_RESERVATION } else { op::POPULATE_PHYSMAP };
        edge.write(round, &entry(MEMORY_OP, [command.into(), at]));
    }
    issue(&mut tally, list, ENTRIES);
    calls::fill_scratch(0);
    tally
}
