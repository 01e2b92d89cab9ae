//! Event channels.
//!
//! Four locks, taken in this order: `Events::bind` of one or two domains (by domid), which covers
//! every change of what ports are; a port's own, which is enough to send through it; and
//! `Events::delivery`, which covers how the domain learns of events, 2-level or FIFO. Delivery ends
//! with the event interrupt, which is raised with the last of them released.

mod bind;
mod fifo;
mod hypercall;
mod port;
mod reset;
#[cfg(test)]
mod tests;
mod two_level;
mod vcpu;
mod virq;

use alloc::sync::Arc;
use core::sync::atomic::{AtomicU32, Ordering};

use lock::{LockRarely, Mutex, MutexGuard, RareMutex};
use xen_abi::{Errno, event_channel::NR_CHANNELS_2L, event_channel::fifo::NR_CHANNELS};

use crate::{Hypervisor, domain::Domain, machine::Machine, vcpu::Vcpu};
use fifo::Fifo;
use port::{Port, Ports, State};

pub use hypercall::event_channel_op;
pub use vcpu::VcpuEvents;
pub use virq::VirqHandlers;

/// How a domain learns of events.
enum Delivery {
    TwoLevel,
    Fifo(Fifo),
}

/// What raising an event changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Raised {
    /// It was not pending before.
    news: bool,
    /// The vCPU has to be told.
    upcall: bool,
}

impl Raised {
    const NOTHING: Self = Self { news: false, upcall: false };
}

/// What covers the changes of a domain's ports.
struct Binding {
    /// No port below is free.
    first_free: u32,
    /// How many ports are neither free, reserved nor the hypervisor's.
    active: u32,
    /// While a reset goes on: the port to go on with. 0 when none does.
    reset_from: u32,
    /// The domain is dying: it gets no more ports.
    dead: bool,
}

/// The event channels of a domain.
pub struct Events<M: Machine> {
    bind: RareMutex<Binding>,
    ports: Ports<M>,
    /// The highest port that the domain may have.
    highest: u32,
    delivery: Mutex<Delivery>,
    /// One bit for each vCPU (modulo 32) that sleeps until a port is pending.
    pollers: AtomicU32,
}

impl<M: Machine> Events<M> {
    /// No ports yet, and none above `highest`.
    pub fn new(highest: u32) -> Result<Self, Errno> {
        let events = Self {
            bind: RareMutex::new(Binding { first_free: 1, active: 0, reset_from: 0, dead: false }),
            ports: Ports::new(highest)?,
            highest,
            delivery: Mutex::new(Delivery::TwoLevel),
            pollers: AtomicU32::new(0),
        };
        *events.ports.make(0)?.state.lock_rarely() = State::Reserved;
        Ok(events)
    }

    /// A port that was made at some time.
    #[inline]
    fn port(&self, port: u32) -> Result<&Port<M>, Errno> {
        self.ports.get(port).ok_or(Errno::EINVAL)
    }
}

impl Delivery {
    /// One more than the highest port that this way can tell of.
    fn end(&self) -> u32 {
        match self {
            Self::TwoLevel => NR_CHANNELS_2L,
            Self::Fifo(_) => NR_CHANNELS,
        }
    }
}

impl<M: Machine> Hypervisor<M> {
    /// Raises an event on a port of `domain`, whose lock (or that of the port connected to it) the
    /// caller holds.
    #[hot]
    fn set_pending(&self, domain: &Arc<Domain<M>>, number: u32, port: &Port<M>) {
        let v = port.vcpu.load(Ordering::Relaxed);
        let Some(vcpu) = domain.vcpus_quickly().get(v as usize) else {
            // The hypervisor has ports for nothing else.
            return self.uart_notified(domain);
        };
        let delivery = domain.events.delivery.lock();
        // What is pending already is frequent, and all that is to be done.
        if matches!(*delivery, Delivery::TwoLevel)
            && !two_level::mark_pending(&self.machine, domain.shared_info, number)
        {
            return;
        }
        self.became_pending(domain, vcpu, number, port, delivery);
    }

    #[hot]
    #[inline(never)]
    fn became_pending(
        &self,
        domain: &Arc<Domain<M>>,
        vcpu: &Vcpu<M>,
        number: u32,
        port: &Port<M>,
        mut delivery: MutexGuard<'_, Delivery>,
    ) {
        let raised = match &mut *delivery {
            Delivery::TwoLevel => {
                let upcall =
                    two_level::marked_pending(&self.machine, domain.shared_info, number, &vcpu.events);
                Raised { news: true, upcall }
            }
            Delivery::Fifo(fifo) => fifo.set_pending(&self.machine, number, port, vcpu.id),
        };
        if raised != Raised::NOTHING {
            self.follow_up(domain, vcpu, number, raised, delivery);
        }
    }

    /// Tells the vCPU, and whoever polls. `delivery` is released before that has any effect.
    #[hot]
    #[inline]
    fn follow_up(
        &self,
        domain: &Arc<Domain<M>>,
        vcpu: &Vcpu<M>,
        number: u32,
        raised: Raised,
        delivery: MutexGuard<'_, Delivery>,
    ) {
        // The flag says that the interrupt has been raised and not been seen yet.
        let upcall = raised.upcall
            && vcpu
                .events
                .info()
                .is_some_and(|(mfn, at)| self.machine.swap8(mfn, at + vcpu::UPCALL_PENDING, 1) == 0);
        drop(delivery);
        if upcall {
            self.inject_private(domain, vcpu, domain.config.interrupts.events);
        }
        if raised.news && domain.events.pollers.load(Ordering::SeqCst) != 0 {
            self.wake_pollers(domain, number);
        }
    }

    fn is_event_pending(&self, domain: &Domain<M>, number: u32) -> bool {
        match &*domain.events.delivery.lock_rarely() {
            Delivery::TwoLevel if !Delivery::has_bit(number) => false,
            Delivery::TwoLevel => two_level::is_pending(&self.machine, domain.shared_info, number),
            Delivery::Fifo(fifo) => fifo.is_pending(&self.machine, number),
        }
    }

    fn clear_pending(&self, domain: &Domain<M>, number: u32, port: &Port<M>) {
        port.early.store(false, Ordering::Relaxed);
        match &*domain.events.delivery.lock_rarely() {
            // A port that was made while the domain used FIFOs has no bit.
            Delivery::TwoLevel if Delivery::has_bit(number) => {
                two_level::clear_pending(&self.machine, domain.shared_info, number);
            }
            Delivery::TwoLevel => {}
            Delivery::Fifo(fifo) => fifo.clear_pending(&self.machine, number),
        }
    }
}
