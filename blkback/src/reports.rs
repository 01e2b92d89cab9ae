//! What is said in the log of a disk: its guest causes a line whenever it connects, or breaks a rule.

use alloc::rc::Rc;
use alloc::string::{String, ToString};
use core::cell::RefCell;
use core::fmt;
use core::time::Duration;

use guest_sdk::allowance::Allowance;
use guest_sdk::time;
use log::Level;

/// Lines about a disk in each [`PERIOD`], before one says that there are more.
const LINES: u32 = 16;
const PERIOD: Duration = Duration::from_secs(10 * 60);

/// The lines about a disk; clones count together.
#[derive(Clone)]
pub(crate) struct Reports(Rc<RefCell<State>>);

struct State {
    disk: String,
    allowance: Allowance,
    silent: bool,
}

impl Reports {
    /// Of the disk with that name.
    pub(crate) fn new(disk: &impl fmt::Display) -> Self {
        let state = State { disk: disk.to_string(), allowance: Allowance::new(LINES, PERIOD), silent: false };
        Self(Rc::new(RefCell::new(state)))
    }

    /// Says something, unless too much was said lately.
    pub(crate) fn say(&self, level: Level, what: fmt::Arguments<'_>) {
        let state = &mut *self.0.borrow_mut();
        let allowed = state.allowance.take(time::now()).is_ok();
        if allowed {
            log::log!(level, "blkback: {}: {what}", state.disk);
        } else if !state.silent {
            log::warn!(
                "blkback: {}: further lines in these {} minutes are left out",
                state.disk,
                PERIOD.as_secs() / 60
            );
        }
        state.silent = !allowed;
    }
}
