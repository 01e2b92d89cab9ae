//! State of one physical CPU.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use lock::Mutex;

use crate::{
    machine::{CpuId, Machine},
    timers::TimerQueue,
};

/// State of one physical CPU.
pub struct PerCpu<M: Machine> {
    /// Its number.
    pub id: CpuId,
    /// Whether the scheduler has to be asked before a guest goes on.
    reschedule: AtomicBool,
    /// Whether what runs here lets others go first.
    yielded: AtomicBool,
    /// Software timers that end here.
    pub(crate) timers: Mutex<TimerQueue<M>>,
    /// When the first of them may end, to be read without the lock; `u64::MAX` for never. Only this CPU, like
    /// the two below, writes it.
    pub(crate) first_timer: AtomicU64,
    /// When the running vCPU has to be looked at again; `u64::MAX` for never.
    pub(crate) slice_end: AtomicU64,
    /// What the hypervisor timer is set to; `u64::MAX` for off.
    pub(crate) armed: AtomicU64,
    /// Ticks spent without work.
    pub(crate) idle_ticks: AtomicU64,
    /// Since when there is no work; 0 when there is.
    pub(crate) idle_since: AtomicU64,
}

impl<M: Machine> PerCpu<M> {
    pub(crate) fn new(id: CpuId) -> Self {
        Self {
            id,
            reschedule: AtomicBool::new(true),
            yielded: AtomicBool::new(false),
            timers: Mutex::new(TimerQueue::new()),
            first_timer: AtomicU64::new(u64::MAX),
            slice_end: AtomicU64::new(u64::MAX),
            armed: AtomicU64::new(u64::MAX),
            idle_ticks: AtomicU64::new(0),
            idle_since: AtomicU64::new(0),
        }
    }

    /// Whether the scheduler has to be asked before a guest goes on.
    pub fn wants_reschedule(&self) -> bool {
        self.reschedule.load(Ordering::Relaxed)
    }

    /// Makes it be asked. Whoever does that from another CPU kicks this one afterwards.
    pub(crate) fn reschedule(&self) {
        self.reschedule.store(true, Ordering::Release);
    }

    /// Notes that it is being asked. What made others ask is seen from here on.
    pub(crate) fn rescheduling(&self) {
        self.reschedule.swap(false, Ordering::Acquire);
    }

    /// Notes when the first software timer ends.
    pub(crate) fn note_timers(&self, timers: &TimerQueue<M>) {
        self.first_timer.store(timers.next(), Ordering::Relaxed);
    }

    /// Notes that there is no work.
    pub(crate) fn enter_idle(&self, now: u64) {
        if self.idle_since.load(Ordering::Relaxed) == 0 {
            self.idle_since.store(now.max(1), Ordering::Relaxed);
        }
    }

    /// Notes that there is work.
    #[inline]
    pub(crate) fn leave_idle(&self, now: u64) {
        let since = self.idle_since.load(Ordering::Relaxed);
        if since != 0 {
            self.idle_ticks.fetch_add(now.saturating_sub(since), Ordering::Relaxed);
            self.idle_since.store(0, Ordering::Relaxed);
        }
    }

    pub(crate) fn set_yield(&self) {
        self.yielded.store(true, Ordering::Relaxed);
    }

    pub(crate) fn take_yield(&self) -> bool {
        let yielded = self.yielded.load(Ordering::Relaxed);
        self.yielded.store(false, Ordering::Relaxed);
        yielded
    }
}
