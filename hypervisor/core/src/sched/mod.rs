//! Who runs: a fair scheduler over all CPUs, with weights and caps as Xen's credit2 has them.
//!
//! A vCPU is ready exactly when nothing halts it ([`VcpuSched`]). Whoever clears the last reason
//! claims it for the queue ([`queue::Queue`]) and asks a CPU to look. While its registers are in a
//! CPU it belongs to that CPU alone, which puts it back in the queue once it has saved them: so it is
//! never in two places, and no lock is held while registers move.

mod control;
mod params;
mod pools;
mod queue;
mod runstate;
mod state;
#[cfg(test)]
mod tests;

use alloc::sync::Arc;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use lock::{LockRarely, Mutex, RareMutex};
use xen_abi::{Errno, vcpu::runstate as state_of};

use crate::{
    Hypervisor,
    domain::Domain,
    machine::{CpuId, Machine},
    percpu::PerCpu,
    timers::{NEVER, TimerKind},
    vcpu::{Vcpu, VcpuRef},
};
use params::Limits;
use pools::Pools;
use queue::{Queue, Target};
use state::{BLOCKED, DOWN, Place, SHUT_DOWN};

pub use params::{DEFAULT_RATE_LIMIT_US, DEFAULT_WEIGHT, DomainSched, MAX_RATE_LIMIT_US};
pub use runstate::Runstate;
pub use state::VcpuSched;

/// What a CPU does next.
pub enum Next<M: Machine> {
    /// Goes on with the vCPU that is loaded.
    Same,
    /// Saves what is loaded, tells [`Hypervisor::switched_out`], loads this vCPU and tells
    /// [`Hypervisor::switched_in`].
    Switch(VcpuRef<M>),
    /// Waits for an interrupt with the vCPU that is loaded left where it is, then asks again.
    Wait,
    /// Saves what is loaded, tells [`Hypervisor::switched_out`], waits for an interrupt, then asks
    /// again.
    Idle,
}

/// The scheduler.
pub struct Scheduler<M: Machine> {
    queue: Mutex<Queue<M>>,
    /// How many vCPUs are in the queue, to be read without its lock.
    ready: AtomicUsize,
    rate_limit_us: AtomicU32,
    pools: RareMutex<Pools>,
}

impl<M: Machine> Scheduler<M> {
    pub(crate) fn new(cpus: usize, frequency: u32) -> Self {
        Self {
            queue: Mutex::new(Queue::new(cpus, Limits::new(frequency, DEFAULT_RATE_LIMIT_US))),
            ready: AtomicUsize::new(0),
            rate_limit_us: AtomicU32::new(DEFAULT_RATE_LIMIT_US),
            pools: RareMutex::new(Pools::new()),
        }
    }

    fn limits(&self) -> Limits {
        self.queue.lock_rarely().limits
    }

    fn note_length(&self, queue: &Queue<M>) {
        // Whoever is asked afterwards sees it.
        self.ready.store(queue.len(), Ordering::Relaxed);
    }
}

/// What [`Hypervisor::decide`] found while it held the queue's lock.
enum Choice<M: Machine> {
    Stay,
    Go(VcpuRef<M>),
    Nothing,
}

impl<M: Machine> Hypervisor<M> {
    /// Decides what this CPU, `pcpu`, does next. `loaded` is the vCPU whose registers are in it.
    #[hot]
    pub fn pick_next(&self, pcpu: &PerCpu<M>, loaded: Option<&VcpuRef<M>>) -> Next<M> {
        let cpu = pcpu.id;
        pcpu.rescheduling();
        let yielded = pcpu.take_yield();
        self.announce_log();
        let loaded = loaded.map(VcpuRef::parts);
        if let Some((vcpu, domain)) = loaded
            && self.goes_on_alone(cpu, vcpu, domain)
        {
            return Next::Same;
        }
        let now = self.machine.ticks();
        let choice = self.decide(pcpu, loaded, yielded, now);
        if !matches!(choice, Choice::Go(_)) {
            self.program_timer(pcpu);
        }
        match choice {
            Choice::Stay => {
                pcpu.leave_idle(now);
                if let Some((vcpu, _)) = loaded {
                    self.note_running(vcpu, now);
                }
                Next::Same
            }
            Choice::Go(vcpu) => {
                pcpu.leave_idle(now);
                self.note_leaving(loaded, now);
                self.note_running(&vcpu, now);
                Next::Switch(vcpu)
            }
            Choice::Nothing => {
                pcpu.enter_idle(now);
                match loaded {
                    Some((vcpu, _)) if vcpu.sched.only_blocked() && vcpu.sched.allows(cpu) => {
                        vcpu.runstate.change(vcpu.sched.stopped_state(), now);
                        Next::Wait
                    }
                    _ => {
                        self.note_leaving(loaded, now);
                        Next::Idle
                    }
                }
            }
        }
    }

