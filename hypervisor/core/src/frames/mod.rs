//! RAM: who owns each frame, who still uses it, and which are free.
//!
//! A frame is handed out with one reference; every mapping in another domain and every structure
//! that pins it holds one more. Whoever drops the last one scrubs the frame, cleans it to the point
//! of coherency and puts it back, so that free frames are clean and handing them out is quick. Two
//! kinds of free frames are not clean, and are scrubbed when they are handed out: RAM that has not
//! been used since boot, and what a dying domain left. CPUs without other work scrub the latter.

mod account;
mod bit_tree;
mod buddy;
mod table;

use alloc::{sync::Arc, vec::Vec};
use core::{
    mem,
    ops::Range,
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
};

use lock::RareMutex;
use xen_abi::{Domid, Errno, Mfn, PAGE_SHIFT, PAGE_SIZE};

use crate::{
    host::memory::Ranges,
    machine::{CacheOp, Machine},
};
use buddy::Buddy;
use table::{FrameTable, Put, Use};

pub use account::Account;
pub use buddy::{MAX_ORDER, RamBank};

/// No bound on where a block may lie.
pub const ANYWHERE: Range<u64> = 0..u64::MAX;
/// Blocks above this order are only handed out to a domain when they need little scrubbing, so that
/// no allocation takes long: 4 MiB.
const LARGEST_SCRUB: u32 = 10;
/// Entries of the frame table that are looked at in search of a frame to scrub, before an interrupt may be served.
const SCRUB_SEARCH: u32 = 4096;

/// Memory for the tables, provided by the machine at boot, zeroed.
pub struct Storage {
    /// A word for each frame of RAM.
    pub entries: &'static [AtomicU32],
    /// Bitmaps of free blocks.
    pub words: &'static mut [u32],
}

impl Storage {
    /// How long both have to be.
    pub fn sizes(banks: &[RamBank]) -> (usize, usize) {
        let entries = banks.iter().map(|bank| bank.frames as usize).sum();
        (entries, Buddy::words(banks))
    }
}

/// What a domain's frames must be like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// log2 of how many, contiguous and aligned.
    pub order: u32,
    /// All of them in this range of frames.
    pub within: Range<u64>,
    /// As they are: for the first domain, before which nobody used the RAM.
    pub unscrubbed: bool,
    /// The lowest there are, however large a block that breaks.
    pub lowest: bool,
}

impl Wanted {
    /// Scrubbed frames from anywhere.
    pub const fn order(order: u32) -> Self {
        Self { order, within: ANYWHERE, unscrubbed: false, lowest: false }
    }
}

struct Free {
    buddy: Buddy,
    frames: u32,
    /// Sum of all domains' claims.
    claimed: u32,
}

/// All RAM.
pub struct Frames {
    table: FrameTable,
    free: RareMutex<Free>,
    accounts: RareMutex<Vec<Arc<Account>>>,
    /// Free frames that have not been scrubbed.
    dirty: AtomicU32,
    /// Those of them that a dying domain left.
    used: AtomicU32,
    /// The entry of the table from which on to look for these.
    next_used: AtomicU32,
    /// Frames that only [`Frames::alloc_reserved`] may use.
    reserve: AtomicU32,
    emptied: AtomicBool,
    /// What is set aside: never free for others.
    set_aside: Ranges,
}

impl Frames {
    /// Nothing is free until [`Frames::add`] says so.
    pub fn new(banks: &[RamBank], storage: Storage) -> Self {
        Self {
            table: FrameTable::new(banks, storage.entries),
            free: RareMutex::new(Free { buddy: Buddy::new(banks, storage.words), frames: 0, claimed: 0 }),
            accounts: RareMutex::new(Vec::new()),
            dirty: AtomicU32::new(0),
            used: AtomicU32::new(0),
            next_used: AtomicU32::new(0),
            reserve: AtomicU32::new(0),
            emptied: AtomicBool::new(false),
            set_aside: Ranges::default(),
        }
    }

    /// Sets memory aside that has not been added. It is for [`Frames::take_set_aside`] alone, and is so again when its
    /// owner is gone.
    pub fn set_aside(&mut self, ranges: &Ranges) {
        self.set_aside = ranges.clone();
        self.dirty.fetch_add((ranges.total() >> PAGE_SHIFT) as u32, Ordering::Relaxed);
    }

