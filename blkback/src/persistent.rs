//! Grants of a front end that stay mapped between requests.
//!
//! A front end with `feature-persistent` reuses the pages it grants, so mapping one once saves two hypercalls
//! and a TLB flush for each use. The front end chooses how many it grants; the cache chooses how many it keeps,
//! and lets go of those used longest ago.

use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use alloc::vec::Vec;

/// Mappings by grant reference. `M` is what keeps a grant mapped; a request holds it by [`Rc`] while in use.
#[derive(Debug)]
pub struct Cache<M> {
    entries: BTreeMap<u32, Entry<M>>,
    limit: usize,
    /// Counts uses; orders entries by the time of their last one.
    clock: u64,
}

#[derive(Debug)]
struct Entry<M> {
    mapping: Rc<M>,
    last_used: u64,
}

impl<M> Entry<M> {
    fn is_idle(&self) -> bool {
        Rc::strong_count(&self.mapping) == 1
    }
}

impl<M> Cache<M> {
    /// An empty cache for at most `limit` mappings.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        Self { entries: BTreeMap::new(), limit, clock: 0 }
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

    /// The mapping of `gref`, if kept; this is a use of it.
    pub fn get(&mut self, gref: u32) -> Option<Rc<M>> {
        self.clock += 1;
        let entry = self.entries.get_mut(&gref)?;
        entry.last_used = self.clock;
        Some(entry.mapping.clone())
    }

    /// Keeps `mapping` for `gref`. Gives it back when the cache is full or already holds that reference.
    pub fn insert(&mut self, gref: u32, mapping: M) -> Result<Rc<M>, M> {
        if self.entries.len() >= self.limit || self.entries.contains_key(&gref) {
            return Err(mapping);
        }
        self.clock += 1;
        let mapping = Rc::new(mapping);
        let entry = Entry { mapping: mapping.clone(), last_used: self.clock };
        self.entries.insert(gref, entry);
        Ok(mapping)
    }

    /// Makes room for `wanted` more mappings and returns those it let go, for the caller to unmap.
    ///
    /// Mappings in use stay, so there may be less room than asked for. To make the search pay, a sixteenth of
    /// the limit goes at once.
    pub fn make_room(&mut self, wanted: usize) -> Vec<M> {
        let free = self.limit - self.entries.len().min(self.limit);
        if wanted.min(self.limit) <= free {
            return Vec::new();
        }
        let surplus = (wanted.min(self.limit) - free).max(self.limit / 16);
        let mut idle: Vec<(u64, u32)> = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.is_idle())
            .map(|(&gref, entry)| (entry.last_used, gref))
            .collect();
        idle.sort_unstable();
        idle.truncate(surplus);
        idle.iter()
            .filter_map(|(_, gref)| self.entries.remove(gref))
            .filter_map(|entry| Rc::into_inner(entry.mapping))
            .collect()
    }

    /// Lets everything go. Mappings that a request still holds go with that request.
    pub fn clear(&mut self) -> Vec<M> {
        core::mem::take(&mut self.entries)
            .into_values()
            .filter_map(|entry| Rc::into_inner(entry.mapping))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(limit: usize) -> Cache<u32> {
        let mut cache = Cache::new(limit);
        for gref in 0..limit as u32 {
            assert!(cache.insert(gref, gref).is_ok());
        }
        cache
    }

    #[test]
    fn a_kept_mapping_is_found_again() {
        let mut cache = Cache::new(2);
        assert_eq!(cache.insert(8, 'a').as_deref(), Ok(&'a'));
        assert_eq!(cache.get(8).as_deref(), Some(&'a'));
        assert_eq!(cache.get(9), None);
    }

    #[test]
    fn a_full_cache_gives_the_mapping_back() {
        let mut cache = filled(2);
        assert_eq!(cache.insert(7, 70), Err(70));
        assert_eq!(cache.len(), 2);
    }

    #[test]
    fn a_second_mapping_of_a_reference_is_given_back() {
        let mut cache = Cache::new(4);
        cache.insert(7, 'a').unwrap();
        assert_eq!(cache.insert(7, 'b'), Err('b'));
    }

    #[test]
    fn the_mapping_used_longest_ago_goes_first() {
        let mut cache = filled(4);
        cache.get(0);
        cache.get(2);
        assert_eq!(cache.make_room(2), [1, 3]);
        assert_eq!(cache.len(), 2);
    }

    #[test]
    fn a_mapping_in_use_stays() {
        let mut cache = filled(3);
        let held = cache.get(0);
        assert_eq!(cache.make_room(3), [1, 2]);
        assert_eq!(cache.get(0), held);
    }

    #[test]
    fn nothing_goes_while_there_is_room() {
        let mut cache = filled(3);
        cache.make_room(1);
        assert_eq!(cache.make_room(1), []);
    }

    #[test]
    fn more_than_the_limit_cannot_be_asked_for() {
        let mut cache = filled(3);
        assert_eq!(cache.make_room(usize::MAX).len(), 3);
    }

    #[test]
    fn a_cleared_cache_returns_what_no_request_holds() {
        let mut cache = filled(3);
        let held = cache.get(1);
        assert_eq!(cache.clear(), [0, 2]);
        assert!(cache.is_empty());
        assert_eq!(held.as_deref(), Some(&1));
    }
}
