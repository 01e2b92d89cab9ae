//! Closing everything: on the guest's wish, and at its end.

use alloc::sync::Arc;

use lock::LockRarely;
use xen_abi::{Domid, Errno};

use super::{Delivery, two_level};
use crate::{Hypervisor, current::Current, domain::Domain, machine::Machine};

/// Ports closed between two questions whether to stop.
const STEP: u32 = 64;

impl<M: Machine> Current<'_, M> {
    /// EVTCHNOP_reset. False when it has to be continued.
    pub(super) fn op_reset(&self, dom: Domid, resuming: bool) -> Result<bool, Errno> {
        let domain = self.target(dom)?;
        if !Arc::ptr_eq(&domain, self.domain) && !domain.life().is_paused() {
            return Err(Errno::EINVAL);
        }
        {
            let mut bind = domain.events.bind.lock();
            // To go on, there must be something to go on with; to begin, there must not.
            if (bind.reset_from != 0) != resuming {
                return Err(Errno::EBUSY);
            }
            bind.reset_from = bind.reset_from.max(1);
        }
        if !self.hv.close_ports(&domain, &mut || self.must_stop()) {
            return Ok(false);
        }
        self.hv.end_reset(&domain)?;
        Ok(true)
    }
}

impl<M: Machine> Hypervisor<M> {
    /// Closes a domain's ports from where the reset is. False when `pause` stopped it.
    fn close_ports(&self, domain: &Arc<Domain<M>>, pause: &mut dyn FnMut() -> bool) -> bool {
        let mut number = domain.events.bind.lock().reset_from;
        while domain.events.port(number).is_ok() {
            // Most are closed already.
            let _ = self.close_port(domain, number);
            number += 1;
            if number.is_multiple_of(STEP) && pause() {
                domain.events.bind.lock().reset_from = number;
                return false;
            }
        }
        true
    }

    fn end_reset(&self, domain: &Arc<Domain<M>>) -> Result<(), Errno> {
        let old = {
            let mut bind = domain.events.bind.lock();
            bind.reset_from = 0;
            if bind.active != 0 {
                return Err(Errno::EAGAIN);
            }
            let mut delivery = domain.events.delivery.lock_rarely();
            match core::mem::replace(&mut *delivery, Delivery::TwoLevel) {
                Delivery::TwoLevel => return Ok(()),
                old @ Delivery::Fifo(_) => {
                    two_level::reset(&self.machine, domain.shared_info);
                    old
                }
            }
        };
        self.release_delivery(old);
        Ok(())
    }

    fn release_delivery(&self, delivery: Delivery) {
        if let Delivery::Fifo(fifo) = delivery {
            for mfn in fifo.into_frames() {
                self.frames.let_go(&self.machine, mfn);
            }
        }
    }

    /// Closes all ports of a dying domain and lets go of the pages pinned for them. False when
    /// `pause` stopped it.
    pub(crate) fn destroy_events(&self, domain: &Arc<Domain<M>>, pause: &mut dyn FnMut() -> bool) -> bool {
        {
            let mut bind = domain.events.bind.lock();
            if !bind.dead {
                (bind.dead, bind.reset_from) = (true, 1);
            }
        }
        if !self.close_ports(domain, pause) {
            return false;
        }
        self.drop_virq_handler(domain);
        let old = core::mem::replace(&mut *domain.events.delivery.lock_rarely(), Delivery::TwoLevel);
        self.release_delivery(old);
        self.release_vcpu_infos(domain);
        true
    }
}
