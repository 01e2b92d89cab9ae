//! Stage 2: which machine frame, if any, stands behind each frame that a guest sees.
//!
//! All access goes through [`P2mGuard`], which holds the domain's p2m lock. Removing a mapping only
//! notes what has to happen next: when the guard ends (or [`P2mGuard::flush`] is called) the TLBs
//! are flushed first, and only then are references dropped and frames freed. An entry that changes
//! is written as zero and flushed before its new value (break before make).

mod descriptor;
mod map;
mod pool;
mod teardown;
mod walk;

use alloc::sync::Arc;

use lock::MutexGuard;
use xen_abi::{Errno, Gfn, Mfn};

use crate::{
    Hypervisor,
    domain::Domain,
    frames::{Account, Held, Mem},
    machine::{Access, CacheOp, Machine, Vmid},
};
use descriptor::{Entry, LAST_LEVEL, order_of};
use map::{Pending, Stale};
use teardown::Torn;
use walk::{Memo, Slot};

pub use descriptor::P2mType;
pub use map::Ram;
pub use pool::Pool;
pub use walk::{GFN_END, IPA_BITS};

/// Frames that are cleaned between two questions whether to pause.
const PIECE: u64 = 128;

/// What a frame of the guest's is mapped to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// The machine frame.
    pub mfn: Mfn,
    /// As what.
    pub kind: P2mType,
    /// log2 of the frames that the entry maps, of which this is one.
    pub order: u32,
}

/// The stage-2 tables of a domain.
pub struct P2m {
    root: Mfn,
    vmid: Vmid,
    account: Arc<Account>,
    /// Memory for the tables.
    pub pool: Pool,
    lowest: u32,
    /// One more than the highest.
    end: u32,
    stale: Stale,
    pending: Pending,
    torn: Torn,
    memo: Memo,
}

impl P2m {
    /// Empty tables. `limit` bounds their memory, in pages, beyond the root.
    pub fn new<M: Machine>(
        mem: Mem<'_, M>,
        account: &Arc<Account>,
        vmid: Vmid,
        limit: Option<u32>,
    ) -> Result<Self, Errno> {
        let root = mem.frames.alloc(mem.machine, walk::ROOT_ORDER).ok_or(Errno::ENOMEM)?;
        mem.machine.flush_guest_tlb(vmid);
        Ok(Self {
            root,
            vmid,
            account: account.clone(),
            pool: Pool::new(limit),
            lowest: u32::MAX,
            end: 0,
            stale: Stale::Nothing,
            pending: Pending::default(),
            torn: Torn::Alive,
            memo: Memo::new(),
        })
    }

    /// The root's first frame.
    pub fn root(&self) -> Mfn {
        self.root
    }

    /// The tag of its translations.
    pub fn vmid(&self) -> Vmid {
        self.vmid
    }

    /// The highest frame that was ever mapped.
    pub fn highest(&self) -> Option<Gfn> {
        self.end.checked_sub(1).map(|gfn| Gfn(gfn.into()))
    }

    /// What a frame is mapped to. Nothing, once the tables are being torn down.
    #[hot]
    pub fn lookup<M: Machine>(&self, machine: &M, gfn: Gfn) -> Option<Mapping> {
        let gfn = walk::checked(gfn)?;
        if !self.torn.is_alive() {
            return None;
        }
        let (value, level) = self.memo.deepest(machine, self.root, gfn);
        match descriptor::decode(value, level) {
            Entry::Leaf(first, kind) => {
                Some(Mapping { mfn: within(first, gfn, level), kind, order: order_of(level) })
            }
            _ => None,
        }
    }
}

impl<M: Machine> Hypervisor<M> {
    /// A page of a domain's own RAM that it shares with the hypervisor from now on, with a reference.
    #[inline(never)]
    pub(crate) fn hold_page<'a>(&'a self, domain: &'a Domain<M>, gfn: Gfn) -> Option<Held<'a, M>> {
        domain.p2m(self.mem()).hold_own(gfn, Access::Write)
    }
}