    /// Makes a range of RAM free, at boot or once a boot module has been used. Its contents count
    /// as unknown.
    pub fn add(&self, start: Mfn, frames: u32) {
        let mut free = self.free.lock();
        free.buddy.give(start, frames);
        free.frames += frames;
        self.dirty.fetch_add(frames, Ordering::Relaxed);
    }

    /// Keeps some frames back for [`Frames::alloc_reserved`].
    pub fn set_reserve(&self, frames: u32) {
        self.reserve.store(frames, Ordering::Relaxed);
    }

    /// Frames of RAM.
    pub fn total(&self) -> u32 {
        self.table.len()
    }

    /// Free frames.
    pub fn free(&self) -> u32 {
        self.free.lock().frames
    }

    /// Where the lowest free block of an order begins, however large a one it is part of.
    pub fn lowest_free(&self, order: u32, within: &Range<u64>) -> Option<Mfn> {
        self.free.lock().buddy.find_lowest(order, within)
    }

    /// Free frames in blocks that begin at `start` or above.
    pub fn free_from(&self, start: Mfn) -> u64 {
        self.free.lock().buddy.count_from(start)
    }

    /// Whether only the reserve is left.
    pub fn is_low(&self) -> bool {
        self.free() <= self.reserve.load(Ordering::Relaxed)
    }

    /// Free frames that have still to be scrubbed.
    pub fn dirty(&self) -> u32 {
        self.dirty.load(Ordering::Relaxed)
    }

    /// Pages that domains have claimed.
    pub fn claimed(&self) -> u32 {
        self.free.lock().claimed
    }

    /// One more than the highest frame of RAM.
    pub fn end(&self) -> Mfn {
        self.table.end()
    }

    /// Whether the frame is RAM.
    pub fn contains(&self, mfn: Mfn) -> bool {
        self.table.contains(mfn)
    }

    /// Whether any of `frames` frames from `start` on is RAM.
    pub fn overlaps(&self, start: Mfn, frames: u64) -> bool {
        self.table.overlaps(start, frames)
    }

    /// Who owns a frame that is in use.
    pub fn owner(&self, mfn: Mfn) -> Option<Domid> {
        self.table.owner(mfn)
    }

    /// Whether a domain owns a frame, which is in use.
    #[inline]
    pub fn is_owned(&self, mfn: Mfn, owner: Domid) -> bool {
        self.table.is_owned(mfn, owner)
    }

    /// How many references are held on a frame.
    pub fn references(&self, mfn: Mfn) -> u32 {
        self.table.references(mfn)
    }

    // The hypervisor's own frames.

    /// Allocates zeroed frames for the hypervisor.
    pub fn alloc<M: Machine>(&self, machine: &M, order: u32) -> Option<Mfn> {
        self.alloc_own(machine, order, self.reserve.load(Ordering::Relaxed))
    }

    /// The same, from the reserve as well: for the heap.
    pub fn alloc_reserved<M: Machine>(&self, machine: &M, order: u32) -> Option<Mfn> {
        self.alloc_own(machine, order, 0)
    }

    fn alloc_own<M: Machine>(&self, machine: &M, order: u32, reserve: u32) -> Option<Mfn> {
        let mfn = {
            let mut free = self.free.lock();
            let kept = reserve.saturating_add(free.claimed);
            free.take(&Wanted::order(order), kept)?
        };
        self.hand_out(machine, mfn, order, Use::Hypervisor, false);
        Some(mfn)
    }

    /// Drops the hypervisor's hold of frames that [`Frames::alloc`] gave.
    #[hot]
    pub fn release<M: Machine>(&self, machine: &M, mfn: Mfn, order: u32) {
        for frame in 0..1 << order {
            self.let_go(machine, Mfn(mfn.0 + frame));
        }
    }

    /// Lends a page of the hypervisor's to a domain: references to it can be taken in the domain's
    /// name, it does not count as the domain's memory.
    pub fn lend(&self, mfn: Mfn, to: Domid) {
        self.table.lend(mfn, to);
    }

    /// Ends that and drops the hypervisor's hold; the page goes when the last mapping does.
    pub fn end_loan<M: Machine>(&self, machine: &M, mfn: Mfn) {
        self.table.take_back(mfn);
        self.let_go(machine, mfn);
    }

    // Domains' frames.