    /// The quick answer: the loaded vCPU runs already and nobody else wants to.
    fn goes_on_alone(&self, cpu: CpuId, vcpu: &Vcpu<M>, domain: &Domain<M>) -> bool {
        self.sched.ready.load(Ordering::Relaxed) == 0
            && vcpu.sched.is_runnable()
            && vcpu.sched.allows(cpu)
            && !domain.sched.is_capped()
            && vcpu.runstate.state() == state_of::RUNNING
    }

    fn decide(
        &self,
        pcpu: &PerCpu<M>,
        loaded: Option<(&Vcpu<M>, &Arc<Domain<M>>)>,
        yielded: bool,
        now: u64,
    ) -> Choice<M> {
        let cpu = pcpu.id;
        let mut queue = self.sched.queue.lock();
        let queue = &mut *queue;
        let mut stays = None;
        if let Some((vcpu, domain)) = loaded {
            let key = match queue.account(cpu, now) {
                Some((key, ran)) => {
                    vcpu.sched.set_key(key);
                    domain.sched.charge(ran);
                    key
                }
                None => vcpu.sched.key(),
            };
            if vcpu.sched.is_runnable() {
                stays = Some((vcpu, &domain.sched, key));
            }
        }
        let (choice, look_at) = loop {
            let found = queue.look(cpu, now);
            if let Some((vcpu, domain, key)) = stays
                && !queue.gives_way(cpu, key, &found, now, yielded)
                && vcpu.sched.allows(cpu)
                && domain.refill_needed(now).is_none()
            {
                let turn = queue.stay(cpu, key, domain.scale(), now);
                break (Choice::Stay, domain.shortened(turn, now).min(found.refill));
            }
            let Some(index) = found.best else {
                queue.rest(cpu);
                break (Choice::Nothing, found.refill);
            };
            if let Some(vcpu) = queue.take(index, cpu) {
                let domain = &vcpu.domain.sched;
                let turn = queue.go(cpu, found.key, domain.scale(), stays.is_some(), now);
                let look_at = domain.shortened(turn, now).min(found.refill);
                break (Choice::Go(vcpu), look_at);
            }
        };
        self.sched.note_length(queue);
        pcpu.slice_end.store(look_at, Ordering::Relaxed);
        choice
    }

    #[hot]
    fn note_running(&self, vcpu: &Vcpu<M>, now: u64) {
        vcpu.runstate.change(state_of::RUNNING, now);
        if vcpu.runstate_area.load(Ordering::Relaxed) != 0 {
            vcpu.runstate_due.store(true, Ordering::Relaxed);
            vcpu.delivery.mark();
        }
    }

    #[hot]
    fn note_leaving(&self, loaded: Option<(&Vcpu<M>, &Arc<Domain<M>>)>, now: u64) {
        if let Some((vcpu, domain)) = loaded {
            vcpu.runstate.change(vcpu.sched.stopped_state(), now);
            self.settle_list_registers(domain, vcpu);
        }
    }

    /// The machine has saved `vcpu`, which was loaded on this CPU, `pcpu`. `timer` is its virtual timer's compare
    /// value (in CNTVCT ticks), when that is enabled, unmasked and not yet met.
    #[hot]
    pub fn switched_out(&self, pcpu: &PerCpu<M>, vcpu: VcpuRef<M>, timer: Option<u64>) {
        let cpu = pcpu.id;
        if let Some(compare) = timer {
            let at = self.virtual_timer_at(&vcpu.domain, compare);
            self.arm_timer(cpu, &vcpu.domain, &vcpu, TimerKind::Virtual, at);
        }
        if vcpu.sched.is_runnable() {
            vcpu.sched.put(cpu, Place::Ready);
            // This CPU has been told when to look again, but for a vCPU that woke only now.
            let told = pcpu.slice_end.load(Ordering::Relaxed) != NEVER;
            self.enqueue(vcpu, if told { cpu.bit() } else { 0 });
        } else {
            vcpu.sched.put(cpu, Place::Off);
            self.queue_if_ready(vcpu);
        }
    }

