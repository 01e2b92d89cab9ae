//! How often a guest may make the transactions of others fail.
//!
//! A write that meets an open transaction may force it to start again, and a guest that writes without pause could
//! force that for ever. So while transactions are open, each write of a guest takes from a credit that grows with
//! time: all guests together get [`RATE`] writes a second, with room for short bursts. A guest in debt is not read
//! from until its credit has grown back. The figures are those of Xen's C daemon.

/// Thousandths of a write.
type Credit = i64;

const WRITE: Credit = 1000;
/// Writes a second, of all guests together: in other words thousandths of a write in a millisecond.
const RATE: Credit = 200;
/// What one guest may save up.
const BURST: Credit = 10 * WRITE;
/// What all guests together may save up beyond that.
const SHARED_BURST: Credit = 1000 * WRITE;
/// How far new guests may drive the shared savings into debt for their first burst.
const NEWCOMERS: Credit = 5 * BURST;

/// One guest's credit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account {
    credit: Credit,
    updated_ms: u64,
}

/// What the guests share.
#[derive(Debug, Default)]
pub struct RateLimit {
    reserve: Credit,
    guests: u32,
}

/// Moves as much as leaves `from` at `floor` at least, and `to` at `ceiling` at most.
fn transfer(from: &mut Credit, floor: Credit, to: &mut Credit, ceiling: Credit) {
    let amount = (*from - floor).min(ceiling - *to).max(0);
    *from -= amount;
    *to += amount;
}

impl RateLimit {
    /// Opens an account.
    pub fn join(&mut self, now_ms: u64) -> Account {
        self.guests += 1;
        let mut account = Account { credit: 0, updated_ms: now_ms };
        transfer(&mut self.reserve, -NEWCOMERS, &mut account.credit, BURST);
        account
    }

    /// Closes an account.
    pub fn leave(&mut self, mut account: Account) {
        self.guests -= 1;
        transfer(&mut account.credit, 0, &mut self.reserve, SHARED_BURST);
    }

    fn grow(&mut self, account: &mut Account, now_ms: u64) {
        let elapsed = now_ms.saturating_sub(account.updated_ms).min(1_000_000) as Credit;
        let growth = elapsed * RATE / Credit::from(self.guests.max(1));
        if growth == 0 {
            return;
        }
        account.updated_ms = now_ms;
        account.credit += growth;
        transfer(&mut self.reserve, 0, &mut account.credit, 0);
        let mut surplus = (account.credit - BURST).max(0);
        account.credit -= surplus;
        transfer(&mut surplus, 0, &mut self.reserve, SHARED_BURST);
    }

    /// Takes the price of a write.
    pub fn spend(&mut self, account: &mut Account, now_ms: u64) {
        self.grow(account, now_ms);
        account.credit -= WRITE;
    }

    /// Tells for how many milliseconds the guest is not to be read from.
    pub fn wait_ms(&mut self, account: &mut Account, now_ms: u64) -> Option<u64> {
        if account.credit >= 0 {
            return None;
        }
        self.grow(account, now_ms);
        let debt = u64::try_from(-account.credit).ok().filter(|&debt| debt > 0)?;
        Some((debt * u64::from(self.guests.max(1))).div_ceil(RATE as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_a_stream_is_slowed_to_the_rate() {
        let mut limit = RateLimit::default();
        let mut guest = limit.join(0);
        let mut now = 0;
        let mut writes = 0;
        while now < 10_000 {
            match limit.wait_ms(&mut guest, now) {
                Some(wait) => now += wait,
                None => {
                    limit.spend(&mut guest, now);
                    writes += 1;
                }
            }
        }
        assert!((2000..2100).contains(&writes), "{writes} writes in ten seconds");
    }

    #[test]
    fn guests_share_the_rate() {
        let mut limit = RateLimit { reserve: -NEWCOMERS, guests: 0 };
        let mut guests: [_; 10] = core::array::from_fn(|_| limit.join(0));
        let mut writes = 0;
        for now in 0..10_000 {
            for guest in &mut guests {
                if limit.wait_ms(guest, now).is_none() {
                    limit.spend(guest, now);
                    writes += 1;
                }
            }
        }
        assert!((1900..2100).contains(&writes), "{writes} writes in ten seconds");
    }

    #[test]
    fn a_clock_that_stands_or_jumps_does_no_harm() {
        let mut limit = RateLimit::default();
        let mut guest = limit.join(u64::MAX);
        for now in [0, u64::MAX, 1, u64::MAX] {
            limit.spend(&mut guest, now);
        }
        for _ in 0..100 {
            limit.spend(&mut guest, 5);
        }
        assert!(limit.wait_ms(&mut guest, 5).is_some());
        limit.leave(guest);
        assert_eq!(limit.guests, 0);
    }
}
