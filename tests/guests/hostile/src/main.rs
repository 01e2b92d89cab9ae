//! A guest that does to hypervisor and back ends what none should, and says that it is still there.
//!
//! On the command line, `attacks=A,B` says which of [`ATTACKS`], `rounds=N` how many rounds of random calls follow,
//! `disk=N` which disk is to suffer, and `end=KIND` how it goes: [`ends`]. Calls that are meant to end or to stop the
//! caller are made only then: everything else has to come back.
#![cfg_attr(target_os = "none", no_std)]
#![no_main]

extern crate alloc;

mod calls;
mod devices;
mod disk;
mod edge;
mod ends;
mod events;
mod firmware;
mod grants;
mod memory;
mod multicall;
mod nonsense;
mod probe;
mod registers;
mod store;

use calls::Tally;
use edge::Edge;
use guest_sdk::{Env, exec};
use log::{error, info};

guest_sdk::main!(main);

/// Those that need nothing but the hypervisor.
const ATTACKS: &str = "calls,multicall,memory,firmware,registers,devices,grants,events";

/// Rounds of random calls when the command line does not say.
const ROUNDS: u32 = 1;

/// Calls of a round.
const ROUND: u32 = 50_000;

async fn main(env: Env) {
    let edge = match Edge::new() {
        Ok(edge) => edge,
        Err(error) => return error!("hostile: WRONG: no memory to play with: {error}"),
    };
    for attack in env.bootarg("attacks").unwrap_or(ATTACKS).split(',') {
        info!("hostile: {attack}");
        let tally = make(attack, &env, &edge).await;
        info!("hostile: {attack}: {} calls made, {} refused", tally.made, tally.refused);
    }
    let rounds = env.bootarg("rounds").and_then(|n| n.parse().ok()).unwrap_or(ROUNDS);
    let mut random = nonsense::Random::new(0x9e37_79b9);
    for round in 1..=rounds {
        for _ in 0..ROUND {
            random.call();
        }
        info!("hostile: round {round}, still here");
        exec::yield_now().await;
    }
    if let Some(kind) = env.bootarg("end") {
        info!("hostile: ends by {kind}");
        ends::end(kind, &edge);
    }
}

async fn make(attack: &str, env: &Env, edge: &Edge) -> Tally {
    let vcpus = env.vcpus();
    match attack {
        "calls" => nonsense::run(),
        "multicall" => multicall::run(edge),
        "memory" => memory::run(edge, vcpus),
        "firmware" => firmware::run(),
        "registers" => registers::run(),
        "devices" => devices::run(),
        "grants" => grants::run(edge, vcpus),
        "events" => events::run(vcpus),
        "storm" => firmware::storm(vcpus),
        "disk" => disk_of(env).await,
        "store" => store::run().await,
        "flood" => flood(),
        _ => {
            error!("hostile: WRONG: what is {attack}?");
            Tally::default()
        }
    }
}

async fn disk_of(env: &Env) -> Tally {
    let store = match env.xenstore().await {
        Ok(store) => store,
        Err(error) => {
            error!("hostile: WRONG: no store: {error}");
            return Tally::default();
        }
    };
    let tally = disk::run(&store, env.bootarg("disk").unwrap_or("51712")).await;
    tally.unwrap_or_else(|error| {
        error!("hostile: WRONG: disk: {error}");
        Tally::default()
    })
}

/// As much on the console as fits.
fn flood() -> Tally {
    const LINES: u32 = 2000;
    for line in 0..LINES {
        info!("hostile: line {line} of very many, which nobody wants to read");
    }
    Tally { made: LINES, refused: 0 }
}