    /// Lets frames be allocated to an account.
    pub fn open(&self, account: &Arc<Account>) -> Result<(), Errno> {
        let mut accounts = self.accounts.lock();
        accounts.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
        match place(&accounts, account.domid) {
            Ok(_) => Err(Errno::EEXIST),
            Err(at) => {
                accounts.insert(at, account.clone());
                Ok(())
            }
        }
    }

    /// Forgets an account that owns nothing.
    pub fn forget(&self, domid: Domid) {
        let mut accounts = self.accounts.lock();
        if let Ok(at) = place(&accounts, domid) {
            accounts.remove(at);
        }
    }

    /// Allocates memory of a domain. `None` when the account is full or closed, or memory is short.
    #[hot]
    pub fn alloc_for<M: Machine>(&self, machine: &M, account: &Account, wanted: &Wanted) -> Option<Mfn> {
        if wanted.order > MAX_ORDER {
            return None;
        }
        let pages = 1 << wanted.order;
        if !account.reserve(pages) {
            return None;
        }
        let taken = self.take_for(account, wanted);
        match taken {
            Some(mfn) => {
                let to = Use::Domain(account.domid);
                self.hand_out(machine, mfn, wanted.order, to, wanted.unscrubbed);
            }
            None => self.uncount(account, pages),
        }
        taken
    }

    /// Gives a domain frames that are set aside, before any domain runs. False when they are not, or when they are
    /// given already, or when the account is full.
    pub fn take_set_aside<M: Machine>(&self, machine: &M, account: &Account, frames: Range<u64>) -> bool {
        let mfns = frames.clone().map(Mfn);
        let pages = (frames.end - frames.start).min(u32::MAX.into()) as u32;
        let free = self.set_aside.contains(&(frames.start << PAGE_SHIFT..frames.end << PAGE_SHIFT))
            && mfns.clone().all(|mfn| self.owner(mfn).is_none())
            && account.reserve(pages);
        if free {
            mfns.for_each(|mfn| self.hand_out(machine, mfn, 0, Use::Domain(account.domid), false));
        }
        free
    }

    fn take_for(&self, account: &Account, wanted: &Wanted) -> Option<Mfn> {
        let pages = 1 << wanted.order;
        let mut free = self.free.lock();
        let own = account.claim.load(Ordering::Relaxed).min(pages);
        let kept = self.reserve.load(Ordering::Relaxed).saturating_add(free.claimed - own);
        let mfn = free.take(wanted, kept)?;
        if !wanted.unscrubbed && self.scrubs_long(mfn, wanted.order) {
            free.buddy.give(mfn, pages);
            free.frames += pages;
            return None;
        }
        account.claim.fetch_sub(own, Ordering::Relaxed);
        free.claimed -= own;
        Some(mfn)
    }

    fn scrubs_long(&self, mfn: Mfn, order: u32) -> bool {
        let dirty = |frame: &u64| self.table.is_dirty(Mfn(mfn.0 + frame));
        order > LARGEST_SCRUB && (0..1 << order).filter(dirty).count() > 1 << LARGEST_SCRUB
    }

    fn uncount(&self, account: &Account, pages: u32) {
        account.give_up(pages);
        self.uncount_freed(account, pages);
    }

    /// Sets aside memory for a domain beyond what it has; 0 drops the claim.
    pub fn claim(&self, account: &Account, pages: u32) -> Result<(), Errno> {
        let mut free = self.free.lock();
        let old = account.claim.load(Ordering::Relaxed);
        if pages == 0 {
            account.claim.store(0, Ordering::Relaxed);
            free.claimed -= old;
            return Ok(());
        }
        if old != 0 || pages > account.limit() {
            return Err(Errno::EINVAL);
        }
        let more = pages.checked_sub(account.owned()).filter(|more| *more != 0).ok_or(Errno::EINVAL)?;
        if more > free.frames.saturating_sub(free.claimed) {
            return Err(Errno::ENOMEM);
        }
        account.claim.store(more, Ordering::Relaxed);
        free.claimed += more;
        Ok(())
    }

    /// Takes a reference to a frame, if `owner` owns it: to be dropped with [`Frames::put`].
    #[must_use]
    #[inline(always)]
    pub fn get(&self, mfn: Mfn, owner: Domid) -> bool {
        self.table.get(mfn, owner)
    }

