//! The list registers of a vCPU: what the core has put into each, and what became of it.
//!
//! They are read only where it matters. An interrupt that the guest has ended keeps its register
//! until somebody needs one, so the usual ones (timer, events, one SGI) come back to theirs with one
//! read and one write.

use super::state::{Bank, LOCAL, SGIS, Vgic};
use crate::machine::{ListRegister, Machine};

/// List registers that are used at most.
pub(super) const MAX_SLOTS: usize = 16;

const SOURCE_SHIFT: u32 = 10;

/// An interrupt in a list register: number, and sender of an SGI.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Slot(u16);

impl Slot {
    fn new(virq: u32, source: u8) -> Self {
        Self((virq | u32::from(source & 7) << SOURCE_SHIFT) as u16)
    }

    fn virq(self) -> u32 {
        u32::from(self.0) & ((1 << SOURCE_SHIFT) - 1)
    }

    fn source(self) -> u8 {
        (self.0 >> SOURCE_SHIFT) as u8
    }
}

/// A vCPU's own interrupts and its list registers.
pub(super) struct Interface {
    pub(super) bank: Bank,
    /// Of each SGI: one bit for each vCPU that sent it and whose SGI is pending.
    pub(super) sources: [u8; SGIS as usize],
    slots: [Slot; MAX_SLOTS],
    /// One bit for each slot that holds an interrupt, perhaps one that the guest has ended.
    used: u32,
    /// Those of them that hold a shared interrupt.
    shared: u32,
    /// Those of them whose end deactivates nothing: hardware interrupts that another CPU acknowledged.
    unlinked: u32,
    /// Slots may hold what is no longer enabled.
    pub(super) recheck: bool,
    /// The vCPU was reset: its list registers hold nothing that counts.
    pub(super) reset: bool,
    underflow: bool,
}

impl Interface {
    pub(super) fn new() -> Self {
        Self {
            bank: Bank::new(),
            sources: [0; SGIS as usize],
            slots: [Slot(0); MAX_SLOTS],
            used: 0,
            shared: 0,
            unlinked: 0,
            recheck: false,
            reset: false,
            underflow: false,
        }
    }

    /// Whether a list register has interrupt `virq`, of whichever sender.
    pub(super) fn holds(&self, virq: u32) -> bool {
        self.used_slots().any(|(_, slot)| slot.virq() == virq)
    }

    #[inline]
    fn find(&self, wanted: Slot) -> Option<usize> {
        let mut used = self.used;
        while used != 0 {
            let n = used.trailing_zeros() as usize;
            if self.slots[n % MAX_SLOTS] == wanted {
                return Some(n % MAX_SLOTS);
            }
            used &= used - 1;
        }
        None
    }

    /// Notes that a private interrupt is pending; `source` is an SGI's sender. Says whether it is enabled.
    #[inline]
    pub(super) fn pend(&mut self, virq: u32, source: u8) -> bool {
        if let Some(sources) = self.sources.get_mut(virq as usize) {
            *sources |= 1 << (source & 7);
        }
        self.bank.pend(virq)
    }

    /// Notes that it has gone to a list register.
    #[inline]
    pub(super) fn placed(&mut self, virq: u32, source: u8) {
        if let Some(sources) = self.sources.get_mut(virq as usize) {
            *sources &= !(1 << (source & 7));
            if *sources != 0 {
                return;
            }
        }
        self.bank.placed(virq);
    }

    /// The lowest of the vCPUs whose SGI is pending; 0 for any other interrupt.
    #[inline]
    pub(super) fn source_of(&self, virq: u32) -> u8 {
        match self.sources.get(virq as usize) {
            Some(sources) if *sources != 0 => sources.trailing_zeros() as u8,
            _ => 0,
        }
    }

    /// The usual case: a private interrupt that is enabled, and whose list register is known.
    #[inline(always)]
    fn deliver_quickly<M: Machine>(&mut self, machine: &M, virq: u32, source: u8) -> bool {
        if self.bank.enabled >> (virq % 32) & 1 == 0 {
            return false;
        }
        let Some(slot) = self.find(Slot::new(virq, source)) else { return false };
        let priority = self.bank.priority[virq as usize % 32];
        let fresh = ListRegister { virq, priority, pending: true, source, ..ListRegister::default() };
        machine.pend_list_register(slot, fresh)
    }

