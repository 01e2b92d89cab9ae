//! How often somebody else may cause something.

use core::time::Duration;

use crate::time::Instant;

/// Turns in each period; the period begins with the first turn after the last one ended.
#[derive(Debug)]
pub struct Allowance {
    turns: u32,
    period: Duration,
    left: u32,
    ends: Instant,
}

impl Allowance {
    /// Allows `turns`, at least one, in each `period`.
    #[must_use]
    pub const fn new(turns: u32, period: Duration) -> Self {
        Self { turns, period, left: 0, ends: Instant::from_ns(0) }
    }

    /// Takes a turn at `now`.
    ///
    /// # Errors
    ///
    /// The time to wait for when there is none left.
    pub fn take(&mut self, now: Instant) -> Result<(), Instant> {
        if now >= self.ends {
            self.left = self.turns.max(1);
            self.ends = now + self.period;
        }
        self.left = self.left.checked_sub(1).ok_or(self.ends)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: Duration = Duration::from_nanos(100);

    #[test]
    fn turns_run_out_and_come_back_with_the_next_period() {
        let mut allowance = Allowance::new(2, PERIOD);
        let start = Instant::from_ns(1000);
        assert_eq!(allowance.take(start), Ok(()));
        assert_eq!(allowance.take(Instant::from_ns(1050)), Ok(()));
        assert_eq!(allowance.take(Instant::from_ns(1099)), Err(Instant::from_ns(1100)));
        assert_eq!(allowance.take(Instant::from_ns(1100)), Ok(()));
    }

    #[test]
    fn a_quiet_time_saves_nothing_up() {
        let mut allowance = Allowance::new(1, PERIOD);
        assert_eq!(allowance.take(Instant::from_ns(0)), Ok(()));
        assert_eq!(allowance.take(Instant::from_ns(1_000_000)), Ok(()));
        assert!(allowance.take(Instant::from_ns(1_000_001)).is_err());
    }

    #[test]
    fn there_is_always_one_turn() {
        let mut allowance = Allowance::new(0, PERIOD);
        assert_eq!(allowance.take(Instant::from_ns(5)), Ok(()));
    }
}