    /// Takes a reference that ends with the value returned. (The value is made only when there is
    /// a reference: dropping it drops one.)
    #[hot]
    pub fn hold<'a, M: Machine>(&'a self, machine: &'a M, mfn: Mfn, owner: Domid) -> Option<Held<'a, M>> {
        self.get(mfn, owner).then(|| self.held(machine, mfn))
    }

    /// A reference that [`Frames::get`] took, as a value with which it ends.
    pub fn held<'a, M: Machine>(&'a self, machine: &'a M, mfn: Mfn) -> Held<'a, M> {
        Held { frames: self, machine, mfn }
    }

    /// Takes a reference to a frame that something else keeps alive meanwhile, whoever owns it.
    pub fn hold_mapped<'a, M: Machine>(&'a self, machine: &'a M, mfn: Mfn) -> Option<Held<'a, M>> {
        self.table.get_used(mfn).then(|| Held { frames: self, machine, mfn })
    }

    /// Drops a reference; the last one frees the frame.
    #[inline]
    pub fn put<M: Machine>(&self, machine: &M, mfn: Mfn) {
        if let Put::Last(owner) = self.table.put(mfn) {
            self.reclaim(machine, mfn, owner);
        }
    }

    /// [`Frames::put`], where it is not done often enough to have a copy of it.
    #[hot]
    #[inline(never)]
    pub fn let_go<M: Machine>(&self, machine: &M, mfn: Mfn) {
        self.put(machine, mfn);
    }

    /// Frees a frame that nobody refers to any more.
    #[cold]
    #[inline(never)]
    fn reclaim<M: Machine>(&self, machine: &M, mfn: Mfn, owner: Option<Domid>) {
        let account = owner.and_then(|owner| self.account(owner));
        self.empty(machine, mfn, account.as_ref().is_some_and(|account| account.is_closed()));
        self.give(mfn, 1);
        if let Some(account) = account {
            self.uncount_freed(&account, 1);
        }
    }

    /// Scrubs a frame that goes back to the free ones, or leaves that for later.
    fn empty<M: Machine>(&self, machine: &M, mfn: Mfn, later: bool) {
        if later {
            self.used.fetch_add(1, Ordering::Relaxed);
            self.dirty.fetch_add(1, Ordering::Relaxed);
            self.table.set_used(mfn);
        } else {
            scrub(machine, mfn);
            self.table.set_free(mfn);
        }
    }

    /// Scrubs a free frame that a dying domain left, or looks for one. False when there is none.
    pub fn scrub_one<M: Machine>(&self, machine: &M) -> bool {
        if self.used.load(Ordering::Relaxed) == 0 {
            return false;
        }
        let from = self.next_used.load(Ordering::Relaxed);
        let next = match self.table.scrub_one(from, SCRUB_SEARCH, |mfn| scrub(machine, mfn)) {
            Some(index) => {
                self.used.fetch_sub(1, Ordering::Relaxed);
                self.dirty.fetch_sub(1, Ordering::Relaxed);
                index + 1
            }
            None => from.saturating_add(SCRUB_SEARCH),
        };
        // Behind the last one from the start again.
        self.next_used.store(if next < self.table.len() { next } else { 0 }, Ordering::Relaxed);
        true
    }

    /// Drops the hold that an owner has on a frame of its memory. False when it did so before, or
    /// does not own it: the frame is then untouched.
    pub fn give_up<M: Machine>(&self, machine: &M, mfn: Mfn, account: &Account) -> bool {
        let first = self.table.take_allocated(mfn, account.domid);
        if first {
            account.give_up(1);
            self.put(machine, mfn);
        }
        first
    }

    /// [`Frames::give_up`] for a run of frames that nothing maps any more, putting them back
    /// together.
    pub fn give_up_run<M: Machine>(&self, machine: &M, start: Mfn, frames: u32, account: &Account) {
        let mut run = (start, 0);
        for mfn in (0..u64::from(frames)).map(|frame| Mfn(start.0 + frame)) {
            if !self.table.take_allocated(mfn, account.domid) {
                continue;
            }
            account.give_up(1);
            if self.table.put(mfn) == Put::Held {
                continue;
            }
            self.empty(machine, mfn, account.is_closed());
            if mfn.0 != run.0.0 + u64::from(run.1) {
                self.give_counted(run, account);
                run = (mfn, 0);
            }
            run.1 += 1;
        }
        self.give_counted(run, account);
    }

