//! Where the machine calls in, besides traps and the scheduler.

use alloc::sync::Arc;

use xen_abi::{sched::shutdown, xen::virq};

use crate::{Hypervisor, current::Current, domain::Domain, machine::Machine};

impl<M: Machine> Hypervisor<M> {
    /// Makes the loaded vCPU ready to go on. When it may not, because the scheduler has to decide
    /// first, gives false.
    #[hot]
    #[inline]
    pub fn before_entry(&self, current: &mut Current<'_, M>) -> bool {
        if current.pcpu.wants_reschedule() {
            return false;
        }
        if current.vcpu.delivery.is_stale() {
            self.refresh(current);
        }
        true
    }

    #[hot]
    #[inline(never)]
    fn refresh(&self, current: &mut Current<'_, M>) {
        self.refill_list_registers(current.domain, current.vcpu);
        current.update_runstate();
    }

    /// Text was written to the log, whatever locks are held: its reader hears of it when this CPU
    /// asks the scheduler next.
    pub fn log_written(&self) {
        self.percpu(self.machine.this_cpu()).reschedule();
    }

    /// Tells the log's reader of what was written.
    pub(crate) fn announce_log(&self) {
        if self.log.take_news() {
            self.send_global_virq(virq::CON_RING);
        }
    }

    pub(crate) fn watchdog_fired(&self, domain: &Domain<M>) {
        log::warn!("{}: watchdog expired", domain.id);
        self.shutdown_domain(domain, shutdown::WATCHDOG as u8);
    }

    /// A domain's vCPUs, all off, never run again: nothing refers to them any more.
    pub(crate) fn retire_vcpus(&self, domain: &Arc<Domain<M>>) {
        self.drop_ready(domain);
        self.drop_timers(domain);
    }
}