    /// The machine has loaded `vcpu` on this CPU, `pcpu`, list registers included.
    #[hot]
    pub fn switched_in(&self, pcpu: &PerCpu<M>, vcpu: &VcpuRef<M>) {
        vcpu.timers.virt.stop();
        self.move_spis(&vcpu.domain, vcpu, pcpu.id);
        self.program_timer(pcpu);
    }

    /// Another CPU wants this one to look for work, or at its vCPU's interrupts. Both are looked at
    /// before a guest goes on in any case.
    pub fn kicked(&self, _cpu: CpuId) {}

    /// Wakes a vCPU that sleeps until something is pending.
    #[hot]
    pub fn wake(&self, domain: &Arc<Domain<M>>, vcpu: &Vcpu<M>) {
        if vcpu.sched.is_blocked() {
            self.stop_polling(domain, vcpu);
            if vcpu.sched.release(BLOCKED) {
                self.became_runnable(domain, vcpu);
            }
        }
    }

    #[hot]
    fn became_runnable(&self, domain: &Arc<Domain<M>>, vcpu: &Vcpu<M>) {
        vcpu.runstate.change_unless_running(state_of::RUNNABLE, self.machine.ticks());
        if vcpu.sched.is_loaded() {
            self.ask(vcpu.sched.cpu());
        }
        // It may be on its way out of the CPU at this moment, or already be out.
        if vcpu.sched.claim() {
            self.enqueue(VcpuRef::from_parts(domain, vcpu), 0);
        }
    }

    fn queue_if_ready(&self, vcpu: VcpuRef<M>) {
        if vcpu.sched.is_runnable() && vcpu.sched.claim() {
            self.enqueue(vcpu, 0);
        }
    }

    /// Puts in the queue a vCPU whose place is there, and has a CPU look: none of those that are `told` to, one
    /// bit each.
    #[hot]
    fn enqueue(&self, vcpu: VcpuRef<M>, told: usize) {
        let (allowed, last) = (vcpu.sched.allowed(), vcpu.sched.cpu());
        let mut queue = self.sched.queue.lock();
        let key = queue.push(vcpu);
        self.sched.note_length(&queue);
        let among = queue.online & allowed & !told;
        if among == 0 {
            return;
        }
        let now = self.machine.ticks();
        let target = queue.target(among, last, key, now);
        drop(queue);
        match target {
            Target::Ask(cpu) => self.ask(cpu),
            Target::AskAt(cpu, at) => self.ask_at(cpu, at, now),
            Target::Nobody => {}
        }
    }

    /// Makes a CPU ask the scheduler at that tick, or now when that has passed, if it does not before.
    fn ask_at(&self, cpu: CpuId, at: u64, now: u64) {
        let pcpu = self.percpu(cpu);
        if pcpu.slice_end.load(Ordering::Relaxed) <= at {
            return;
        }
        if cpu == self.machine.this_cpu() && at > now {
            // There is nothing to decide until then.
            pcpu.slice_end.store(at, Ordering::Relaxed);
            self.program_timer(pcpu);
        } else {
            // It arms its timer, or gives way, as it finds.
            self.ask(cpu);
        }
    }

    /// Makes a CPU ask the scheduler.
    #[inline]
    pub(crate) fn ask(&self, cpu: CpuId) {
        self.percpu(cpu).reschedule();
        if cpu != self.machine.this_cpu() {
            self.machine.kick(cpu);
        }
    }

    /// Readies the scheduler and the timers for `more` vCPUs, so that nothing has to be allocated
    /// when they run.
    pub fn prepare_vcpus(&self, more: usize) -> Result<(), Errno> {
        let total = self.vcpus.fetch_add(more, Ordering::SeqCst) + more;
        let ready = self.reserve_for(total);
        if ready.is_err() {
            self.vcpus.fetch_sub(more, Ordering::SeqCst);
        }
        ready
    }

    fn reserve_for(&self, total: usize) -> Result<(), Errno> {
        self.sched.queue.lock_rarely().reserve(total)?;
        let kinds = 3 + crate::timers::WATCHDOGS;
        for pcpu in &self.cpus {
            pcpu.timers.lock().reserve(total * kinds)?;
        }
        Ok(())
    }

    /// The counterpart, when a domain that had vCPUs is gone.
    pub fn forget_vcpus(&self, fewer: usize) {
        self.vcpus.fetch_sub(fewer, Ordering::SeqCst);
    }
}
