//! What stops vCPUs, starts them, and says how they share the CPUs.

use super::*;

impl<M: Machine> Hypervisor<M> {
    /// Lets others run; the vCPU loaded on `pcpu` stays ready.
    #[hot]
    pub(crate) fn yield_cpu(&self, pcpu: &PerCpu<M>) {
        pcpu.set_yield();
        pcpu.reschedule();
    }

    /// Makes the vCPU loaded on `pcpu` sleep. The caller looks for pending work afterwards and wakes
    /// it again if there is any, so that no wake-up is lost.
    #[hot]
    pub(crate) fn block(&self, pcpu: &PerCpu<M>, vcpu: &Vcpu<M>) {
        vcpu.sched.halt(BLOCKED);
        pcpu.reschedule();
    }

    /// Switches a vCPU off, on its own request or when it is reset.
    pub(crate) fn vcpu_down(&self, vcpu: &Vcpu<M>) {
        if vcpu.sched.halt(DOWN) {
            self.stop_running(vcpu);
        }
    }

    /// Switches a vCPU on, whose registers are set.
    pub(crate) fn vcpu_up(&self, domain: &Arc<Domain<M>>, vcpu: &Vcpu<M>) {
        vcpu.sched.release(BLOCKED);
        if vcpu.sched.release(DOWN) {
            self.became_runnable(domain, vcpu);
        }
    }

    /// Pauses all vCPUs of a domain once more. They may run for another moment:
    /// [`Hypervisor::wait_until_off`].
    pub fn pause_vcpus(&self, domain: &Domain<M>) {
        for vcpu in domain.vcpus() {
            self.pause_vcpu(vcpu);
        }
    }

    /// Takes back one [`Hypervisor::pause_vcpus`].
    pub fn unpause_vcpus(&self, domain: &Arc<Domain<M>>) {
        for vcpu in domain.vcpus() {
            self.unpause_vcpu(domain, vcpu);
        }
    }

    /// Pauses one vCPU once more.
    pub fn pause_vcpu(&self, vcpu: &Vcpu<M>) {
        vcpu.sched.pause();
        self.stop_running(vcpu);
    }

    /// Takes back one pause of a vCPU.
    pub fn unpause_vcpu(&self, domain: &Arc<Domain<M>>, vcpu: &Vcpu<M>) {
        if vcpu.sched.unpause() {
            self.became_runnable(domain, vcpu);
        } else {
            self.follow_halt(vcpu);
        }
    }

    /// Stops all vCPUs because their domain shut down.
    pub(crate) fn halt_for_shutdown(&self, domain: &Domain<M>) {
        for vcpu in domain.vcpus() {
            vcpu.sched.halt(SHUT_DOWN);
            self.stop_running(vcpu);
        }
    }

    /// Takes that back: the domain resumes.
    pub(crate) fn release_from_shutdown(&self, domain: &Arc<Domain<M>>) {
        for vcpu in domain.vcpus() {
            if vcpu.sched.release(SHUT_DOWN) {
                self.became_runnable(domain, vcpu);
            }
        }
    }

    #[hot]
    fn stop_running(&self, vcpu: &Vcpu<M>) {
        self.follow_halt(vcpu);
        if vcpu.sched.is_loaded() {
            self.ask(vcpu.sched.cpu());
        }
    }

    /// A guest sees that its vCPU was taken offline also when it was not running.
    fn follow_halt(&self, vcpu: &Vcpu<M>) {
        vcpu.runstate.change_unless_running(vcpu.sched.stopped_state(), self.machine.ticks());
    }

    /// Whether no CPU holds registers of the vCPU.
    pub fn is_off(&self, vcpu: &Vcpu<M>) -> bool {
        !vcpu.sched.is_loaded()
    }

    /// Waits until no CPU holds registers of a vCPU that is paused or down. That is soon, as every
    /// CPU answers a kick within one bounded piece of work. The caller must hold no lock and must not
    /// be the vCPU itself.
    pub fn wait_until_off(&self, vcpu: &Vcpu<M>) {
        while vcpu.sched.is_loaded() {
            lock::relax();
        }
    }

