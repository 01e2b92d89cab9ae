//! What a domain owns, may own and has been promised, in pages.

use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use xen_abi::Domid;

/// A domain's pages.
pub struct Account {
    /// Whose.
    pub domid: Domid,
    /// Frames that it owns, also those kept alive only by others.
    owned: AtomicU32,
    /// Frames that it has not given back itself.
    allocated: AtomicU32,
    limit: AtomicU32,
    /// Claimed and not yet allocated; changed under the allocator's lock.
    pub(super) claim: AtomicU32,
    closed: AtomicBool,
}

impl Account {
    /// An account that may own nothing yet.
    pub fn new(domid: Domid) -> Self {
        Self {
            domid,
            owned: AtomicU32::new(0),
            allocated: AtomicU32::new(0),
            limit: AtomicU32::new(0),
            claim: AtomicU32::new(0),
            closed: AtomicBool::new(false),
        }
    }

    /// Pages it owns (`tot_pages`).
    pub fn owned(&self) -> u32 {
        self.owned.load(Ordering::Acquire)
    }

    /// Pages that it still holds itself; what remains of `owned` beyond is held by others only.
    pub fn allocated(&self) -> u32 {
        self.allocated.load(Ordering::Acquire)
    }

    /// Pages it may own (`max_pages`).
    pub fn limit(&self) -> u32 {
        self.limit.load(Ordering::Acquire)
    }

    /// Sets that; it may be lower than what is owned.
    pub fn set_limit(&self, pages: u32) {
        self.limit.store(pages, Ordering::Release);
    }

    /// Pages claimed (`outstanding_pages`).
    pub fn claimed(&self) -> u32 {
        self.claim.load(Ordering::Acquire)
    }

    /// From now on nothing can be added.
    pub fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }

    /// Whether the domain has stopped taking pages.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// Counts pages in before they are allocated. False when the limit or the end is reached.
    ///
    /// The count goes up before the account is found closed, so that whoever closes it and then
    /// reads [`Account::allocated`] sees every page that will still come.
    pub(super) fn reserve(&self, pages: u32) -> bool {
        let limit = self.limit();
        let add = |owned: u32| owned.checked_add(pages).filter(|total| *total <= limit);
        self.allocated.fetch_add(pages, Ordering::SeqCst);
        let fits = self.owned.fetch_update(Ordering::SeqCst, Ordering::SeqCst, add).is_ok();
        if !fits {
            self.allocated.fetch_sub(pages, Ordering::SeqCst);
            return false;
        }
        if self.is_closed() {
            self.unreserve(pages);
            return false;
        }
        true
    }

    /// Undoes [`Account::reserve`].
    pub(super) fn unreserve(&self, pages: u32) {
        self.give_up(pages);
        self.free(pages);
    }

    /// The domain dropped its own hold of pages.
    pub(super) fn give_up(&self, pages: u32) {
        self.allocated.fetch_sub(pages, Ordering::SeqCst);
    }

    /// Pages are gone; true when they were the last of a closed account.
    pub(super) fn free(&self, pages: u32) -> bool {
        let left = self.owned.fetch_sub(pages, Ordering::SeqCst) - pages;
        left == 0 && self.is_closed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_holds_and_does_not_overflow() {
        let account = Account::new(Domid(1));
        assert!(!account.reserve(1));
        account.set_limit(u32::MAX);
        assert!(account.reserve(u32::MAX - 1));
        assert!(!account.reserve(2));
        assert!(account.reserve(1));
        assert_eq!((account.owned(), account.allocated()), (u32::MAX, u32::MAX));
    }

    #[test]
    fn a_closed_account_takes_nothing() {
        let account = Account::new(Domid(1));
        account.set_limit(10);
        assert!(account.reserve(3));
        account.close();
        assert!(!account.reserve(1));
        account.give_up(3);
        assert!(!account.free(2));
        assert!(account.free(1));
        assert_eq!((account.owned(), account.allocated()), (0, 0));
    }

    #[test]
    fn a_limit_below_what_is_owned_only_stops_growth() {
        let account = Account::new(Domid(1));
        account.set_limit(10);
        assert!(account.reserve(8));
        account.set_limit(4);
        assert!(!account.reserve(1));
        assert_eq!(account.owned(), 8);
    }
}
