//! Grants of a front end that stay mapped between requests.
//!
//! A front end with `feature-persistent` reuses the pages it grants, so mapping one once saves two hypercalls
//! and a TLB flush for each use. The front end chooses how many it grants; the cache chooses how many it keeps,
//! and lets go of those used longest ago.

use alloc::collections::{BTreeMap, btree_map};
use alloc::vec::Vec;

use guest_sdk::abi::Gref;

/// Mappings by grant reference. `M` is what keeps a grant mapped, until it is dropped.
#[derive(Debug)]
pub struct Cache<M> {
    entries: BTreeMap<Gref, Entry<M>>,
    limit: usize,
    /// Counts uses; orders entries by the time of their last one.
    clock: u64,
}

#[derive(Debug)]
struct Entry<M> {
    mapping: M,
    last_used: u64,
}

impl<M> Cache<M> {
    /// An empty cache for at most `limit` mappings, and at least one.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { entries: BTreeMap::new(), limit: limit.max(1), clock: 0 }
    }

    /// How many mappings are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The mapping of `gref`, which `map` makes when it is not kept yet.
    ///
    /// # Errors
    ///
    /// What `map` says.
    pub fn get_or_map<E>(&mut self, gref: Gref, map: impl FnOnce() -> Result<M, E>) -> Result<&M, E> {
        self.clock += 1;
        if !self.entries.contains_key(&gref) {
            self.make_room();
        }
        let entry = match self.entries.entry(gref) {
            btree_map::Entry::Occupied(kept) => kept.into_mut(),
            btree_map::Entry::Vacant(free) => free.insert(Entry { mapping: map()?, last_used: 0 }),
        };
        entry.last_used = self.clock;
        Ok(&entry.mapping)
    }

    /// Lets a sixteenth of a full cache go: finding the oldest is worth its while only for several at once.
    fn make_room(&mut self) {
        if self.entries.len() < self.limit {
            return;
        }
        let mut by_age: Vec<(u64, Gref)> =
            self.entries.iter().map(|(&gref, entry)| (entry.last_used, gref)).collect();
        by_age.sort_unstable();
        for (_, gref) in by_age.iter().take((self.limit / 16).max(1)) {
            self.entries.remove(gref);
        }
    }
}

#[cfg(test)]
mod tests {
    use core::convert::Infallible;

    use super::*;

    fn get(cache: &mut Cache<u32>, gref: u32) -> u32 {
        *cache.get_or_map(Gref(gref), || Ok::<_, Infallible>(gref * 10)).unwrap()
    }

    fn kept(cache: &Cache<u32>) -> Vec<u32> {
        cache.entries.keys().map(|gref| gref.0).collect()
    }

    #[test]
    fn a_grant_is_mapped_once() {
        let mut cache = Cache::new(2);
        assert_eq!(get(&mut cache, 8), 80);
        let again = cache.get_or_map(Gref(8), || Err("mapped again"));
        assert_eq!(again, Ok(&80));
    }

    #[test]
    fn a_grant_that_cannot_be_mapped_leaves_no_trace() {
        let mut cache: Cache<u32> = Cache::new(2);
        assert_eq!(cache.get_or_map(Gref(8), || Err("refused")), Err("refused"));
        assert!(cache.is_empty());
    }

    #[test]
    fn the_mapping_used_longest_ago_goes_first() {
        let mut cache = Cache::new(3);
        for gref in [1, 2, 3, 1, 4, 5] {
            get(&mut cache, gref);
        }
        assert_eq!(kept(&cache), [1, 4, 5]);
    }

    #[test]
    fn no_more_are_kept_than_the_limit() {
        let mut cache = Cache::new(64);
        for gref in 0..1000 {
            get(&mut cache, gref);
            assert!(cache.len() <= 64);
        }
        assert!(cache.len() > 60);
    }
}
