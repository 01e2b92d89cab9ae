//! Where the machine calls in, besides the scheduler: after a trap and before a guest goes on.

use alloc::sync::Arc;

use crate::{
    Hypervisor, current::Current, domain::Domain, machine::CpuId, machine::Machine, trap::Exit, vcpu::VcpuRef,
};

impl<M: Machine> Hypervisor<M> {
    /// Serves a trap. The guest's registers say where it goes on.
    pub fn handle(&self, current: &mut Current<'_, M>, exit: Exit) {
        let _ = exit;
        self.machine.inject_undefined(current.regs);
    }

    /// Makes the loaded vCPU ready to go on. When it may not, because the scheduler has to decide
    /// first, gives false.
    pub fn before_entry(&self, current: &mut Current<'_, M>) -> bool {
        !current.pcpu.wants_reschedule()
    }

    /// A hardware interrupt that belongs to a guest was acknowledged (not deactivated).
    pub fn guest_spi(&self, cpu: CpuId, spi: u32) {
        let _ = (cpu, spi);
    }

    /// The virtual timer of the loaded vCPU fired; the machine has masked it in CNTV_CTL (IMASK).
    pub fn virtual_timer_fired(&self, current: &mut Current<'_, M>) {
        let _ = current;
    }

    /// The maintenance interrupt of this CPU's virtual interface.
    pub fn maintenance_interrupt(&self, current: &mut Current<'_, M>) {
        let _ = current;
    }

    /// A byte came in on the serial line.
    pub fn console_input(&self, byte: u8) {
        let _ = byte;
    }

    pub(crate) fn physical_timer_fired(&self, cpu: CpuId, vcpu: &VcpuRef<M>) {
        let _ = (cpu, vcpu);
    }

    pub(crate) fn watchdog_fired(&self, domain: &Domain<M>) {
        let _ = domain;
    }

    pub(crate) fn virtual_timer_at(&self, domain: &Domain<M>, deadline: u64) -> u64 {
        let _ = domain;
        deadline
    }

    /// A domain's vCPUs, all off, never run again: nothing refers to them any more.
    pub(crate) fn retire_vcpus(&self, domain: &Arc<Domain<M>>) {
        self.drop_ready(domain);
        self.drop_timers(domain);
    }

    /// Closes all ports of a dying domain and lets go of the pages pinned for them. False when
    /// `pause` stopped it.
    pub(crate) fn destroy_events(&self, domain: &Arc<Domain<M>>, pause: &mut dyn FnMut() -> bool) -> bool {
        let _ = (domain, pause);
        true
    }

    /// Gives back the hardware interrupts of a domain.
    pub(crate) fn release_irqs(&self, domain: &Arc<Domain<M>>) {
        let _ = domain;
    }

    /// Raises a global virtual interrupt in whichever domain handles it.
    pub fn send_global_virq(&self, virq: u32) {
        let _ = virq;
    }
}
