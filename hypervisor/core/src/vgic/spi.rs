//! Hardware interrupts that belong to guests.

use alloc::{sync::Arc, vec::Vec};
use core::sync::atomic::Ordering;

use lock::{LockRarely, RwLock};

use super::state::LOCAL;
use crate::{
    Hypervisor,
    domain::Domain,
    machine::{CpuId, Machine, Trigger},
    vcpu::Vcpu,
};

/// One more than the last interrupt number.
const END: u32 = 1020;

struct Route<M: Machine> {
    spi: u32,
    domain: Arc<Domain<M>>,
    trigger: Trigger,
}

/// Those that have one, by number.
struct Routes<M: Machine>(Vec<Route<M>>);

impl<M: Machine> Routes<M> {
    fn place(&self, spi: u32) -> Result<usize, usize> {
        self.0.binary_search_by_key(&spi, |route| route.spi)
    }

    fn get(&self, spi: u32) -> Option<&Route<M>> {
        self.place(spi).ok().map(|at| &self.0[at])
    }
}

/// Which domain each hardware interrupt belongs to. The guest sees it under the same number.
pub struct SpiTable<M: Machine>(RwLock<Routes<M>>);

impl<M: Machine> SpiTable<M> {
    pub(crate) const fn new() -> Self {
        Self(RwLock::new(Routes(Vec::new())))
    }
}

/// Why an interrupt cannot be given to a domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteError {
    /// It is not an SPI, or the domain has no such interrupt.
    NoSuchInterrupt,
    /// It belongs to a domain already.
    Taken,
    /// There is no memory to note it.
    NoMemory,
}

impl From<RouteError> for xen_abi::Errno {
    fn from(error: RouteError) -> Self {
        match error {
            RouteError::NoSuchInterrupt => Self::EINVAL,
            RouteError::Taken => Self::EBUSY,
            RouteError::NoMemory => Self::ENOMEM,
        }
    }
}

impl<M: Machine> Hypervisor<M> {
    /// Gives a hardware interrupt to a domain.
    pub fn route_guest_spi(
        &self,
        domain: &Arc<Domain<M>>,
        spi: u32,
        trigger: Trigger,
    ) -> Result<(), RouteError> {
        let mut routes = self.spis.0.write();
        let mut vgic = domain.vgic.lock_rarely();
        if !(LOCAL..END.min(vgic.lines())).contains(&spi) {
            return Err(RouteError::NoSuchInterrupt);
        }
        let Err(place) = routes.place(spi) else { return Err(RouteError::Taken) };
        routes.0.try_reserve(1).map_err(|_| RouteError::NoMemory)?;
        let v = vgic.target(spi).unwrap_or(0);
        let bit = 1 << (spi % 32);
        let mut enabled = false;
        if let Some(bank) = vgic.bank_mut(0, spi) {
            bank.hardware |= bit;
            enabled = bank.enabled & bit != 0;
        }
        drop(vgic);
        routes.0.insert(place, Route { spi, domain: domain.clone(), trigger });
        self.machine.route_spi(spi, trigger, self.cpu_of(domain, v));
        self.machine.enable_spi(spi, enabled);
        Ok(())
    }

    /// Takes a hardware interrupt from a domain; false if it was not the domain's.
    pub fn unroute_guest_spi(&self, domain: &Arc<Domain<M>>, spi: u32) -> bool {
        let mut routes = self.spis.0.write();
        let Ok(place) = routes.place(spi) else { return false };
        if !Arc::ptr_eq(&routes.0[place].domain, domain) {
            return false;
        }
        self.machine.enable_spi(spi, false);
        let bit = 1 << (spi % 32);
        let mut vgic = domain.vgic.lock_rarely();
        let held =
            vgic.spi_bank(spi).is_some_and(|bank| bank.holder[spi as usize % 32] != super::state::NOBODY);
        if let Some(bank) = vgic.bank_mut(0, spi) {
            bank.hardware &= !bit;
            let pending = bank.pending & bit != 0;
            bank.pending &= !bit;
            if pending || held {
                self.machine.deactivate(spi);
            }
        }
        drop(vgic);
        routes.0.remove(place);
        true
    }

    /// Gives back the hardware interrupts of a domain whose vCPUs are off.
    pub(crate) fn release_irqs(&self, domain: &Arc<Domain<M>>) {
        loop {
            let next = {
                let routes = self.spis.0.read();
                routes.0.iter().find(|route| Arc::ptr_eq(&route.domain, domain)).map(|route| route.spi)
            };
            match next {
                Some(spi) => self.unroute_guest_spi(domain, spi),
                None => break,
            };
        }
    }

    /// A hardware interrupt was acknowledged, but not deactivated, on this CPU.
    pub fn guest_spi(&self, spi: u32) {
        let routes = self.spis.0.read();
        match routes.get(spi) {
            Some(route) => self.raise_spi(&route.domain, spi, Some(self.machine.this_cpu())),
            None => {
                self.machine.enable_spi(spi, false);
                self.machine.deactivate(spi);
            }
        }
    }

    fn cpu_of(&self, domain: &Domain<M>, v: usize) -> CpuId {
        domain.vcpus().get(v).map_or(CpuId(0), |vcpu| vcpu.sched.cpu())
    }

    /// The guest sent an SPI to another vCPU: sends the hardware interrupt to that one's CPU.
    pub(super) fn redirect_spi(&self, domain: &Arc<Domain<M>>, spi: u32, v: usize) {
        if let Some(route) = self.spis.0.read().get(spi) {
            self.machine.route_spi(spi, route.trigger, self.cpu_of(domain, v));
        }
    }

    /// A vCPU was switched to on `cpu`: its hardware interrupts follow it.
    pub(crate) fn move_spis(&self, domain: &Arc<Domain<M>>, vcpu: &Vcpu<M>, cpu: CpuId) {
        let v = vcpu.id as usize;
        // Only whoever runs the vCPU asks and changes this.
        if vcpu.delivery.cpu.load(Ordering::Relaxed) == cpu.0 {
            return;
        }
        vcpu.delivery.cpu.store(cpu.0, Ordering::Relaxed);
        let mut vgic = domain.vgic.lock();
        vgic.unlink_all(&self.machine, v);
        if !vgic.hardware_of(v) {
            return;
        }
        drop(vgic);
        for route in &self.spis.0.read().0 {
            let here = Arc::ptr_eq(&route.domain, domain) && domain.vgic.lock().target(route.spi) == Some(v);
            if here {
                self.machine.route_spi(route.spi, route.trigger, cpu);
            }
        }
    }
}
