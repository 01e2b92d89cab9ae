//! Who runs: a fair scheduler over all CPUs, with weights and caps as Xen's credit2 has them.
//!
//! A vCPU is ready exactly when nothing halts it ([`VcpuSched`]). Whoever clears the last reason
//! claims it for the queue ([`queue::Queue`]) and asks a CPU to look. While its registers are in a
//! CPU it belongs to that CPU alone, which puts it back in the queue once it has saved them: so it is
//! never in two places, and no lock is held while registers move.

mod control;
mod params;
mod queue;
mod runstate;
mod state;
#[cfg(test)]
mod tests;

use alloc::sync::Arc;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use lock::Mutex;
use xen_abi::{Errno, vcpu::runstate as state_of};

use crate::{
    Hypervisor,
    domain::Domain,
    machine::{CpuId, Machine},
    timers::{NEVER, TimerKind},
    vcpu::{Vcpu, VcpuRef},
};
use params::Limits;
use queue::{Found, Queue, Target};
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
}

impl<M: Machine> Scheduler<M> {
    pub(crate) fn new(cpus: usize, frequency: u32) -> Self {
        Self {
            queue: Mutex::new(Queue::new(cpus, Limits::new(frequency, DEFAULT_RATE_LIMIT_US))),
            ready: AtomicUsize::new(0),
            rate_limit_us: AtomicU32::new(DEFAULT_RATE_LIMIT_US),
        }
    }

    fn limits(&self) -> Limits {
        self.queue.lock().limits
    }

    fn note_length(&self, queue: &Queue<M>) {
        self.ready.store(queue.len(), Ordering::SeqCst);
    }
}

/// What [`Hypervisor::decide`] found while it held the queue's lock.
enum Choice<M: Machine> {
    Stay,
    Go(VcpuRef<M>),
    Nothing,
}

impl<M: Machine> Hypervisor<M> {
    /// Decides what this CPU does next. `loaded` is the vCPU whose registers are in it.
    pub fn pick_next(&self, cpu: CpuId, loaded: Option<&VcpuRef<M>>) -> Next<M> {
        let pcpu = self.percpu(cpu);
        pcpu.rescheduling();
        let yielded = pcpu.take_yield();
        self.announce_log();
        if let Some(vcpu) = loaded
            && self.goes_on_alone(cpu, vcpu)
        {
            return Next::Same;
        }
        let now = self.machine.ticks();
        match self.decide(cpu, loaded, yielded, now) {
            Choice::Stay => {
                self.leave_idle(cpu, now);
                if let Some(vcpu) = loaded {
                    self.note_running(vcpu, now);
                }
                self.program_timer(cpu);
                Next::Same
            }
            Choice::Go(vcpu) => {
                self.leave_idle(cpu, now);
                self.note_stopped(loaded, now);
                self.settle(loaded);
                Next::Switch(vcpu)
            }
            Choice::Nothing => {
                self.enter_idle(cpu, now);
                self.note_stopped(loaded, now);
                self.program_timer(cpu);
                match loaded {
                    Some(vcpu) if vcpu.sched.only_blocked() && vcpu.sched.allows(cpu) => Next::Wait,
                    _ => {
                        self.settle(loaded);
                        Next::Idle
                    }
                }
            }
        }
    }

    /// The quick answer: the loaded vCPU runs already and nobody else wants to.
    fn goes_on_alone(&self, cpu: CpuId, vcpu: &VcpuRef<M>) -> bool {
        self.sched.ready.load(Ordering::SeqCst) == 0
            && vcpu.sched.is_runnable()
            && vcpu.sched.allows(cpu)
            && !vcpu.domain.sched.is_capped()
            && vcpu.runstate.state() == state_of::RUNNING
    }

