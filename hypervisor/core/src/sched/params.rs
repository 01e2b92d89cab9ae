//! Weights, caps and time limits.

use core::sync::atomic::{AtomicU32, Ordering};

use lock::Mutex;

use crate::timers::{SoftTimer, WATCHDOGS};

/// Weight of a domain to which nobody gave another.
pub const DEFAULT_WEIGHT: u16 = 256;
/// How long a vCPU has to have run for one that wakes to take its place, unless sysctl says otherwise.
pub const DEFAULT_RATE_LIMIT_US: u32 = 1000;
/// The longest of these.
pub const MAX_RATE_LIMIT_US: u32 = 500_000;

/// A turn of credit2's.
const SLICE_US: u64 = 10_000;
const BONUS_US: u64 = 5_000;
const LEAD_US: u64 = 50_000;
/// A cap is held within each of these.
const CAP_PERIOD_US: u64 = 10_000;

/// Fraction bits of a scale.
const SCALE_SHIFT: u32 = 8;

/// The scale of a weight: how fast keys grow. 1.0 for the default weight.
pub(super) fn scale_of(weight: u16) -> u32 {
    (u32::from(DEFAULT_WEIGHT) << SCALE_SHIFT) / u32::from(weight.max(1))
}

/// `ticks` of running as they count in a key.
pub(super) fn scaled(ticks: u64, scale: u32) -> u64 {
    // Seconds that nobody else wanted count as lead, if at all: one word is enough of them.
    let ticks = u32::try_from(ticks).unwrap_or(u32::MAX);
    (u64::from(ticks) * u64::from(scale)) >> SCALE_SHIFT
}

/// Time limits, in ticks.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    /// How long a vCPU runs while another that is not behind it waits.
    pub(super) slice: u64,
    /// How long it runs at least.
    pub(super) rate: u64,
    /// How far below the others' a key may be.
    pub(super) bonus: u64,
    /// How far above.
    pub(super) lead: u64,
    pub(super) cap_period: u64,
}

impl Limits {
    pub(super) fn new(frequency: u32, rate_limit_us: u32) -> Self {
        let ticks = |us: u64| us * u64::from(frequency) / 1_000_000;
        let rate = ticks(rate_limit_us.into());
        Self {
            slice: ticks(SLICE_US).max(rate),
            rate,
            bonus: ticks(BONUS_US),
            lead: ticks(LEAD_US),
            cap_period: ticks(CAP_PERIOD_US),
        }
    }
}

/// What is left to a capped domain in this period.
struct Budget {
    ends: u64,
    left: i64,
    size: i64,
    period: u64,
}

/// A domain's part in scheduling.
pub struct DomainSched {
    weight: AtomicU32,
    scale: AtomicU32,
    /// Percent of one CPU for all its vCPUs together; 0 for no limit.
    cap: AtomicU32,
    budget: Mutex<Budget>,
    /// The number of its pool.
    pool: AtomicU32,
    pub(crate) watchdogs: [SoftTimer; WATCHDOGS],
}

impl DomainSched {
    /// Default weight, no cap.
    pub const fn new(pool: u32) -> Self {
        Self {
            weight: AtomicU32::new(DEFAULT_WEIGHT as u32),
            scale: AtomicU32::new(1 << SCALE_SHIFT),
            cap: AtomicU32::new(0),
            budget: Mutex::new(Budget { ends: 0, left: 0, size: 0, period: 1 }),
            pool: AtomicU32::new(pool),
            watchdogs: [const { SoftTimer::new() }; WATCHDOGS],
        }
    }

    /// Its weight.
    pub fn weight(&self) -> u16 {
        self.weight.load(Ordering::Relaxed) as u16
    }

    /// The number of its pool.
    pub(crate) fn pool(&self) -> u32 {
        self.pool.load(Ordering::Relaxed)
    }

    pub(super) fn set_pool(&self, id: u32) {
        self.pool.store(id, Ordering::Relaxed);
    }

