//! The clock and the timer of a vCPU, on top of the architecture's virtual counter.

use core::sync::atomic::{AtomicU32, Ordering};

use crate::{arch, time::Instant};

const NS_PER_S: u64 = 1_000_000_000;

/// Frequency of the counter in hertz.
static HZ: AtomicU32 = AtomicU32::new(0);

/// Takes the frequency from the device tree, or else from the counter.
pub(crate) fn init(said: Option<u32>) {
    let hz = said.unwrap_or_else(arch::counter_hz);
    assert!(hz > 0, "the counter does not say how fast it is");
    HZ.store(hz, Ordering::Relaxed);
}

fn hz() -> u64 {
    HZ.load(Ordering::Relaxed).max(1).into()
}

/// Nanoseconds since the counter was zero.
pub(crate) fn now_ns() -> u64 {
    to_ns(arch::counter(), hz())
}

/// The time at which the counter has a value.
pub(crate) fn at(ticks: u64) -> Instant {
    Instant::from_ns(to_ns(ticks, hz()))
}

fn to_ns(ticks: u64, hz: u64) -> u64 {
    // Whole seconds apart, so that nothing overflows for centuries.
    ticks / hz * NS_PER_S + ticks % hz * NS_PER_S / hz
}

/// The first tick at which so many nanoseconds have passed.
fn to_ticks(ns: u64, hz: u64) -> u64 {
    let part = (ns % NS_PER_S * hz).div_ceil(NS_PER_S);
    (ns / NS_PER_S).saturating_mul(hz).saturating_add(part)
}

/// Has the timer interrupt this vCPU at `deadline`, or not at all.
pub(crate) fn set(deadline: Option<Instant>) {
    arch::timer_set(deadline.map(|at| to_ticks(at.as_ns(), hz())));
}
