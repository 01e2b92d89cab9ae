//! A clock on each vCPU: tells the time at a steady pace, a number of times or until the toolstack
//! wants it to stop, then powers off.
//!
//! `ticks=N` and `period=MS` on the command line say how often and how fast.
#![cfg_attr(target_os = "none", no_std)]
#![no_main]

extern crate alloc;

use alloc::sync::Arc;
use core::{str::FromStr, time::Duration};

use guest_sdk::{
    Env,
    control::{Control, Request},
    exec::{self, Either, Signal},
    smp, time,
};
use log::{error, info};

guest_sdk::main!(main);

async fn main(env: Env) -> Request {
    match exec::race(clocks(&env), asked_to_end(&env)).await {
        Either::First(()) => Request::PowerOff,
        Either::Second(request) => {
            info!("asked to end: {request:?}");
            request
        }
    }
}

/// Waits for the toolstack to ask for the end, as `xl shutdown` does; without one, for ever.
async fn asked_to_end(env: &Env) -> Request {
    if let Ok(store) = env.xenstore().await
        && let Ok(mut control) = Control::new(&store).await
        && let Ok(request) = control.next().await
    {
        return request;
    }
    core::future::pending().await
}

async fn clocks(env: &Env) {
    let ticks = number(env, "ticks").unwrap_or(5);
    let period = Duration::from_millis(number(env, "period").unwrap_or(1000));
    match time::wallclock() {
        Some(now) => info!("{} seconds since 1970", now.as_secs()),
        None => info!("nobody knows the date"),
    }
    let others: alloc::vec::Vec<_> =
        (1..env.vcpus()).filter_map(|cpu| start_other(cpu, ticks, period)).collect();
    tick(ticks, period).await;
    for done in others {
        done.wait().await;
    }
    info!("all vCPUs are done");
}

/// Sets another vCPU to tick; what it gives is raised when that vCPU is done.
fn start_other(cpu: usize, ticks: u32, period: Duration) -> Option<Arc<Signal>> {
    let done = Arc::new(Signal::new());
    let raise = done.clone();
    let started = smp::start(cpu, move || {
        exec::block_on(tick(ticks, period));
        raise.raise();
    });
    match started {
        Ok(()) => Some(done),
        Err(error) => {
            error!("{error}");
            None
        }
    }
}

/// Ticks by the clock, so that being late once does not make it late for good.
async fn tick(ticks: u32, period: Duration) {
    let mut next = time::now();
    for n in 1..=ticks {
        next += period;
        exec::sleep_until(next).await;
        info!("vCPU {}: tick {n}", smp::current());
    }
}

fn number<T: FromStr>(env: &Env, key: &str) -> Option<T> {
    env.bootarg(key)?.parse().ok()
}
