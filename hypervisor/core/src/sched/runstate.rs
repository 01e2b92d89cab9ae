//! What a vCPU did when: the record behind getvcpuinfo, cpu_time and the guest's runstate area.

use lock::Mutex;
use xen_abi::vcpu::{RunstateInfo, runstate};

use crate::time::Clock;

#[derive(Clone, Copy)]
struct Record {
    state: u32,
    /// In ticks, as all of it: converted only when somebody asks.
    since: u64,
    spent: [u64; 4],
}

/// A vCPU's record.
pub struct Runstate(Mutex<Record>);

impl Runstate {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Record { state: runstate::OFFLINE, since: 0, spent: [0; 4] }))
    }

    /// Starts the record, at the vCPU's creation.
    pub(crate) fn begin(&self, now: u64) {
        self.0.lock().since = now;
    }

    #[inline]
    pub(super) fn change(&self, state: u32, now: u64) {
        let mut record = self.0.lock();
        if record.state != state {
            record.settle(now);
            record.state = state;
        }
    }

    /// Follows a change of what keeps the vCPU from running, while it is not running.
    #[hot]
    pub(super) fn change_unless_running(&self, state: u32, now: u64) {
        let mut record = self.0.lock();
        if record.state != state && record.state != runstate::RUNNING {
            record.settle(now);
            record.state = state;
        }
    }

    /// One of [`runstate`].
    pub fn state(&self) -> u32 {
        self.0.lock().state
    }

    /// Ticks spent running until `now`.
    pub fn running_ticks(&self, now: u64) -> u64 {
        self.until(now).spent[runstate::RUNNING as usize]
    }

    /// The record as the guest sees it.
    pub fn info(&self, clock: &Clock, now: u64) -> RunstateInfo {
        let began = self.0.lock().since;
        let record = self.until(now);
        RunstateInfo {
            state: record.state as i32,
            pad: 0,
            state_entry_time: clock.system_ns(began),
            time: record.spent.map(|ticks| clock.ns(ticks)),
        }
    }

    #[hot]
    fn until(&self, now: u64) -> Record {
        let mut record = *self.0.lock();
        record.settle(now);
        record
    }
}

impl Record {
    #[inline]
    fn settle(&mut self, now: u64) {
        // A moment that another CPU read may be a little before.
        let spent = &mut self.spent[self.state as usize & 3];
        *spent = spent.wrapping_add(now.saturating_sub(self.since));
        self.since = now;
    }
}
