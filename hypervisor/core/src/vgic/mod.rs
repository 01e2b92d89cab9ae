//! The virtual interrupt controller: what a guest programs, and how interrupts reach it.
//!
//! [`Vgic`] holds all of a domain's interrupts behind one lock. An interrupt for the vCPU that is
//! loaded on this CPU goes to a list register at once. For any other vCPU it is noted as pending, and
//! the vCPU marked ([`Delivery`]): the CPU that enters it next fills its list registers first.
//!
//! Virtual interrupts are edges: raising one makes it pending once, and nothing takes that back.

mod redistributor;
mod registers;
mod slots;
mod spi;
#[cfg(test)]
mod spi_tests;
mod state;
#[cfg(test)]
mod tests;
mod v2;
mod v3;
#[cfg(test)]
mod v3_tests;

use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use lock::{LockRarely, MutexGuard};
use xen_abi::arch::{gic, layout};

use crate::{
    Hypervisor,
    current::Current,
    domain::Domain,
    machine::{CpuId, Machine},
    vcpu::Vcpu,
};

pub use spi::{RouteError, SpiTable};
pub use state::{LOCAL, SGIS, Vgic};
pub(crate) use v3::GICD_SIZE as GICV3_GICD_SIZE;
pub use v3::Redistributors;

/// An access that the controller does not have: a data abort to the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unhandled;

/// Where a guest finds its interrupt controller, and which private interrupts it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GuestInterrupts {
    /// Address of the distributor.
    pub gicd: u64,
    /// Where the redistributors of version 3 are; none for version 2.
    pub redistributors: Option<Redistributors>,
    /// The virtual timer's.
    pub virtual_timer: u32,
    /// The (non-secure) physical timer's.
    pub physical_timer: u32,
    /// That of events.
    pub events: u32,
}

impl Default for GuestInterrupts {
    /// As the virtual board has them.
    fn default() -> Self {
        Self {
            gicd: layout::GICD_BASE,
            redistributors: None,
            virtual_timer: layout::TIMER_VIRT_PPI,
            physical_timer: layout::TIMER_PHYS_NS_PPI,
            events: layout::EVTCHN_PPI,
        }
    }
}

impl GuestInterrupts {
    /// As the virtual board has them, with this version of the controller.
    pub fn guest(version: u8) -> Self {
        match version {
            gic::V3 => Self {
                gicd: layout::GICV3_GICD_BASE,
                redistributors: Some(Redistributors::GUEST),
                ..Self::default()
            },
            _ => Self::default(),
        }
    }
}

/// vCPUs that a version of the controller can tell apart, as far as the hypervisor goes; none for a
/// version that there is not.
pub fn max_vcpus(version: u8) -> u32 {
    match version {
        gic::V2 => 8,
        // As Xen for AArch32.
        gic::V3 if cfg!(target_arch = "arm") => 8,
        gic::V3 => layout::MAX_VCPUS,
        _ => 0,
    }
}

/// Whether a vCPU's list registers have to be brought up to date before it goes on.
#[derive(Default)]
pub struct Delivery {
    stale: AtomicBool,
    /// List registers may have shared interrupts, whose ends concern others. Only the CPU where the vCPU is
    /// loaded looks at this.
    shared: AtomicBool,
    /// The CPU to which its hardware interrupts go.
    cpu: AtomicU32,
}

impl Delivery {
    pub(crate) fn is_stale(&self) -> bool {
        self.stale.load(Ordering::Relaxed)
    }

    /// Says so; true if nobody had.
    pub(crate) fn mark(&self) -> bool {
        !self.stale.swap(true, Ordering::SeqCst)
    }

    fn begin(&self) {
        self.stale.swap(false, Ordering::SeqCst);
    }
}

impl<M: Machine> Hypervisor<M> {
    /// Raises a private interrupt of the vCPU that is loaded here; `source` is an SGI's sender.
    #[hot]
    pub(crate) fn inject_here(&self, domain: &Arc<Domain<M>>, vcpu: &Vcpu<M>, virq: u32, source: u8) {
        let mut vgic = domain.vgic.lock();
        let enabled = vgic.deliver(&self.machine, vcpu.id as usize, virq, source);
        drop(vgic);
        if enabled {
            self.wake(domain, vcpu);
        }
    }

    /// Raises a private interrupt of any vCPU; nothing if that is down.
    pub(crate) fn inject_private(&self, domain: &Arc<Domain<M>>, vcpu: &Vcpu<M>, virq: u32) {
        self.inject_from(domain, vcpu, virq, 0);
    }

    #[hot]
    #[inline]
    fn inject_from(&self, domain: &Arc<Domain<M>>, vcpu: &Vcpu<M>, virq: u32, source: u8) {
        if self.is_loaded_here(vcpu) {
            self.inject_here(domain, vcpu, virq, source);
        } else {
            self.inject_elsewhere(domain, vcpu, virq, source);
        }
    }

    #[hot]
    #[inline(never)]
    fn inject_elsewhere(&self, domain: &Arc<Domain<M>>, vcpu: &Vcpu<M>, virq: u32, source: u8) {
        if vcpu.sched.is_down() {
            return;
        }
        let mut vgic = domain.vgic.lock();
        let wakes = vgic.pend(vcpu.id as usize, virq, source);
        drop(vgic);
        if wakes {
            self.deliver_to(domain, vcpu, false);
        }
    }

