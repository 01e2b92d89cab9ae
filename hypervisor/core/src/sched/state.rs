//! Whether a vCPU may run, and where it is.

use core::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

use xen_abi::vcpu::runstate;

use crate::machine::CpuId;

/// Sleeps until something is pending.
pub(super) const BLOCKED: u32 = 1 << 0;
/// Off.
pub(super) const DOWN: u32 = 1 << 1;
/// Its domain shut down.
pub(super) const SHUT_DOWN: u32 = 1 << 2;
/// One pause; pauses are counted above the flags.
const PAUSE: u32 = 1 << 8;
const FLAGS: u32 = PAUSE - 1;

/// What a vCPU is in the scheduler's hands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Place {
    /// Nowhere: not to be run.
    Off = 0,
    /// In the queue.
    Ready = 1,
    /// Its registers are in a CPU, whether that runs it, waits with it or is about to save it.
    Loaded = 2,
}

const PLACE_MASK: u32 = 3;
const CPU_SHIFT: u32 = 2;

const fn seat(cpu: CpuId, place: Place) -> u32 {
    cpu.0 << CPU_SHIFT | place as u32
}

/// Whether and where a vCPU runs.
pub struct VcpuSched {
    /// Flags, and a count of pauses. It may run when this is 0.
    halted: AtomicU32,
    /// The CPU where it runs or ran last, and its [`Place`].
    seat: AtomicU32,
    /// CPUs it may run on, as it was told; those of its pool; and those it may run on instead of both, for a while,
    /// 0 when there are none. Whoever changes one of them holds the queue's lock.
    hard: AtomicUsize,
    pool: AtomicUsize,
    pinned: AtomicUsize,
    /// What these come to.
    allowed: AtomicUsize,
    /// CPUs it likes to run on.
    soft: AtomicUsize,
    /// Weighted run time; whoever holds the vCPU in [`Place::Loaded`] or the queue's lock changes it.
    key: AtomicU64,
}

impl VcpuSched {
    pub(crate) fn new(domain_pauses: u32) -> Self {
        Self {
            halted: AtomicU32::new(DOWN | (domain_pauses << FLAGS.count_ones())),
            seat: AtomicU32::new(Place::Off as u32),
            hard: AtomicUsize::new(usize::MAX),
            pool: AtomicUsize::new(usize::MAX),
            pinned: AtomicUsize::new(0),
            allowed: AtomicUsize::new(usize::MAX),
            soft: AtomicUsize::new(usize::MAX),
            key: AtomicU64::new(0),
        }
    }

    /// Whether nothing keeps it from running.
    pub fn is_runnable(&self) -> bool {
        self.halted.load(Ordering::SeqCst) == 0
    }

    /// Whether it sleeps until something is pending.
    pub fn is_blocked(&self) -> bool {
        self.has(BLOCKED)
    }

    /// Whether it is off.
    pub fn is_down(&self) -> bool {
        self.has(DOWN)
    }