    fn decide(&self, cpu: CpuId, loaded: Option<&VcpuRef<M>>, yielded: bool, now: u64) -> Choice<M> {
        let pcpu = self.percpu(cpu);
        let mut queue = self.sched.queue.lock();
        let limits = queue.limits;
        self.account(&mut queue, cpu, loaded, now);
        let found = queue.look(cpu, now);
        let stays = loaded.filter(|vcpu| {
            vcpu.sched.is_runnable()
                && vcpu.sched.allows(cpu)
                && vcpu.domain.sched.refill_needed(now).is_none()
        });
        let on = queue.cpus[cpu.0 as usize];
        let choice = match (stays, found.best) {
            (Some(vcpu), best)
                if !gives_way(vcpu, best, on.busy.then_some(on.began), now, yielded, &limits) =>
            {
                self.occupy(&mut queue, cpu, vcpu, now, on.busy);
                Choice::Stay
            }
            (_, Some((index, _))) if let Some(vcpu) = queue.take(index) => {
                vcpu.sched.load_on(cpu);
                self.occupy(&mut queue, cpu, &vcpu, now, false);
                Choice::Go(vcpu)
            }
            _ => {
                queue.cpus[cpu.0 as usize].busy = false;
                queue.idle |= 1 << cpu.0;
                Choice::Nothing
            }
        };
        self.sched.note_length(&queue);
        let began = queue.cpus[cpu.0 as usize].began;
        let slice = self.slice_end(&choice, stays, &found, began, now, &limits);
        pcpu.slice_end.store(slice, Ordering::Relaxed);
        choice
    }

    /// Brings the key of what the CPU runs up to date.
    fn account(&self, queue: &mut Queue<M>, cpu: CpuId, loaded: Option<&VcpuRef<M>>, now: u64) {
        let on = &mut queue.cpus[cpu.0 as usize];
        if let Some(vcpu) = loaded
            && on.busy
        {
            vcpu.sched.set_key(on.key_at(now));
            vcpu.domain.sched.charge(now.saturating_sub(on.since));
            on.key = vcpu.sched.key();
            on.since = now;
        }
    }

    fn occupy(&self, queue: &mut Queue<M>, cpu: CpuId, vcpu: &VcpuRef<M>, now: u64, goes_on: bool) {
        queue.idle &= !(1 << cpu.0);
        let on = &mut queue.cpus[cpu.0 as usize];
        on.busy = true;
        on.key = vcpu.sched.key();
        on.since = now;
        on.scale = vcpu.domain.sched.scale();
        if !goes_on {
            on.began = now;
        }
    }

    /// When the CPU has to look again.
    fn slice_end(
        &self,
        choice: &Choice<M>,
        stays: Option<&VcpuRef<M>>,
        found: &Found,
        began: u64,
        now: u64,
        limits: &Limits,
    ) -> u64 {
        let refill = found.refill.unwrap_or(NEVER);
        let runs = match choice {
            Choice::Nothing => return refill,
            Choice::Stay => stays,
            Choice::Go(vcpu) => Some(vcpu),
        };
        let allowance = runs.and_then(|vcpu| vcpu.domain.sched.allowance(now));
        let end = allowance.map_or(NEVER, |ticks| now.saturating_add(ticks));
        // Whoever else waits was put in the queue, or was left there, for want of a CPU.
        let others = self.sched.ready.load(Ordering::Relaxed) != 0;
        let turn = if others { (began + limits.slice).max(now + limits.rate) } else { NEVER };
        refill.min(end).min(turn)
    }

    fn note_running(&self, vcpu: &VcpuRef<M>, now: u64) {
        vcpu.runstate.change(state_of::RUNNING, now);
        if vcpu.runstate_area.load(Ordering::Relaxed) != 0 {
            vcpu.runstate_due.store(true, Ordering::Relaxed);
            vcpu.delivery.mark();
        }
    }

    fn note_stopped(&self, loaded: Option<&VcpuRef<M>>, now: u64) {
        if let Some(vcpu) = loaded {
            vcpu.runstate.change(stopped_state(vcpu), now);
        }
    }

    fn settle(&self, loaded: Option<&VcpuRef<M>>) {
        if let Some(vcpu) = loaded {
            self.settle_list_registers(vcpu);
        }
    }

    fn enter_idle(&self, cpu: CpuId, now: u64) {
        let pcpu = self.percpu(cpu);
        if pcpu.idle_since.load(Ordering::Relaxed) == 0 {
            pcpu.idle_since.store(now.max(1), Ordering::Relaxed);
        }
    }

    fn leave_idle(&self, cpu: CpuId, now: u64) {
        let pcpu = self.percpu(cpu);
        let since = pcpu.idle_since.load(Ordering::Relaxed);
        if since != 0 {
            pcpu.idle_ticks.fetch_add(now.saturating_sub(since), Ordering::Relaxed);
            pcpu.idle_since.store(0, Ordering::Relaxed);
        }
    }