    /// Raises a shared interrupt of a domain.
    pub fn inject_spi(&self, domain: &Arc<Domain<M>>, spi: u32) {
        self.raise_spi(domain, spi, None);
    }

    /// The same; with the CPU that acknowledged it, for one that hardware raised.
    #[hot]
    fn raise_spi(&self, domain: &Arc<Domain<M>>, spi: u32, taken_by: Option<CpuId>) {
        let mut vgic = domain.vgic.lock();
        if let Some(cpu) = taken_by {
            vgic.note_taken(spi, cpu);
        }
        // A vCPU loaded here may have ended the last one: then this one goes where it is sent now.
        if let Some(v) = vgic.goes_to(spi)
            && domain.vcpus_quickly().get(v).is_some_and(|vcpu| self.is_loaded_here(vcpu))
        {
            vgic.reclaim(&self.machine, v);
        }
        let Some(v) = vgic.goes_to(spi) else { return };
        let Some(vcpu) = domain.vcpus_quickly().get(v) else { return };
        let here = self.is_loaded_here(vcpu);
        if here {
            vgic.deliver(&self.machine, v, spi, 0);
            vcpu.delivery.shared.store(true, Ordering::Relaxed);
        } else {
            vgic.pend(v, spi, 0);
        }
        let wakes = vgic.is_enabled(v, spi) && !vcpu.sched.is_down();
        // Another vCPU that holds it may have ended it.
        vgic.cpus[v].recheck |= !here;
        drop(vgic);
        if wakes {
            self.deliver_to(domain, vcpu, here);
        }
    }

    fn is_loaded_here(&self, vcpu: &Vcpu<M>) -> bool {
        vcpu.sched.is_loaded_on(self.machine.this_cpu())
    }

    /// Something is pending for a vCPU: makes it notice.
    #[hot]
    fn deliver_to(&self, domain: &Arc<Domain<M>>, vcpu: &Vcpu<M>, here: bool) {
        if !here && vcpu.delivery.mark() && vcpu.sched.is_loaded() {
            self.machine.kick(vcpu.sched.cpu());
        }
        self.wake(domain, vcpu);
    }

    /// Makes every vCPU notice for which something is pending, but for the one that is looking.
    fn hand_over(&self, domain: &Arc<Domain<M>>, looking: &Vcpu<M>) {
        for vcpu in domain.vcpus_quickly() {
            let other = vcpu.id != looking.id && !vcpu.sched.is_down();
            if other && domain.vgic.lock().has_pending(vcpu.id as usize) {
                self.deliver_to(domain, vcpu, false);
            }
        }
    }

    /// Brings the list registers of the loaded vCPU up to date, after they were marked stale.
    pub(crate) fn refill_list_registers(&self, domain: &Arc<Domain<M>>, vcpu: &Vcpu<M>) {
        vcpu.delivery.begin();
        let mut vgic = domain.vgic.lock();
        if !vgic.refill_quickly(&self.machine, vcpu.id as usize) {
            vgic.refill(&self.machine, vcpu.id as usize);
            self.settle(domain, vcpu, vgic);
        }
    }

    /// The maintenance interrupt of this CPU's virtual interface: list registers ran empty, or one tells that its
    /// interrupt was ended.
    pub fn maintenance_interrupt(&self, current: &mut Current<'_, M>) {
        current.vcpu.delivery.begin();
        let mut vgic = current.domain.vgic.lock();
        vgic.refill(&self.machine, current.vcpu.id as usize);
        self.settle(current.domain, current.vcpu, vgic);
    }

    /// The list registers are about to be saved: afterwards the core cannot look at them. When private
    /// interrupts end matters to nobody else.
    #[inline]
    pub(crate) fn settle_list_registers(&self, domain: &Arc<Domain<M>>, vcpu: &Vcpu<M>) {
        if vcpu.delivery.shared.load(Ordering::Relaxed) {
            let mut vgic = domain.vgic.lock();
            vgic.reclaim_shared(&self.machine, vcpu.id as usize);
            self.settle(domain, vcpu, vgic);
        }
    }

    /// Notes what the list registers of the loaded vCPU have by now, and passes on what they do not have any more.
    #[hot]
    #[inline(never)]
    fn settle(&self, domain: &Arc<Domain<M>>, vcpu: &Vcpu<M>, mut vgic: MutexGuard<'_, Vgic>) {
        vcpu.delivery.shared.store(vgic.holds_shared(vcpu.id as usize), Ordering::Relaxed);
        let orphans = vgic.take_orphans();
        drop(vgic);
        if orphans {
            self.hand_over(domain, vcpu);
        }
    }

    /// Whether an interrupt waits for the loaded vCPU, masked by it or not.
    #[hot]
    pub(crate) fn has_interrupt(&self, current: &Current<'_, M>) -> bool {
        let vgic = current.domain.vgic.lock();
        let v = current.vcpu.id as usize;
        vgic.has_pending(v) || vgic.holds_pending(&self.machine, v)
    }

    /// The interrupt state of a vCPU that is being switched on: nothing is pending.
    pub(crate) fn reset_interrupts(&self, domain: &Domain<M>, vcpu: &Vcpu<M>) {
        domain.vgic.lock_rarely().reset_cpu(vcpu.id as usize);
        vcpu.delivery.mark();
    }
}
