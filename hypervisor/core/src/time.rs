//! System time: nanoseconds since the hypervisor began, from the counter that guests can read too.

/// Nanoseconds in a second.
pub const SECOND_NS: u64 = 1_000_000_000;

/// Converts counter ticks. Multiplies only, to be cheap where dividing 64 bits is a function.
pub struct Clock {
    boot: u64,
    frequency: u32,
    /// Nanoseconds of a tick, 32.32 fixed point.
    whole: u32,
    fraction: u32,
}

impl Clock {
    /// For a counter of `frequency` ticks a second (not 0) that stands at `boot` now.
    pub fn new(frequency: u32, boot: u64) -> Self {
        let scale = (SECOND_NS << 32).div_ceil(frequency.into());
        Self { boot, frequency, whole: (scale >> 32) as u32, fraction: scale as u32 }
    }

    /// Nanoseconds in `ticks`.
    pub fn ns(&self, ticks: u64) -> u64 {
        let (high, low) = (ticks >> 32, ticks & 0xffff_ffff);
        let fraction = u64::from(self.fraction);
        let part = high.wrapping_mul(fraction).wrapping_add((low * fraction) >> 32);
        ticks.wrapping_mul(self.whole.into()).wrapping_add(part)
    }

    /// System time at the counter's value `at`, in nanoseconds.
    pub fn system_ns(&self, at: u64) -> u64 {
        self.ns(at.saturating_sub(self.boot))
    }

    /// Ticks that take at least `ns`. Divides: not for hot paths.
    pub fn ticks(&self, ns: u64) -> u64 {
        let (seconds, rest) = (ns / SECOND_NS, ns % SECOND_NS);
        let frequency = u64::from(self.frequency);
        seconds.saturating_mul(frequency).saturating_add((rest * frequency).div_ceil(SECOND_NS))
    }

    /// The counter's value at system time `ns`.
    pub fn at_system_ns(&self, ns: u64) -> u64 {
        self.boot.saturating_add(self.ticks(ns))
    }

    /// Ticks in a second.
    pub fn frequency(&self) -> u32 {
        self.frequency
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_a_day_at_any_frequency() {
        for frequency in [1_000_000, 19_200_000, 24_000_000, 62_500_000, 1_000_000_000, u32::MAX] {
            let clock = Clock::new(frequency, 0);
            let day = 86_400 * u64::from(frequency);
            let error = clock.ns(day).abs_diff(86_400 * SECOND_NS);
            assert!(error < SECOND_NS / 10, "{frequency} Hz is off by {error} ns");
        }
    }

    #[test]
    fn ticks_round_up_so_that_nothing_fires_early() {
        let clock = Clock::new(24_000_000, 1000);
        for ns in [0, 1, 41, 42, 999_999_999, SECOND_NS + 1] {
            let at = clock.at_system_ns(ns);
            assert!(clock.system_ns(at) >= ns, "{ns}");
        }
        assert_eq!(clock.ticks(u64::MAX), clock.ticks(u64::MAX));
    }
}
