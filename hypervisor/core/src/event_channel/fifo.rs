//! The FIFO ABI: a word for each port in pages of the guest, linked into queues of which each vCPU
//! has one for each priority.
//!
//! The guest can write all of it at any time. Every change is one bounded atomic operation, and what
//! the words say is only ever used to find the guest's own words: a guest that corrupts its queues
//! loses its own events.

use alloc::{boxed::Box, vec::Vec};
use core::{mem::offset_of, sync::atomic::Ordering};

use xen_abi::{
    Errno, Mfn,
    event_channel::{FifoControlBlock, fifo},
};

use super::{Raised, port::Port};
use crate::{machine::Machine, shared::filled};

const PENDING: u32 = 1 << fifo::PENDING;
const MASKED: u32 = 1 << fifo::MASKED;
const LINKED: u32 = 1 << fifo::LINKED;
const BUSY: u32 = 1 << fifo::BUSY;
const READY: usize = offset_of!(FifoControlBlock, ready);
const HEADS: usize = offset_of!(FifoControlBlock, head);
/// How often a guest may make an exchange fail, with the word marked as busy.
const TRIES: usize = 4;

/// A vCPU's queues.
#[derive(Clone, Copy, Default)]
struct Queues {
    /// Frame and offset of its control block.
    control: Option<(Mfn, usize)>,
    /// The last port in each queue; 0 for none.
    tails: [u32; fifo::MAX_QUEUES],
}

/// A domain's words and queues. Behind its delivery lock.
pub(super) struct Fifo {
    pages: Vec<Mfn>,
    queues: Box<[Queues]>,
}

/// Where a port is queued.
#[derive(Clone, Copy, PartialEq, Eq)]
struct QueueId {
    vcpu: usize,
    priority: usize,
}

impl QueueId {
    fn decode(raw: u32) -> Self {
        Self { vcpu: (raw >> 8) as usize, priority: raw as usize % fifo::MAX_QUEUES }
    }

    fn encode(self) -> u32 {
        (self.vcpu << 8 | self.priority) as u32
    }
}

impl Fifo {
    /// Without any page, for `vcpus` vCPUs.
    pub(super) fn new(vcpus: usize) -> Result<Self, Errno> {
        let mut pages = Vec::new();
        pages.try_reserve_exact(fifo::MAX_ARRAY_PAGES as usize).map_err(|_| Errno::ENOMEM)?;
        Ok(Self { pages, queues: filled(vcpus, Queues::default)? })
    }

    /// Whether the vCPU has a control block.
    pub(super) fn has_control(&self, vcpu: usize) -> bool {
        self.queues.get(vcpu).is_some_and(|queues| queues.control.is_some())
    }

    /// Gives it one; the frame's reference becomes ours.
    pub(super) fn set_control(&mut self, vcpu: usize, mfn: Mfn, offset: usize) {
        if let Some(queues) = self.queues.get_mut(vcpu) {
            queues.control = Some((mfn, offset));
        }
    }

    /// Whether no further page of words can be added.
    pub(super) fn is_full(&self) -> bool {
        self.pages.len() >= fifo::MAX_ARRAY_PAGES as usize
    }

    /// Adds a page of words; its reference becomes ours. Gives the ports whose words these are.
    pub(super) fn add_page(&mut self, mfn: Mfn) -> core::ops::Range<u32> {
        let first = self.pages.len() as u32 * fifo::WORDS_PER_PAGE;
        self.pages.push(mfn);
        first..first + fifo::WORDS_PER_PAGE
    }

    /// All frames that it holds references to.
    pub(super) fn into_frames(self) -> impl Iterator<Item = Mfn> {
        let controls = self.queues.into_iter().filter_map(|queues| queues.control.map(|(mfn, _)| mfn));
        self.pages.into_iter().chain(controls)
    }

    fn word(&self, port: u32) -> Option<(Mfn, usize)> {
        let page = self.pages.get((port / fifo::WORDS_PER_PAGE) as usize)?;
        Some((*page, (port % fifo::WORDS_PER_PAGE) as usize * 4))
    }

