//! The clock: nanoseconds since the domain was made, and the time of day.

use core::{
    fmt,
    ops::{Add, AddAssign, Sub},
    time::Duration,
};

use crate::{arch, shared_info};

/// A point in time, in nanoseconds of the virtual counter. Monotonic, and the same on all vCPUs.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The point `ns` nanoseconds after the counter's zero.
    pub const fn from_ns(ns: u64) -> Self {
        Self(ns)
    }

    /// Nanoseconds since the counter's zero.
    pub const fn as_ns(self) -> u64 {
        self.0
    }

    /// What has passed since then.
    pub fn elapsed(self) -> Duration {
        now() - self
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let d = Duration::from_nanos(self.0);
        write!(f, "{}.{:09}", d.as_secs(), d.subsec_nanos())
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    /// The end of time, when the sum lies beyond it.
    fn add(self, d: Duration) -> Self {
        let ns = u64::try_from(d.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(ns))
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, d: Duration) {
        *self = *self + d;
    }
}

impl Sub for Instant {
    type Output = Duration;

    /// Nothing, when `earlier` is later.
    fn sub(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// The time now.
pub fn now() -> Instant {
    Instant(arch::now_ns())
}

/// Time of day, since 1970-01-01 00:00 UTC, as the hypervisor and dom0 keep it. None before dom0
/// has set it, if the machine has no other clock.
pub fn wallclock() -> Option<Duration> {
    let base = shared_info::wallclock_base();
    (!base.is_zero()).then(|| base + Duration::from_nanos(arch::now_ns()))
}