    /// The usual refill: nothing but private interrupts, whose list registers are known. False if anything is
    /// left to do.
    #[inline]
    fn refill_quickly<M: Machine>(&mut self, machine: &M) -> bool {
        if self.reset | self.recheck | self.underflow {
            return false;
        }
        loop {
            let waiting = self.bank.pending & self.bank.enabled;
            if waiting == 0 {
                return true;
            }
            let virq = waiting.trailing_zeros();
            let source = self.source_of(virq);
            if !self.deliver_quickly(machine, virq, source) {
                return false;
            }
            self.placed(virq, source);
        }
    }

    fn unused(&self, count: usize) -> Option<usize> {
        let n = self.used.trailing_ones() as usize;
        (n < count.min(MAX_SLOTS)).then_some(n)
    }

    fn used_slots(&self) -> impl Iterator<Item = (usize, Slot)> + use<> {
        let (slots, mut used) = (self.slots, self.used);
        core::iter::from_fn(move || {
            let n = used.checked_ilog2().map(|_| used.trailing_zeros() as usize % MAX_SLOTS)?;
            used &= used - 1;
            Some((n, slots[n]))
        })
    }
}

/// What became of an attempt to put an interrupt into a list register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Placing {
    Done,
    /// It has to wait until the guest ends it.
    Deferred,
    /// There is no register.
    Full,
}

impl Vgic {
    /// Delivers an interrupt to vCPU `v`, which is loaded here. Says whether it is enabled.
    #[hot]
    pub(super) fn deliver<M: Machine>(&mut self, machine: &M, v: usize, virq: u32, source: u8) -> bool {
        if virq < LOCAL
            && let Some(cpu) = self.cpus.get_mut(v)
            && cpu.deliver_quickly(machine, virq, source)
        {
            return true;
        }
        let enabled = self.is_enabled(v, virq);
        if !enabled {
            self.pend(v, virq, source);
        } else if self.try_place(machine, v, virq, source) != Placing::Done {
            self.pend(v, virq, source);
            self.place(machine, v, virq, source);
        }
        enabled
    }

    /// Puts a pending interrupt of vCPU `v`, which is loaded here, into a list register. False when
    /// it has to wait.
    #[hot]
    pub(super) fn place<M: Machine>(&mut self, machine: &M, v: usize, virq: u32, source: u8) -> bool {
        let placing = self.try_place(machine, v, virq, source);
        match placing {
            Placing::Done => self.placed(v, virq, source),
            Placing::Deferred => {
                self.defer(v, virq);
                self.want_underflow(machine, v, true);
            }
            Placing::Full => self.want_underflow(machine, v, true),
        }
        placing == Placing::Done
    }

    #[hot]
    fn try_place<M: Machine>(&mut self, machine: &M, v: usize, virq: u32, source: u8) -> Placing {
        let wanted = Slot::new(virq, source);
        let mut fresh = self.register(machine, v, virq, source);
        let Some(cpu) = self.cpus.get_mut(v) else { return Placing::Full };
        if let Some(n) = cpu.find(wanted) {
            if cpu.unlinked >> n & 1 != 0 {
                (fresh.hw, fresh.tells) = (None, true);
            }
            if !machine.pend_list_register(n, fresh) {
                return Placing::Deferred;
            }
            if fresh.tells {
                self.unlink(machine, v, n);
            }
            return Placing::Done;
        }
        let count = machine.list_register_count();
        let n = match cpu.unused(count) {
            Some(n) => n,
            None => match self.make_room(machine, v, fresh.priority) {
                Some(n) => n,
                None => return Placing::Full,
            },
        };
        let cpu = &mut self.cpus[v];
        cpu.used |= 1 << n;
        cpu.slots[n] = wanted;
        if virq >= LOCAL {
            cpu.shared |= 1 << n;
            cpu.unlinked |= u32::from(fresh.tells) << n;
            self.hold(virq, v);
        }
        machine.write_list_register(n, fresh);
        Placing::Done
    }