/// The frame of an entry of `level` that begins with `first`.
#[inline(always)]
fn within(first: Mfn, gfn: u32, level: u32) -> Mfn {
    Mfn(first.0 + u64::from(gfn & ((1 << order_of(level)) - 1)))
}

/// A domain's p2m, locked.
pub struct P2mGuard<'a, M: Machine> {
    p2m: MutexGuard<'a, P2m>,
    mem: Mem<'a, M>,
    /// Something was removed since the lock was taken.
    removed: bool,
}

impl<'a, M: Machine> P2mGuard<'a, M> {
    /// Wraps the lock that [`crate::domain::Domain`] holds.
    pub fn new(p2m: MutexGuard<'a, P2m>, mem: Mem<'a, M>) -> Self {
        Self { p2m, mem, removed: false }
    }

    /// Ends without flushing: whoever removed something takes the lock again and lets it end as
    /// usual before relying on the removal.
    pub fn defer(mut self) {
        self.removed = false;
    }

    /// What a frame is mapped to.
    #[hot]
    pub fn lookup(&self, gfn: Gfn) -> Option<Mapping> {
        self.p2m.lookup(self.mem.machine, gfn)
    }

    /// The RAM behind a frame with a reference, if the mapping allows the access.
    #[hot]
    pub fn hold(&self, gfn: Gfn, access: Access) -> Option<(Held<'a, M>, P2mType)> {
        let mapping = self.lookup(gfn)?;
        let allowed = access == Access::Read || mapping.kind.is_writable();
        if !allowed || !mapping.kind.is_any_ram() {
            return None;
        }
        // The mapping itself keeps the frame alive while the lock is held.
        let held = self.mem.frames.hold_mapped(self.mem.machine, mapping.mfn)?;
        Some((held, mapping.kind))
    }

