//! A guest that passes nonsense in every hypercall, and says that it is still there.
//!
//! `rounds=N` on the command line is how many thousand random calls follow the systematic ones. Calls that are meant
//! to end or to stop the caller are left out: everything else has to come back.
#![cfg_attr(target_os = "none", no_std, no_main)]

mod calls;
mod nonsense;

use guest_sdk::{Env, exec};

guest_sdk::main!(main);

/// Thousands of random calls when the command line does not say.
const ROUNDS: u32 = 20;

/// Calls of a round.
const ROUND: u32 = 1000;

async fn main(env: Env) {
    let rounds = env.bootarg("rounds").and_then(|n| n.parse().ok()).unwrap_or(ROUNDS);
    log::info!("hostile: every hypercall with bad arguments");
    let walked = nonsense::walk();
    log::info!("hostile: {} calls made, {} refused", walked.made, walked.refused);
    let mut random = nonsense::Random::new(0x9e37_79b9);
    for round in 1..=rounds {
        for _ in 0..ROUND {
            random.call();
        }
        log::info!("hostile: round {round}, still here");
        exec::yield_now().await;
    }
}