    fn register<M: Machine>(&self, machine: &M, v: usize, virq: u32, source: u8) -> ListRegister {
        let hardware = self.is_hardware(virq);
        let linked = hardware && (machine.ends_anywhere() || self.was_taken_by(virq, machine.this_cpu()));
        ListRegister {
            virq,
            hw: linked.then_some(virq),
            priority: self.priority(v, virq),
            pending: true,
            active: false,
            source,
            tells: hardware && !linked,
        }
    }

    /// vCPU `v` is loaded on another CPU than before: what that one acknowledged, a guest's end does not
    /// deactivate from here.
    pub(super) fn unlink_all<M: Machine>(&mut self, machine: &M, v: usize) {
        let Some(cpu) = self.cpus.get(v) else { return };
        if machine.ends_anywhere() || cpu.shared == 0 {
            return;
        }
        for (n, slot) in cpu.used_slots() {
            if self.is_hardware(slot.virq()) && !machine.read_list_register(n).is_free() {
                self.unlink(machine, v, n);
            }
        }
    }

    #[hot]
    fn unlink<M: Machine>(&mut self, machine: &M, v: usize, n: usize) {
        self.cpus[v].unlinked |= 1 << n;
        let lr = machine.read_list_register(n);
        if lr.hw.is_some() {
            machine.write_list_register(n, ListRegister { hw: None, tells: true, ..lr });
        }
    }

    fn make_room<M: Machine>(&mut self, machine: &M, v: usize, priority: u8) -> Option<usize> {
        self.reclaim(machine, v);
        let free = self.cpus[v].unused(machine.list_register_count());
        free.or_else(|| self.evict(machine, v, priority))
    }

    /// Lets go of list registers whose interrupts the guest has ended.
    #[hot]
    pub(super) fn reclaim<M: Machine>(&mut self, machine: &M, v: usize) {
        let used = self.cpus.get(v).map_or(0, |cpu| cpu.used);
        if used != 0 {
            self.reclaim_of(machine, v, used);
        }
    }

    /// The same, where they had shared interrupts.
    pub(super) fn reclaim_shared<M: Machine>(&mut self, machine: &M, v: usize) {
        let shared = self.cpus.get(v).map_or(0, |cpu| cpu.shared);
        self.reclaim_of(machine, v, shared);
    }

    /// Whether list registers of vCPU `v` have, or had, shared interrupts.
    pub(super) fn holds_shared(&self, v: usize) -> bool {
        self.cpus.get(v).is_some_and(|cpu| cpu.shared != 0)
    }

    #[hot]
    #[inline(never)]
    fn reclaim_of<M: Machine>(&mut self, machine: &M, v: usize, some: u32) {
        let mut ended = machine.empty_list_registers() as u32 & some;
        while ended != 0 {
            let n = ended.trailing_zeros() as usize;
            ended &= ended - 1;
            self.release(v, n % MAX_SLOTS);
        }
        if self.cpus[v].unlinked & some != 0 {
            self.end_unlinked(machine, v);
        }
    }

    /// Deactivates what the guest has ended without that.
    #[cold]
    fn end_unlinked<M: Machine>(&mut self, machine: &M, v: usize) {
        for n in 0..MAX_SLOTS {
            if self.cpus[v].unlinked >> n & 1 == 0 || !machine.read_list_register(n).is_free() {
                continue;
            }
            // It would go on to tell.
            machine.write_list_register(n, ListRegister::default());
            let virq = self.cpus[v].slots[n].virq();
            if self.is_hardware(virq) {
                machine.deactivate(virq);
            }
            self.release(v, n);
        }
    }

    #[hot]
    fn release(&mut self, v: usize, n: usize) {
        let virq = self.cpus[v].slots[n].virq();
        self.cpus[v].used &= !(1 << n);
        self.cpus[v].shared &= !(1 << n);
        self.cpus[v].unlinked &= !(1 << n);
        if virq >= LOCAL {
            self.let_go(virq, v);
        }
    }