    #[hot]
    #[inline(never)]
    pub(super) fn set_pending<M: Machine>(
        &mut self,
        machine: &M,
        number: u32,
        port: &Port<M>,
        vcpu: u32,
    ) -> Raised {
        let Some((page, at)) = self.word(number) else {
            port.early.store(true, Ordering::Relaxed);
            return Raised::NOTHING;
        };
        // A guest must not unmask an event before the vCPU that it notifies has its block.
        let Some(control) = self.queues.get(vcpu as usize).and_then(|queues| queues.control) else {
            return Raised::NOTHING;
        };
        let old = machine.fetch_or32(page, at, PENDING);
        let news = old & PENDING == 0;
        if old & (MASKED | LINKED) != 0 || machine.fetch_or32(page, at, LINKED) & LINKED != 0 {
            return Raised { news, upcall: false };
        }
        let priority = port.priority.load(Ordering::Relaxed) as usize % fifo::MAX_QUEUES;
        let queue = QueueId { vcpu: vcpu as usize, priority };
        self.leave_old_queue(number, port, queue);
        let was_empty = !self.append(machine, number, queue);
        if was_empty {
            machine.store32(control.0, control.1 + HEADS + priority * 4, number);
        }
        let ready = 1 << priority;
        let upcall = was_empty && machine.fetch_or32(control.0, control.1 + READY, ready) & ready == 0;
        Raised { news, upcall }
    }

    /// If the port was a queue's tail, that queue is empty now: nothing may be linked to the port as
    /// if it were still there.
    fn leave_old_queue<M: Machine>(&mut self, number: u32, port: &Port<M>, queue: QueueId) {
        let old = QueueId::decode(port.last_queue.load(Ordering::Relaxed));
        if let Some(queues) = self.queues.get_mut(old.vcpu)
            && queues.tails[old.priority] == number
        {
            queues.tails[old.priority] = 0;
        }
        if old != queue {
            port.last_queue.store(queue.encode(), Ordering::Relaxed);
        }
    }

    /// Makes the port a queue's tail; false when the queue was empty.
    fn append<M: Machine>(&mut self, machine: &M, number: u32, queue: QueueId) -> bool {
        let tail = core::mem::replace(&mut self.queues[queue.vcpu].tails[queue.priority], number);
        let word = if tail == 0 { None } else { self.word(tail) };
        word.is_some_and(|(page, at)| set_link(machine, page, at, number))
    }

    pub(super) fn clear_pending<M: Machine>(&self, machine: &M, number: u32) {
        if let Some((page, at)) = self.word(number) {
            machine.fetch_and32(page, at, !PENDING);
        }
    }

    pub(super) fn is_pending<M: Machine>(&self, machine: &M, number: u32) -> bool {
        self.word(number).is_some_and(|(page, at)| machine.load32(page, at) & PENDING != 0)
    }

    /// Whether the guest has yet to take the port's word out of a queue.
    pub(super) fn is_busy<M: Machine>(&self, machine: &M, number: u32) -> bool {
        self.word(number).is_some_and(|(page, at)| machine.load32(page, at) & LINKED != 0)
    }

    /// Unmasks, and queues the port if it is pending.
    pub(super) fn unmask<M: Machine>(
        &mut self,
        machine: &M,
        number: u32,
        port: &Port<M>,
        vcpu: u32,
    ) -> Raised {
        let Some((page, at)) = self.word(number) else { return Raised::NOTHING };
        if machine.fetch_and32(page, at, !MASKED) & PENDING == 0 {
            return Raised::NOTHING;
        }
        self.set_pending(machine, number, port, vcpu)
    }
}

/// Links `number` behind the tail's word, provided that is still in its queue. False when it is not:
/// the guest has emptied the queue.
fn set_link<M: Machine>(machine: &M, page: Mfn, at: usize, number: u32) -> bool {
    let word = machine.load32(page, at);
    match try_link(machine, page, at, word, number) {
        Ok(linked) => return linked,
        Err(()) => machine.fetch_or32(page, at, BUSY),
    };
    // Now the guest may not unmask the tail, so few changes are left to it.
    for _ in 0..TRIES {
        let word = machine.load32(page, at);
        match try_link(machine, page, at, word, number) {
            Ok(true) => return true,
            Ok(false) => break,
            Err(()) => {}
        }
    }
    // Whoever breaks the rules that long loses what is queued; one that has emptied the queue does not.
    machine.fetch_and32(page, at, !BUSY) & LINKED != 0
}

/// One attempt: `Err` if the guest changed the word meanwhile.
#[hot]
fn try_link<M: Machine>(machine: &M, page: Mfn, at: usize, word: u32, number: u32) -> Result<bool, ()> {
    if word & LINKED == 0 {
        return Ok(false);
    }
    let linked = word & !(BUSY | fifo::LINK_MASK) | number;
    machine.compare_exchange32(page, at, word, linked).map(|_| true).map_err(|_| ())
}