    /// Says on which CPUs, one bit each, a vCPU may run.
    pub fn set_hard_affinity(&self, vcpu: &Vcpu<M>, cpus: u64) {
        let queue = self.sched.queue.lock_rarely();
        vcpu.sched.set_hard(cpus);
        drop(queue);
        self.find_cpu(vcpu);
    }

    /// Lets a vCPU run on one CPU only, for a while.
    pub(crate) fn pin(&self, vcpu: &Vcpu<M>, cpu: CpuId) -> Result<(), Errno> {
        let queue = self.sched.queue.lock_rarely();
        if vcpu.sched.is_pinned() {
            return Err(Errno::EBUSY);
        }
        vcpu.sched.set_pinned(cpu.bit());
        drop(queue);
        self.find_cpu(vcpu);
        Ok(())
    }

    /// Ends that.
    pub fn release_pin(&self, vcpu: &Vcpu<M>) -> Result<(), Errno> {
        let queue = self.sched.queue.lock_rarely();
        if !vcpu.sched.is_pinned() {
            return Err(Errno::EINVAL);
        }
        vcpu.sched.set_pinned(0);
        drop(queue);
        self.find_cpu(vcpu);
        Ok(())
    }

    /// Where a vCPU may run has changed: asks a CPU to look.
    pub(super) fn find_cpu(&self, vcpu: &Vcpu<M>) {
        if vcpu.sched.is_loaded() {
            self.ask(vcpu.sched.cpu());
            return;
        }
        let (allowed, key, last) = (vcpu.sched.allowed(), vcpu.sched.key(), vcpu.sched.cpu());
        let mut queue = self.sched.queue.lock_rarely();
        let among = queue.online & allowed;
        let target = queue.target(among, last, key, self.machine.ticks());
        drop(queue);
        if let Target::Ask(cpu) | Target::AskAt(cpu, _) = target {
            self.ask(cpu);
        }
    }

    /// Lets a CPU take part.
    pub(crate) fn sched_online(&self, cpu: CpuId) {
        self.sched.queue.lock_rarely().online |= cpu.bit();
    }

    /// A domain's vCPUs never run again: none stays in the queue.
    pub(crate) fn drop_ready(&self, domain: &Domain<M>) {
        loop {
            let mut queue = self.sched.queue.lock_rarely();
            let entry = queue.take_of(domain);
            self.sched.note_length(&queue);
            drop(queue);
            if entry.is_none() {
                break;
            }
        }
    }

    /// Weight (0: leave as it is) and cap of a domain, as credit2's putinfo sets them.
    pub fn set_domain_share(&self, domain: &Domain<M>, weight: u16, cap: u16) {
        let limits = self.sched.limits();
        let _queue = self.sched.queue.lock_rarely();
        if weight != 0 {
            domain.sched.set_weight(weight);
        }
        domain.sched.set_cap(cap, &limits);
    }

    /// How long a vCPU runs at least, in microseconds.
    pub fn rate_limit_us(&self) -> u32 {
        self.sched.rate_limit_us.load(Ordering::Relaxed)
    }

    /// Sets that.
    pub fn set_rate_limit_us(&self, us: u32) -> Result<(), Errno> {
        if us > MAX_RATE_LIMIT_US {
            return Err(Errno::EINVAL);
        }
        self.sched.queue.lock_rarely().limits = Limits::new(self.clock.frequency(), us);
        self.sched.rate_limit_us.store(us, Ordering::Relaxed);
        Ok(())
    }

    /// Nanoseconds that a CPU spent without work.
    pub fn idle_ns(&self, cpu: CpuId) -> u64 {
        let pcpu = self.percpu(cpu);
        let (spent, since) =
            (pcpu.idle_ticks.load(Ordering::Relaxed), pcpu.idle_since.load(Ordering::Relaxed));
        let now = if since == 0 { 0 } else { self.machine.ticks().saturating_sub(since) };
        self.clock.ns(spent + now)
    }

    /// Nanoseconds that a vCPU ran.
    pub fn vcpu_time_ns(&self, vcpu: &Vcpu<M>) -> u64 {
        self.clock.ns(vcpu.runstate.running_ticks(self.machine.ticks()))
    }
}
