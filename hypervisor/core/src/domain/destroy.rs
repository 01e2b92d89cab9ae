//! Destroying a domain.
//!
//! In stages, each of which can stop at any point and be entered again. Nothing is given back that
//! something still uses: first the vCPUs stop, then mappings go, then what they held, at last the
//! tables. When others hold pages of its memory the domain stays in the list, dead, until the last
//! of them is let go.

use alloc::sync::Arc;

use lock::LockRarely;
use xen_abi::xen::virq;

use super::{Domain, Dying};
use crate::{Hypervisor, grant_table, machine::Machine};

/// Entries of the frame table looked at between two questions whether to stop.
const SWEEP_STEP: u32 = 512;

/// What is to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Stop the vCPUs for good.
    Stop,
    /// Close the event channels and let go of the pages pinned for them.
    Events,
    /// Take the stage-2 tables apart, and give back the memory that they map.
    Tables,
    /// End the mappings of others' grants, from this handle on.
    Grants(u32),
    /// Find memory that was not mapped, from this entry of the frame table on.
    Sweep(u32),
    /// Give back interrupts, and tell the toolstack.
    Finish,
    /// Done.
    Over,
}

impl<M: Machine> Hypervisor<M> {
    /// Destroys a domain, or goes on with it. True when that is done; false when `pause` stopped it.
    /// The caller holds the control lock and does not belong to the domain.
    pub fn destroy_domain(&self, domain: &Arc<Domain<M>>, pause: &mut dyn FnMut() -> bool) -> bool {
        loop {
            let stage = domain.life().stage;
            if stage == Stage::Over {
                return true;
            }
            let next = self.destroy_step(domain, stage, pause);
            let done = next != stage;
            domain.life().stage = next;
            if next != Stage::Over && (!done || pause()) {
                return false;
            }
        }
    }

    fn destroy_step(&self, domain: &Arc<Domain<M>>, stage: Stage, pause: &mut dyn FnMut() -> bool) -> Stage {
        let mem = self.mem();
        match stage {
            Stage::Stop => {
                self.stop_for_good(domain);
                Stage::Events
            }
            Stage::Events if self.destroy_events(domain, pause) => {
                self.disconnect_uart(domain);
                Stage::Tables
            }
            Stage::Tables if domain.p2m(mem).tear_down(&mut *pause) => Stage::Grants(0),
            Stage::Grants(from) => match grant_table::release_all(self, domain, from, pause) {
                Some(next) => Stage::Grants(next),
                None => Stage::Sweep(0),
            },
            Stage::Sweep(_) if domain.account.allocated() == 0 => Stage::Finish,
            // After the last entry from the start again: a page may have been on its way in.
            Stage::Sweep(from) => {
                let next = mem.frames.sweep(mem.machine, &domain.account, from, SWEEP_STEP);
                Stage::Sweep(next.unwrap_or(0))
            }
            Stage::Finish => {
                self.finish_destroying(domain);
                Stage::Over
            }
            unfinished => unfinished,
        }
    }

    fn stop_for_good(&self, domain: &Arc<Domain<M>>) {
        {
            let mut life = domain.life();
            life.dying = Dying::Dying;
            self.pause_vcpus(domain);
        }
        domain.account.close();
        // Dropping a claim cannot fail.
        let _ = self.frames.claim(&domain.account, 0);
        self.wait_until_all_off(domain);
        self.retire_vcpus(domain);
    }

    fn finish_destroying(&self, domain: &Arc<Domain<M>>) {
        self.release_irqs(domain);
        domain.life().dying = Dying::Dead;
        self.send_global_virq(virq::DOM_EXC);
        self.bury(domain);
    }

    /// Lets go of domains whose last page has come back. Called where no lock is held.
    #[inline]
    pub fn bury_dead(&self) {
        if self.frames.take_emptied() {
            self.bury_all_dead();
        }
    }

    #[cold]
    #[inline(never)]
    fn bury_all_dead(&self) {
        for domain in self.domains.iter() {
            self.bury(&domain);
        }
    }

    /// Forgets a dead domain of whose memory nothing is left.
    fn bury(&self, domain: &Arc<Domain<M>>) {
        let dead = domain.life().dying == Dying::Dead;
        if !dead || domain.account.owned() != 0 || self.domains.remove(domain.id).is_none() {
            return;
        }
        domain.give_back(self);
        self.frames.forget(domain.id);
        self.forget_vcpus(domain.vcpus().len());
        self.send_global_virq(virq::DOM_EXC);
    }
}

impl<M: Machine> Domain<M> {
    /// Gives back what is not counted as the domain's memory.
    pub(super) fn give_back(&self, hv: &Hypervisor<M>) {
        let mem = hv.mem();
        self.grants.lock_rarely().free(mem);
        mem.frames.end_loan(mem.machine, self.shared_info);
        let p2m = self.p2m.lock_rarely();
        p2m.discard(mem);
        hv.domains.vmids.give(p2m.vmid());
    }
}
