//! Counts the instructions that operations of the hypervisor take.
//!
//! To be run as dom0 in an emulator that counts one instruction as one nanosecond. Each line of the result says what was
//! done, how many times, and how many ticks of the counter that took: `BENCH name times ticks`.
#![cfg_attr(target_os = "none", no_std)]
#![no_main]

extern crate alloc;

mod alone;
mod arch;
mod disk;
mod gic;
mod idle;
mod lean;
mod partner;
mod smp;
mod uart;

use core::{fmt, str::FromStr};

use arch::counter;
use guest_sdk::{
    Env,
    abi::{Errno, grant_table::GrantStatus},
};
use lean::Lean;
use log::info;

guest_sdk::main!(main);

/// What could not be measured.
#[derive(Debug)]
pub struct Failure(&'static str);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BENCH failed: {}", self.0)
    }
}

impl From<Errno> for Failure {
    fn from(error: Errno) -> Self {
        log::error!("{error}");
        Self("a hypercall")
    }
}

impl From<GrantStatus> for Failure {
    fn from(status: GrantStatus) -> Self {
        log::error!("{status:?}");
        Self("a grant")
    }
}

async fn main(env: Env) -> Result<(), Failure> {
    let times = number(&env, "times").unwrap_or(1000);
    report("hz", 1, arch::counter_hz().into());
    match env.bootarg("role") {
        None => {
            alone::run(&env, times)?;
            idle::run().await?;
        }
        Some("first") => partner::first(&env, times)?,
        Some("second") => return partner::second(&env),
        Some("smp") => smp::run(&env, times)?,
        Some("uart") => uart::run(&env, times)?,
        Some("reader") => disk::run(&env, times).await?,
        Some(_) => return Err(Failure("role= is first, second, smp, uart or reader")),
    }
    info!("BENCH end");
    Ok(())
}

fn number<T: FromStr>(env: &Env, key: &str) -> Option<T> {
    env.bootarg(key)?.parse().ok()
}

/// Says what was measured.
fn report(name: &str, times: u64, ticks: u64) {
    info!("BENCH {name} {times} {ticks}");
}

/// Measures `work`, after it was done twice to have everything in its place.
fn measure<E>(name: &str, times: u32, mut work: impl FnMut() -> Result<(), E>) -> Result<(), Failure>
where
    Failure: From<E>,
{
    work()?;
    work()?;
    let start = counter();
    for _ in 0..times {
        work()?;
    }
    report(name, times.into(), counter() - start);
    Ok(())
}