    fn give_counted(&self, (start, frames): (Mfn, u32), owner: &Account) {
        if frames > 0 {
            self.give(start, frames);
            self.uncount_freed(owner, frames);
        }
    }

    /// Gives up what a closed account still holds among `frames` entries of the table from entry
    /// `from` on. Returns where to go on.
    pub fn sweep<M: Machine>(&self, machine: &M, account: &Account, from: u32, frames: u32) -> Option<u32> {
        let to = from.saturating_add(frames).min(self.table.len());
        for mfn in (from..to).filter_map(|index| self.table.mfn_at(index)) {
            self.give_up(machine, mfn, account);
        }
        (to < self.table.len()).then_some(to)
    }

    /// Whether a closed account has become empty since the last call.
    #[inline]
    pub fn take_emptied(&self) -> bool {
        self.emptied.load(Ordering::Relaxed) && self.emptied.swap(false, Ordering::AcqRel)
    }

    fn uncount_freed(&self, owner: &Account, pages: u32) {
        if owner.free(pages) {
            self.emptied.store(true, Ordering::Release);
        }
    }

    /// The account of a domain.
    pub(crate) fn account(&self, owner: Domid) -> Option<Arc<Account>> {
        let accounts = self.accounts.lock();
        place(&accounts, owner).ok().map(|at| accounts[at].clone())
    }

    #[hot]
    fn hand_out<M: Machine>(&self, machine: &M, start: Mfn, order: u32, to: Use, unscrubbed: bool) {
        let found = if unscrubbed {
            self.table.hand_out_as_is(start, 1 << order, to)
        } else {
            self.table.hand_out(start, 1 << order, to, |mfn| scrub(machine, mfn))
        };
        self.dirty.fetch_sub(found.dirty, Ordering::Relaxed);
        self.used.fetch_sub(found.used, Ordering::Relaxed);
    }

    /// Puts frames back. Those of one owner that follow each other are set aside, or none of them is.
    fn give(&self, start: Mfn, frames: u32) {
        if self.set_aside.contains(&(start.0 << PAGE_SHIFT..(start.0 + 1) << PAGE_SHIFT)) {
            return;
        }
        let mut free = self.free.lock();
        free.buddy.give(start, frames);
        free.frames += frames;
    }
}

/// Where an account is in the list, or would be.
#[inline(never)]
fn place(accounts: &[Arc<Account>], domid: Domid) -> Result<usize, usize> {
    accounts.binary_search_by_key(&domid, |account| account.domid)
}

impl Free {
    fn take(&mut self, wanted: &Wanted, kept: u32) -> Option<Mfn> {
        let pages = 1u32 << wanted.order.min(MAX_ORDER);
        if wanted.order > MAX_ORDER || self.frames < kept.saturating_add(pages) {
            return None;
        }
        let mfn = if wanted.lowest {
            self.buddy.take_lowest(wanted.order, &wanted.within)
        } else {
            self.buddy.take(wanted.order, &wanted.within)
        }?;
        self.frames -= pages;
        Some(mfn)
    }
}

/// RAM and the machine it is in: what most memory operations need.
pub struct Mem<'a, M> {
    /// The machine.
    pub machine: &'a M,
    /// Its RAM.
    pub frames: &'a Frames,
}

impl<M> Clone for Mem<'_, M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M> Copy for Mem<'_, M> {}

/// Zeroes a frame for its next owner, whose caches may be off.
fn scrub<M: Machine>(machine: &M, mfn: Mfn) {
    machine.zero_frame(mfn);
    machine.cache_frame(mfn, 0, PAGE_SIZE, CacheOp::Clean);
}

/// A reference to a frame, dropped with this value.
#[must_use]
pub struct Held<'a, M: Machine> {
    frames: &'a Frames,
    machine: &'a M,
    mfn: Mfn,
}

impl<M: Machine> Held<'_, M> {
    /// The frame.
    pub fn mfn(&self) -> Mfn {
        self.mfn
    }

    /// Keeps the reference; it ends with [`Frames::put`].
    pub fn keep(self) -> Mfn {
        let mfn = self.mfn;
        mem::forget(self);
        mfn
    }
}

impl<M: Machine> Drop for Held<'_, M> {
    fn drop(&mut self) {
        self.frames.let_go(self.machine, self.mfn);
    }
}

#[cfg(test)]
mod tests;