    /// Its cap in percent of a CPU; 0 for none.
    pub fn cap(&self) -> u16 {
        self.cap.load(Ordering::Relaxed) as u16
    }

    pub(super) fn set_weight(&self, weight: u16) {
        self.scale.store(scale_of(weight), Ordering::Relaxed);
        self.weight.store(weight.into(), Ordering::Relaxed);
    }

    pub(super) fn set_cap(&self, cap: u16, limits: &Limits) {
        let mut budget = self.budget.lock();
        budget.period = limits.cap_period.max(1);
        budget.size = (budget.period * u64::from(cap) / 100).max(1) as i64;
        budget.left = budget.size;
        budget.ends = 0;
        self.cap.store(cap.into(), Ordering::Relaxed);
    }

    pub(super) fn scale(&self) -> u32 {
        self.scale.load(Ordering::Relaxed)
    }

    pub(super) fn is_capped(&self) -> bool {
        self.cap.load(Ordering::Relaxed) != 0
    }

    /// Takes from a capped domain's budget.
    #[inline]
    pub(super) fn charge(&self, ticks: u64) {
        if self.is_capped() {
            self.charge_capped(ticks);
        }
    }

    #[hot]
    #[inline(never)]
    fn charge_capped(&self, ticks: u64) {
        let mut budget = self.budget.lock();
        budget.left = budget.left.saturating_sub_unsigned(ticks);
    }

    /// When a capped domain that has nothing left gets more; nothing for any other.
    #[inline]
    pub(super) fn refill_needed(&self, now: u64) -> Option<u64> {
        if self.is_capped() { self.refill_of_capped(now) } else { None }
    }

    #[hot]
    #[inline(never)]
    fn refill_of_capped(&self, now: u64) -> Option<u64> {
        let mut budget = self.budget.lock();
        budget.refill(now);
        (budget.left <= 0).then_some(budget.ends)
    }

    /// The end of a turn, earlier if a capped domain's vCPU may not run as long from `now` on.
    #[inline]
    pub(super) fn shortened(&self, turn: u64, now: u64) -> u64 {
        if self.is_capped() { turn.min(now.saturating_add(self.allowance(now))) } else { turn }
    }

    #[hot]
    #[inline(never)]
    fn allowance(&self, now: u64) -> u64 {
        let mut budget = self.budget.lock();
        budget.refill(now);
        budget.left.max(1) as u64
    }
}

impl Budget {
    #[hot]
    fn refill(&mut self, now: u64) {
        if now < self.ends {
            return;
        }
        let periods = (now - self.ends) / self.period + 1;
        let gained = i64::try_from(periods).unwrap_or(i64::MAX).saturating_mul(self.size);
        self.left = self.left.saturating_add(gained).min(self.size);
        self.ends = if self.ends == 0 { now + self.period } else { self.ends + periods * self.period };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twice_the_weight_grows_half_as_fast() {
        assert_eq!(scaled(1000, scale_of(256)), 1000);
        assert_eq!(scaled(1000, scale_of(512)), 500);
        assert_eq!(scaled(1000, scale_of(128)), 2000);
    }

    #[test]
    fn no_weight_and_no_stretch_overflows() {
        for weight in [0, 1, u16::MAX] {
            assert!(scaled(u64::MAX, scale_of(weight)) < u64::MAX / 4, "{weight}");
        }
    }

    #[test]
    fn a_cap_lends_no_more_than_a_period() {
        let sched = DomainSched::new(0);
        let limits = Limits::new(1_000_000, DEFAULT_RATE_LIMIT_US);
        sched.set_cap(50, &limits);
        assert_eq!(sched.allowance(100), 5_000);
        sched.charge(6_000);
        assert_eq!(sched.refill_needed(101), Some(10_100));
        assert_eq!(sched.allowance(10_100), 4_000, "what was overdrawn is paid back");
        assert_eq!(sched.allowance(90_000), 5_000, "what was not used is lost");
    }
}