    /// Takes back the least urgent interrupt that the guest has not taken yet, if it is less urgent
    /// than `priority`.
    fn evict<M: Machine>(&mut self, machine: &M, v: usize, priority: u8) -> Option<usize> {
        let waiting = self.cpus[v].used_slots().filter_map(|(n, _)| {
            let lr = machine.read_list_register(n);
            (lr.pending && !lr.active && lr.priority > priority).then_some((n, lr.priority))
        });
        let (n, _) = waiting.max_by_key(|(_, priority)| *priority)?;
        self.take_back(machine, v, n);
        // Nobody else asks for it to come back.
        self.want_underflow(machine, v, true);
        Some(n)
    }

    #[hot]
    fn take_back<M: Machine>(&mut self, machine: &M, v: usize, n: usize) {
        let slot = self.cpus[v].slots[n];
        machine.write_list_register(n, ListRegister::default());
        self.pend(v, slot.virq(), slot.source());
        self.release(v, n);
    }

    /// Takes back what is pending in a list register but not enabled any more.
    fn withdraw_disabled<M: Machine>(&mut self, machine: &M, v: usize) {
        for (n, slot) in self.cpus[v].used_slots() {
            if self.is_enabled(v, slot.virq()) {
                continue;
            }
            let lr = machine.read_list_register(n);
            match (lr.pending, lr.active) {
                (true, false) => self.take_back(machine, v, n),
                (true, true) => {
                    machine.write_list_register(n, ListRegister { pending: false, ..lr });
                    self.pend(v, slot.virq(), slot.source());
                }
                _ => {}
            }
        }
    }

    fn clear_slots<M: Machine>(&mut self, machine: &M, v: usize) {
        for (n, slot) in self.cpus[v].used_slots() {
            // The end of an unlinked one has deactivated nothing.
            let in_flight = self.cpus[v].unlinked >> n & 1 != 0 || !machine.read_list_register(n).is_free();
            if self.is_hardware(slot.virq()) && in_flight {
                machine.deactivate(slot.virq());
            }
            machine.write_list_register(n, ListRegister::default());
            self.release(v, n);
        }
    }

    /// Brings the list registers of vCPU `v`, which is loaded here, up to date, if only private interrupts wait.
    #[inline]
    pub(super) fn refill_quickly<M: Machine>(&mut self, machine: &M, v: usize) -> bool {
        !self.has_spi_news() && self.cpus.get_mut(v).is_some_and(|cpu| cpu.refill_quickly(machine))
    }

    /// The same, whatever waits.
    #[hot]
    #[inline(never)]
    pub(super) fn refill<M: Machine>(&mut self, machine: &M, v: usize) {
        let Some(cpu) = self.cpus.get_mut(v) else { return };
        let (reset, recheck) = (cpu.reset, cpu.recheck);
        (cpu.reset, cpu.recheck) = (false, false);
        if reset {
            self.clear_slots(machine, v);
        }
        self.reclaim(machine, v);
        if recheck {
            self.withdraw_disabled(machine, v);
        }
        self.retry_deferred(v);
        let mut all = true;
        while let Some((virq, source)) = self.next_candidate(v) {
            let placed = self.place(machine, v, virq, source);
            all &= placed;
            if !placed && !self.is_deferred(v, virq) {
                break;
            }
        }
        if all {
            self.want_underflow(machine, v, false);
        }
    }

    #[hot]
    fn want_underflow<M: Machine>(&mut self, machine: &M, v: usize, on: bool) {
        if let Some(cpu) = self.cpus.get_mut(v)
            && cpu.underflow != on
        {
            cpu.underflow = on;
            machine.set_underflow_interrupt(on);
        }
    }

    /// Whether the guest has something to take in the list registers of vCPU `v`, loaded here.
    pub(super) fn holds_pending<M: Machine>(&self, machine: &M, v: usize) -> bool {
        let Some(cpu) = self.cpus.get(v) else { return false };
        let mut full = cpu.used & !(machine.empty_list_registers() as u32);
        while full != 0 {
            let n = full.trailing_zeros() as usize;
            full &= full - 1;
            if machine.read_list_register(n).pending {
                return true;
            }
        }
        false
    }
}
