//! The shared ring of requests and responses (`io/ring.h`): its header and the arithmetic of its indexes,
//! which run freely and wrap at 2^32.

abi! {
    /// The head of a ring; the entries follow it.
    pub struct SringHeader {
        /// Requests put by the front end.
        pub req_prod: u32,
        /// The back end wants an event when `req_prod` passes this.
        pub req_event: u32,
        /// Responses put by the back end.
        pub rsp_prod: u32,
        /// The front end wants an event when `rsp_prod` passes this.
        pub rsp_event: u32,
        /// Of the protocol; zero.
        pub pvt: [u8; 4],
        /// Unused.
        pub pad: [u8; 44],
    }
}

impl SringHeader {
    /// An empty ring: nothing put, the first entry wants an event.
    pub const INIT: Self =
        Self { req_prod: 0, req_event: 1, rsp_prod: 0, rsp_event: 1, pvt: [0; 4], pad: [0; 44] };
}

/// Byte offset of the first entry.
pub const ENTRIES_OFFSET: usize = size_of::<SringHeader>();

/// How many entries of `entry_size` bytes a ring of `ring_bytes` holds: a power of two, or 0 when there
/// is no room for one.
pub const fn entries(ring_bytes: usize, entry_size: usize) -> u32 {
    if entry_size == 0 || ring_bytes < ENTRIES_OFFSET {
        return 0;
    }
    let room = (ring_bytes - ENTRIES_OFFSET) / entry_size;
    if room == 0 {
        return 0;
    }
    let log2 = room.ilog2();
    if log2 > 31 { 1 << 31 } else { 1 << log2 }
}

/// Byte offset of the entry with free-running index `index`; `nr_ents` is a power of two.
pub const fn entry_offset(index: u32, nr_ents: u32, entry_size: usize) -> usize {
    ENTRIES_OFFSET + (index & nr_ents.wrapping_sub(1)) as usize * entry_size
}

/// How far `prod` is ahead of `cons`.
pub const fn unconsumed(prod: u32, cons: u32) -> u32 {
    prod.wrapping_sub(cons)
}

/// How many requests the front end may still put: it has put `req_prod`, and taken the responses up to
/// `rsp_cons`.
pub const fn free_requests(nr_ents: u32, req_prod: u32, rsp_cons: u32) -> u32 {
    nr_ents.saturating_sub(req_prod.wrapping_sub(rsp_cons))
}

/// Whether a producer index read from the peer claims more than the ring holds; `cons` is how far the
/// reader got (for a back end: its own `rsp_prod`). Nothing of such a ring can be believed.
pub const fn prod_overflow(nr_ents: u32, prod: u32, cons: u32) -> bool {
    prod.wrapping_sub(cons) > nr_ents
}

/// Whether moving a producer index from `old` to `new` passes the peer's `event`, so that it wants an
/// event.
pub const fn notify_needed(old: u32, new: u32, event: u32) -> bool {
    new.wrapping_sub(event) < new.wrapping_sub(old)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_holds_the_well_known_numbers_of_entries() {
        assert_eq!(entries(4096, 112), 32, "block");
        assert_eq!(entries(4096, 12), 256, "net transmit");
        assert_eq!(entries(4096, 8), 256, "net receive");
        assert_eq!(entries(16 * 4096, 112), 512, "block, order 4");
    }

    #[test]
    fn a_ring_without_room_has_no_entries() {
        assert_eq!(entries(64, 112), 0);
        assert_eq!(entries(0, 112), 0);
        assert_eq!(entries(4096, 0), 0);
    }

    #[test]
    fn indexes_wrap() {
        assert_eq!(unconsumed(1, u32::MAX), 2);
        assert_eq!(free_requests(32, 5, u32::MAX - 1), 32 - 7);
        assert_eq!(entry_offset(u32::MAX, 32, 112), 64 + 31 * 112);
    }

    #[test]
    fn a_producer_beyond_the_ring_is_noticed() {
        assert!(!prod_overflow(32, 32, 0));
        assert!(prod_overflow(32, 33, 0));
        assert!(prod_overflow(32, 0, 1), "running backwards");
        assert_eq!(free_requests(32, 100, 0), 0);
    }

    #[test]
    fn an_event_is_wanted_only_when_its_index_is_passed() {
        assert!(notify_needed(0, 1, 1), "the first entry of a new ring");
        assert!(!notify_needed(1, 2, 1), "already passed");
        assert!(!notify_needed(0, 1, 2), "not yet reached");
        assert!(notify_needed(u32::MAX, 1, 0), "across the wrap");
        assert!(!notify_needed(3, 3, 3), "nothing put");
    }
}