    /// Its state in a word, for people.
    pub fn describe(&self) -> &'static str {
        match (self.is_runnable(), self.is_down(), self.is_blocked()) {
            (true, ..) if self.is_loaded() => "running",
            (true, ..) => "ready",
            (_, true, _) => "off",
            (.., true) => "waiting",
            _ => "paused",
        }
    }

    /// Whether it only waits for something to happen, and would run at once then.
    pub(super) fn only_blocked(&self) -> bool {
        self.halted.load(Ordering::SeqCst) == BLOCKED
    }

    /// What it is doing while it is not on a CPU, one of [`runstate`].
    pub(super) fn stopped_state(&self) -> u32 {
        match self.halted.load(Ordering::SeqCst) {
            0 => runstate::RUNNABLE,
            halted if halted & BLOCKED != 0 => runstate::BLOCKED,
            _ => runstate::OFFLINE,
        }
    }

    fn has(&self, flag: u32) -> bool {
        self.halted.load(Ordering::SeqCst) & flag != 0
    }

    /// Sets a flag; says whether it was clear.
    pub(super) fn halt(&self, flag: u32) -> bool {
        self.halted.fetch_or(flag, Ordering::SeqCst) & flag == 0
    }

    /// Clears a flag; says whether that made the vCPU runnable.
    pub(super) fn release(&self, flag: u32) -> bool {
        self.halted.fetch_and(!flag, Ordering::SeqCst) == flag
    }

    pub(super) fn pause(&self) {
        self.halted.fetch_add(PAUSE, Ordering::SeqCst);
    }

    /// Takes back one pause; says whether that made the vCPU runnable.
    pub(super) fn unpause(&self) -> bool {
        self.halted.fetch_sub(PAUSE, Ordering::SeqCst) == PAUSE
    }

    pub(super) fn place(&self) -> Place {
        match self.seat.load(Ordering::SeqCst) & PLACE_MASK {
            0 => Place::Off,
            1 => Place::Ready,
            _ => Place::Loaded,
        }
    }

    /// Puts it elsewhere; where it ran last stays known.
    pub(super) fn set_place(&self, place: Place) {
        self.put(self.cpu(), place);
    }

    /// Gives it to a CPU, or takes it from there.
    pub(super) fn put(&self, cpu: CpuId, place: Place) {
        self.seat.store(seat(cpu, place), Ordering::SeqCst);
    }

    /// Takes the vCPU for the queue, if it is nowhere.
    pub(super) fn claim(&self) -> bool {
        let old = self.seat.load(Ordering::SeqCst);
        let order = Ordering::SeqCst;
        old & PLACE_MASK == Place::Off as u32
            && self.seat.compare_exchange(old, old | Place::Ready as u32, order, order).is_ok()
    }

    /// Whether its registers are in a CPU.
    pub fn is_loaded(&self) -> bool {
        self.place() == Place::Loaded
    }

    /// Whether they are in `cpu`, which is this one: nobody else changes that.
    pub fn is_loaded_on(&self, cpu: CpuId) -> bool {
        self.seat.load(Ordering::Relaxed) == seat(cpu, Place::Loaded)
    }

    /// Where it runs or ran last.
    pub fn cpu(&self) -> CpuId {
        CpuId(self.seat.load(Ordering::SeqCst) >> CPU_SHIFT)
    }

    /// Whether it may run on `cpu`.
    pub(super) fn allows(&self, cpu: CpuId) -> bool {
        self.allowed() & cpu.bit() != 0
    }

    /// CPUs it may run on now, one bit each.
    pub(super) fn allowed(&self) -> usize {
        self.allowed.load(Ordering::Relaxed)
    }

    fn narrow(&self) {
        let [hard, pool, pinned] =
            [&self.hard, &self.pool, &self.pinned].map(|cpus| cpus.load(Ordering::Relaxed));
        let allowed = match (pinned, hard & pool) {
            (0, 0) => pool,
            (0, both) => both,
            (pinned, _) => pinned,
        };
        self.allowed.store(allowed, Ordering::SeqCst);
    }

    /// Whether it is pinned for a while.
    pub fn is_pinned(&self) -> bool {
        self.pinned.load(Ordering::Relaxed) != 0
    }

    /// Whether it is pinned to that CPU, one bit.
    pub(super) fn is_pinned_to(&self, cpu: usize) -> bool {
        self.pinned.load(Ordering::Relaxed) == cpu
    }

    pub(super) fn set_pinned(&self, cpus: usize) {
        self.pinned.store(cpus, Ordering::Relaxed);
        self.narrow();
    }

    /// Keeps it to the CPUs of its pool. It may use them all if what it was told leaves none of them.
    pub(super) fn confine(&self, cpus: usize) {
        if self.hard.load(Ordering::Relaxed) & cpus == 0 {
            self.hard.store(usize::MAX, Ordering::Relaxed);
        }
        self.pool.store(cpus, Ordering::Relaxed);
        self.narrow();
    }

    /// CPUs it may run on as long as it is not pinned, one bit each.
    pub fn hard_affinity(&self) -> u64 {
        self.hard.load(Ordering::Relaxed) as u64
    }

    /// CPUs it likes to run on, one bit each.
    pub fn soft_affinity(&self) -> u64 {
        self.soft.load(Ordering::Relaxed) as u64
    }

    pub(super) fn set_hard(&self, cpus: u64) {
        self.hard.store(cpus as usize, Ordering::Relaxed);
        self.narrow();
    }

    /// Sets what it likes; only ever a hint.
    pub fn set_soft_affinity(&self, cpus: u64) {
        self.soft.store(cpus as usize, Ordering::Relaxed);
    }

    pub(super) fn key(&self) -> u64 {
        self.key.load(Ordering::Relaxed)
    }

    pub(super) fn set_key(&self, key: u64) {
        self.key.store(key, Ordering::Relaxed);
    }
}