    /// The machine has saved `vcpu`, which was loaded on this CPU.
    pub fn switched_out(&self, cpu: CpuId, vcpu: VcpuRef<M>) {
        if let Some(deadline) = self.machine.virtual_timer_deadline(&vcpu.context) {
            let at = self.virtual_timer_at(&vcpu.domain, deadline);
            self.arm_timer(cpu, &vcpu.domain, &vcpu, TimerKind::Virtual, at);
        }
        vcpu.sched.set_place(Place::Off);
        self.queue_if_ready(vcpu);
    }

    /// The machine has loaded `vcpu` on this CPU, list registers included.
    pub fn switched_in(&self, cpu: CpuId, vcpu: &VcpuRef<M>) {
        vcpu.timers.virt.stop();
        self.note_running(vcpu, self.machine.ticks());
        self.move_spis(&vcpu.domain, vcpu, cpu);
        self.program_timer(cpu);
    }

    /// Another CPU wants this one to look for work, or at its vCPU's interrupts. Both are looked at
    /// before a guest goes on in any case.
    pub fn kicked(&self, _cpu: CpuId) {}

    /// Wakes a vCPU that sleeps until something is pending.
    pub fn wake(&self, domain: &Arc<Domain<M>>, vcpu: &Vcpu<M>) {
        if vcpu.sched.is_blocked() {
            self.stop_polling(domain, vcpu);
            if vcpu.sched.release(BLOCKED) {
                self.became_runnable(domain, vcpu);
            }
        }
    }

    fn became_runnable(&self, domain: &Arc<Domain<M>>, vcpu: &Vcpu<M>) {
        vcpu.runstate.change_unless_running(state_of::RUNNABLE, self.machine.ticks());
        if vcpu.sched.is_loaded() {
            self.ask(vcpu.sched.cpu());
        }
        // It may be on its way out of the CPU at this moment, or already be out.
        if vcpu.sched.claim() {
            self.enqueue(VcpuRef::from_parts(domain, vcpu));
        }
    }

    fn queue_if_ready(&self, vcpu: VcpuRef<M>) {
        if vcpu.sched.is_runnable() && vcpu.sched.claim() {
            self.enqueue(vcpu);
        }
    }

    fn enqueue(&self, vcpu: VcpuRef<M>) {
        let now = self.machine.ticks();
        let (allowed, last) = (vcpu.sched.allowed(), vcpu.sched.cpu());
        let mut queue = self.sched.queue.lock();
        let key = queue.push(vcpu);
        let target = queue.target(allowed, last, key, now);
        self.sched.note_length(&queue);
        drop(queue);
        match target {
            Target::Ask(cpu) => self.ask(cpu),
            Target::AskAt(cpu, at) if self.percpu(cpu).slice_end.load(Ordering::Relaxed) > at => {
                if cpu == self.machine.this_cpu() && at > now {
                    // There is nothing to decide until then.
                    self.percpu(cpu).slice_end.store(at, Ordering::Relaxed);
                    self.program_timer(cpu);
                } else {
                    // It arms its timer, or gives way, as it finds.
                    self.ask(cpu);
                }
            }
            Target::AskAt(..) | Target::Nobody => {}
        }
    }

    /// Makes a CPU ask the scheduler.
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
        self.sched.queue.lock().reserve(total)?;
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

/// Whether a vCPU that could go on gives its CPU to the best that waits.
fn gives_way<M: Machine>(
    vcpu: &VcpuRef<M>,
    best: Option<(usize, u64)>,
    began: Option<u64>,
    now: u64,
    yielded: bool,
    limits: &Limits,
) -> bool {
    let Some((_, key)) = best else { return false };
    // One that slept on its CPU competes like any other.
    let Some(began) = began else { return key < vcpu.sched.key() };
    let ran = now.saturating_sub(began);
    yielded || (key < vcpu.sched.key() && ran >= limits.rate)
}

/// What a vCPU that is not on a CPU is doing.
fn stopped_state<M: Machine>(vcpu: &Vcpu<M>) -> u32 {
    if vcpu.sched.is_blocked() {
        state_of::BLOCKED
    } else if vcpu.sched.is_runnable() {
        state_of::RUNNABLE
    } else {
        state_of::OFFLINE
    }
}
