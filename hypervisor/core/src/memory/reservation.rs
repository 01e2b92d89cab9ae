//! Growing and shrinking a domain's memory.
//!
//! These operations answer with the number of extents that are done; whatever stops them, the caller
//! learns only how far they came.

use alloc::sync::Arc;
use core::ops::Range;

use xen_abi::{
    Errno, Gfn, GuestHandle, Mfn, PAGE_SHIFT,
    memory::{MemoryReservation, memf, op},
};

use super::{MAX_EXTENTS, Progress};
use crate::{
    current::Current,
    domain::Domain,
    frames::{ANYWHERE, MAX_ORDER, Wanted},
    machine::Machine,
    p2m::{P2mType, Ram},
};

/// Frames that are unmapped between two looks at the clock.
const PIECE: u64 = 512;
const NODE_MASK: u32 = 0xff;

/// A list of extents to work through.
struct Work<M: Machine> {
    domain: Arc<Domain<M>>,
    list: GuestHandle<Gfn>,
    extents: u64,
    order: u32,
    within: Range<u64>,
}

pub(super) fn adjust<M: Machine>(cur: &mut Current<'_, M>, command: u32, at: u64, start: u64) -> Progress {
    let Ok(work) = prepare(cur, command, at, start) else {
        return Progress::Done(start);
    };
    for extent in start..work.extents {
        if extent > start && cur.must_stop() {
            return Progress::Stopped(extent);
        }
        let done = match command {
            op::INCREASE_RESERVATION => work.increase(cur),
            op::DECREASE_RESERVATION => work.decrease(cur, extent),
            _ => work.populate(cur, extent),
        };
        if done.is_err() {
            return Progress::Done(extent);
        }
    }
    Progress::Done(work.extents)
}

/// Reads and checks what is asked for.
fn prepare<M: Machine>(cur: &Current<'_, M>, command: u32, at: u64, start: u64) -> Result<Work<M>, Errno> {
    let op: MemoryReservation = cur.read(at)?;
    if op.nr_extents > MAX_EXTENTS || start >= op.nr_extents {
        return Err(Errno::EINVAL);
    }
    let domain = cur.target(op.domid)?;
    if op.extent_order > max_order(cur) {
        return Err(Errno::EPERM);
    }
    if command == op::POPULATE_PHYSMAP && op.mem_flags & memf::POPULATE_ON_DEMAND != 0 {
        return Err(Errno::ENOSYS);
    }
    let within = within(cur, op.mem_flags)?;
    Ok(Work { domain, list: op.extent_start, extents: op.nr_extents, order: op.extent_order, within })
}

/// The largest extents that the caller may ask for.
fn max_order<M: Machine>(cur: &Current<'_, M>) -> u32 {
    let (orders, caller) = (&cur.hv.options.max_orders, cur.domain);
    let mut order = orders.domu;
    if !caller.resources.lock().iomem.is_empty() {
        order = order.max(orders.passthrough);
    }
    if caller.is_control() {
        order = order.max(orders.control);
    }
    if caller.is_hardware() {
        order = order.max(orders.hardware);
    }
    order.min(MAX_ORDER)
}

/// Where the memory may lie, by the flags. There is one node, of number 0.
fn within<M: Machine>(cur: &Current<'_, M>, flags: u32) -> Result<Range<u64>, Errno> {
    let node = (flags >> memf::NODE_SHIFT & NODE_MASK).wrapping_sub(1);
    let any_node = node & NODE_MASK == NODE_MASK;
    if flags & memf::VNODE == 0 && !any_node {
        // Only who runs the machine may choose among its nodes.
        let chooses = cur.domain.is_hardware() || cur.domain.is_control();
        if if chooses { node != 0 } else { flags & memf::EXACT_NODE_REQUEST != 0 } {
            return Err(Errno::EINVAL);
        }
    }
    let bits = flags & memf::ADDRESS_BITS_MASK;
    if bits == 0 || bits >= u64::BITS || cur.hv.frames.end().0 <= 1 << bits.saturating_sub(PAGE_SHIFT) {
        return Ok(ANYWHERE);
    }
    if bits <= PAGE_SHIFT { Err(Errno::EINVAL) } else { Ok(0..1 << (bits - PAGE_SHIFT)) }
}

impl<M: Machine> Work<M> {
    fn wanted(&self) -> Wanted {
        Wanted { within: self.within.clone(), ..Wanted::order(self.order) }
    }

    fn gfn(&self, cur: &Current<'_, M>, extent: u64) -> Result<Gfn, Errno> {
        cur.read_item(self.list, extent)
    }

    /// Memory that is not mapped anywhere.
    fn increase(&self, cur: &Current<'_, M>) -> Result<(), Errno> {
        let mem = cur.hv.mem();
        let mfn = mem.frames.alloc_for(mem.machine, &self.domain.account, &self.wanted());
        mfn.map(|_| ()).ok_or(Errno::ENOMEM)
    }

    fn populate(&self, cur: &Current<'_, M>, extent: u64) -> Result<(), Errno> {
        let gfn = self.gfn(cur, extent)?;
        if self.domain.keeps_memory() {
            return self.populate_same(cur, gfn);
        }
        let mem = cur.hv.mem();
        let account = &self.domain.account;
        let mfn = mem.frames.alloc_for(mem.machine, account, &self.wanted()).ok_or(Errno::ENOMEM)?;
        let mut p2m = self.domain.p2m(mem);
        let mapped = p2m.map(gfn, mfn, 1 << self.order, P2mType::RamRw);
        if mapped.is_err() {
            // What was mapped of it goes with the rest.
            let unmapped = p2m.unmap_range(gfn, 1 << self.order, Ram::Keep);
            drop(p2m);
            if unmapped.is_ok() {
                mem.frames.give_up_run(mem.machine, mfn, 1 << self.order, account);
            }
        }
        mapped
    }

    /// A domain that keeps its memory gets back the frames that were there, which it must own.
    fn populate_same(&self, cur: &Current<'_, M>, gfn: Gfn) -> Result<(), Errno> {
        let mem = cur.hv.mem();
        let frames = 1 << self.order;
        let kept = self.domain.kept(gfn, frames).ok_or(Errno::EINVAL)?;
        let own = |mfn| mem.frames.owner(Mfn(mfn)) == Some(self.domain.id);
        if !kept.clone().all(own) {
            return Err(Errno::EINVAL);
        }
        self.domain.p2m(mem).map(gfn, Mfn(kept.start), frames, P2mType::RamRw)
    }

    fn decrease(&self, cur: &Current<'_, M>, extent: u64) -> Result<(), Errno> {
        let gfn = self.gfn(cur, extent)?;
        let end = gfn.0.checked_add(1 << self.order).ok_or(Errno::EINVAL)?;
        let ram = if self.domain.keeps_memory() { Ram::Keep } else { Ram::Free };
        let mut at = gfn.0;
        while at < end {
            let mut p2m = self.domain.p2m(cur.hv.mem());
            let piece_end = end.min(at.saturating_add(PIECE));
            while at < piece_end {
                let mapping = p2m.lookup(Gfn(at)).filter(|mapping| mapping.kind.is_ram());
                let order = mapping.ok_or(Errno::ENOENT)?.order;
                let frames = (1 << order) - (at & ((1 << order) - 1));
                let frames = frames.min(piece_end - at);
                p2m.unmap_range(Gfn(at), frames, ram)?;
                at += frames;
            }
        }
        Ok(())
    }
}
