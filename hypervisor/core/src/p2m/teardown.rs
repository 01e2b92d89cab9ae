//! Taking the tables of a dying domain apart, in pieces.
//!
//! Whatever is taken apart next is first cut off from the root and flushed; then what it mapped is
//! released and, for a table, the table freed. A piece that is not finished is remembered, so the
//! work can stop at any time and goes on where it was.

use xen_abi::Mfn;

use super::{
    P2m, P2mGuard,
    descriptor::{Entry, LAST_LEVEL, P2mType, order_of},
    map::{Ram, Stale},
    walk::{ENTRIES, ROOT_ENTRIES, ROOT_LEVEL, ROOT_ORDER, Slot},
};
use crate::{frames::Mem, machine::Machine};

/// Frames released between two questions whether to pause.
const CHUNK: u32 = 32;

/// How far it is.
#[derive(Debug)]
pub(super) enum Torn {
    /// The tables are in use.
    Alive,
    /// Between pieces; the root has no entry below this one.
    Root(u32),
    /// The leaves of a level-2 table from this one on have still to be cut off.
    Middle { root: u32, table: Mfn, next: u32 },
    /// A block or table has been cut off.
    Piece { piece: Piece, root: u32, table: Option<Mfn>, next: u32 },
    /// Nothing is left.
    Done,
}

/// Something that no walker can reach any more.
#[derive(Clone, Copy, Debug)]
pub(super) enum Piece {
    /// RAM of the domain.
    Memory { mfn: Mfn, frames: u32 },
    /// A table of pages.
    Table { table: Mfn, next: u32 },
}

impl Torn {
    pub(super) fn is_alive(&self) -> bool {
        matches!(self, Self::Alive)
    }
}

impl<M: Machine> P2mGuard<'_, M> {
    /// From now on nothing can be mapped or looked up.
    pub fn close(&mut self) {
        if self.p2m.torn.is_alive() {
            self.p2m.torn = Torn::Root(0);
        }
    }

    /// Releases everything that the tables map, and all tables but the root. True when done; false
    /// when `pause` said to stop. Closes the tables first.
    pub fn tear_down(&mut self, mut pause: impl FnMut() -> bool) -> bool {
        self.close();
        loop {
            if self.tear_step() {
                return true;
            }
            if pause() {
                return false;
            }
        }
    }

    fn tear_step(&mut self) -> bool {
        let torn = core::mem::replace(&mut self.p2m.torn, Torn::Done);
        self.p2m.torn = match torn {
            Torn::Alive | Torn::Done => return true,
            Torn::Root(root) => self.cut_root(root),
            Torn::Middle { root, table, next } => self.cut_middle(root, table, next),
            Torn::Piece { piece, root, table, next } => match (self.release_piece(piece), table) {
                (Some(piece), table) => Torn::Piece { piece, root, table, next },
                (None, Some(table)) => Torn::Middle { root, table, next },
                (None, None) => Torn::Root(root),
            },
        };
        matches!(self.p2m.torn, Torn::Done)
    }

    /// Looks for the next entry of the root and cuts off a block.
    fn cut_root(&mut self, from: u32) -> Torn {
        let machine = self.mem.machine;
        for root in from..ROOT_ENTRIES {
            let slot = Slot::root_entry(self.p2m.root, root);
            match slot.entry(machine) {
                Entry::Empty => {}
                Entry::Table(table) => {
                    slot.store(machine, 0);
                    self.flush_all();
                    return Torn::Middle { root: root + 1, table, next: 0 };
                }
                Entry::Leaf(mfn, kind) => {
                    slot.store(machine, 0);
                    self.flush_all();
                    let piece = memory(mfn, kind, ROOT_LEVEL);
                    return Torn::Piece { piece, root: root + 1, table: None, next: 0 };
                }
            }
        }
        Torn::Done
    }

    /// The next piece of a level-2 table that has been cut off itself.
    fn cut_middle(&mut self, root: u32, table: Mfn, from: u32) -> Torn {
        let level = ROOT_LEVEL + 1;
        for index in from..ENTRIES {
            let piece = match (Slot { table, index, level }).entry(self.mem.machine) {
                Entry::Empty => continue,
                Entry::Table(table) => Piece::Table { table, next: 0 },
                Entry::Leaf(mfn, kind) => memory(mfn, kind, level),
            };
            return Torn::Piece { piece, root, table: Some(table), next: index + 1 };
        }
        self.free_table(table);
        Torn::Root(root)
    }

    /// Releases some of a piece; what is left of it.
    fn release_piece(&mut self, piece: Piece) -> Option<Piece> {
        match piece {
            Piece::Memory { mfn, frames } => {
                let now = frames.min(CHUNK);
                let mem = self.mem;
                mem.frames.give_up_run(mem.machine, mfn, now, &self.p2m.account);
                let (mfn, frames) = (Mfn(mfn.0 + u64::from(now)), frames - now);
                (frames > 0).then_some(Piece::Memory { mfn, frames })
            }
            Piece::Table { table, next } => {
                let end = (next + CHUNK).min(ENTRIES);
                for index in next..end {
                    let slot = Slot { table, index, level: LAST_LEVEL };
                    if let Entry::Leaf(mfn, kind) = slot.entry(self.mem.machine) {
                        self.drop_leaf(LAST_LEVEL, mfn, kind, Ram::Free);
                    }
                }
                self.flush();
                if end < ENTRIES {
                    return Some(Piece::Table { table, next: end });
                }
                self.free_table(table);
                None
            }
        }
    }

    fn free_table(&mut self, table: Mfn) {
        let mem = self.mem;
        self.p2m.pool.free(mem.machine, mem.frames, table);
    }

    fn flush_all(&mut self) {
        self.p2m.stale = Stale::All;
        self.flush_tlb();
    }
}

impl P2m {
    /// Frees the root of tables that map nothing and that no CPU has loaded; the last thing done
    /// with them.
    pub fn discard<M: Machine>(&self, mem: Mem<'_, M>) {
        mem.frames.release(mem.machine, self.root, ROOT_ORDER);
    }
}

/// What a block leaves to be released.
fn memory(mfn: Mfn, kind: P2mType, level: u32) -> Piece {
    let frames = if kind.is_ram() { 1 << order_of(level) } else { 0 };
    Piece::Memory { mfn, frames }
}
