//! The counter, and the hypervisor's own timer.

use core::sync::atomic::{AtomicU32, Ordering};

use super::sysregs::*;

/// A timer that is on.
const TIMER_ENABLE: Word = 1 << 0;

/// The counter.
#[inline]
pub fn ticks() -> u64 {
    // Not to be read ahead of what comes before.
    super::isb();
    CNTPCT_EL0::read()
}

/// Its frequency, where the device tree says it.
static FREQUENCY: AtomicU32 = AtomicU32::new(0);

/// Sets the frequency for a board whose firmware does not.
pub fn set_ticks_per_second(frequency: u32) {
    FREQUENCY.store(frequency, Ordering::Relaxed);
}

/// Its frequency: what the device tree says, else as firmware has set the register.
pub fn ticks_per_second() -> u32 {
    match FREQUENCY.load(Ordering::Relaxed) {
        0 => CNTFRQ_EL0::read() as u32,
        frequency => frequency,
    }
}

/// Arms or disarms the hypervisor's timer.
pub fn set_timer(deadline: Option<u64>) {
    if let Some(deadline) = deadline {
        CNTHP_CVAL_EL2::write(deadline);
    }
    CNTHP_CTL_EL2::write(if deadline.is_some() { TIMER_ENABLE } else { 0 });
}