    /// The domain's own RAM behind a frame with a reference, if the mapping allows the access. Not
    /// what others granted it or let it map.
    pub fn hold_own(&self, gfn: Gfn, access: Access) -> Option<Held<'a, M>> {
        let mfn = self.get_own(gfn, access)?;
        Some(self.mem.frames.held(self.mem.machine, mfn))
    }

    /// The same, with a reference that ends with [`crate::frames::Frames::put`].
    #[inline(always)]
    pub fn get_own(&self, gfn: Gfn, access: Access) -> Option<Mfn> {
        let mfn = self.mapped_as_own(gfn, access)?;
        self.mem.frames.get(mfn, self.p2m.account.domid).then_some(mfn)
    }

    /// The same without a reference: the frame stays as long as the p2m is locked.
    #[hot]
    pub fn own(&self, gfn: Gfn, access: Access) -> Option<Mfn> {
        let mfn = self.mapped_as_own(gfn, access)?;
        self.mem.frames.is_owned(mfn, self.p2m.account.domid).then_some(mfn)
    }

    #[inline(always)]
    fn mapped_as_own(&self, gfn: Gfn, access: Access) -> Option<Mfn> {
        let gfn = walk::checked(gfn).filter(|_| self.p2m.torn.is_alive())?;
        let (value, level) = self.p2m.memo.deepest(self.mem.machine, self.p2m.root, gfn);
        let first = descriptor::own_ram(value, access)?;
        Some(if level == LAST_LEVEL { first } else { within(first, gfn, level) })
    }

    /// Makes an access that faulted work, if the tables allow it: another CPU may have been
    /// changing the entry, or it waited to be marked as accessed.
    pub fn resolve_fault(&mut self, gfn: Gfn, write: bool) -> bool {
        let Some(number) = walk::checked(gfn) else {
            return false;
        };
        let Some(mapping) = self.lookup(gfn) else {
            return false;
        };
        let (slot, _) = walk::find(self.mem.machine, self.p2m.root, number, LAST_LEVEL);
        let value = slot.load(self.mem.machine);
        if !descriptor::is_accessed(value) {
            self.put(slot, descriptor::accessed(value));
        }
        !write || mapping.kind.is_writable()
    }

    /// Cleans (and, with `op`, invalidates) up to `frames` frames of RAM from `from` on. Asks
    /// `pause` now and then. Returns where to go on when it stopped early.
    pub fn cache_range(
        &mut self,
        from: Gfn,
        frames: u64,
        op: CacheOp,
        mut pause: impl FnMut() -> bool,
    ) -> Option<Gfn> {
        let end = from.0.saturating_add(frames).min(GFN_END);
        let mut at = from.0;
        while at < end {
            let (next, ram) = self.next_ram(at as u32, end as u32);
            at = next;
            if let Some(mfn) = ram {
                self.mem.machine.cache_frame(mfn, 0, xen_abi::PAGE_SIZE, op);
                at += 1;
            }
            if at < end && pause() {
                return Some(Gfn(at));
            }
        }
        None
    }

    /// The next frame of RAM at or after `gfn`, or how far there is none.
    fn next_ram(&self, gfn: u32, end: u32) -> (u64, Option<Mfn>) {
        let (slot, entry) = walk::find(self.mem.machine, self.p2m.root, gfn, LAST_LEVEL);
        let order = order_of(slot.level);
        match entry {
            Entry::Leaf(mfn, kind) if kind.is_any_ram() => {
                let within = gfn & ((1 << order) - 1);
                (gfn.into(), Some(Mfn(mfn.0 + u64::from(within))))
            }
            _ => {
                let next = ((u64::from(gfn) >> order) + 1) << order;
                (next.min(end.into()), None)
            }
        }
    }

    /// For maintenance by set and way: cleans and invalidates the RAM that the guest accessed since
    /// the last call, and makes its next access fault so that the next call knows. `from` and the
    /// result are as in [`P2mGuard::cache_range`].
    pub fn flush_accessed(&mut self, from: Gfn, mut pause: impl FnMut() -> bool) -> Option<Gfn> {
        let end = u64::from(self.p2m.end);
        let mut at = from.0.max(self.p2m.lowest.into());
        while at < end {
            let (slot, entry) = walk::find(self.mem.machine, self.p2m.root, at as u32, LAST_LEVEL);
            let frames = 1 << order_of(slot.level);
            let within = at & (frames - 1);
            let mut done = frames - within;
            if let Entry::Leaf(mfn, kind) = entry
                && kind.is_any_ram()
                // A block that was begun has lost its mark.
                && (within != 0 || self.take_accessed(slot))
            {
                done = done.min(PIECE);
                for frame in within..within + done {
                    let mfn = Mfn(mfn.0 + frame);
                    self.mem.machine.cache_frame(mfn, 0, xen_abi::PAGE_SIZE, CacheOp::CleanInvalidate);
                }
            }
            at += done;
            if at < end && pause() {
                return Some(Gfn(at));
            }
        }
        None
    }

    /// Whether the guest accessed what an entry maps; its next access faults.
    fn take_accessed(&mut self, slot: Slot) -> bool {
        let machine = self.mem.machine;
        let value = slot.load(machine);
        let accessed = descriptor::is_accessed(value);
        if accessed {
            self.put(slot, descriptor::unaccessed(value));
            machine.flush_guest_tlb(self.p2m.vmid);
        }
        accessed
    }

    /// The root's first frame.
    pub fn root(&self) -> Mfn {
        self.p2m.root
    }

    /// The tag of the translations.
    pub fn vmid(&self) -> Vmid {
        self.p2m.vmid
    }

    /// Memory for the tables.
    pub fn pool(&mut self) -> &mut Pool {
        &mut self.p2m.pool
    }

    /// The highest frame that was ever mapped.
    pub fn highest(&self) -> Option<Gfn> {
        self.p2m.highest()
    }
}

impl<M: Machine> Drop for P2mGuard<'_, M> {
    #[inline]
    fn drop(&mut self) {
        if self.removed {
            self.flush_removed();
        }
    }
}

#[cfg(test)]
mod tests;
