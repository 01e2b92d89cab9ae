//! A guest that passes nonsense in every hypercall, and says that it is still there.
//!
//! `rounds=N` on the command line is how many random calls follow the systematic ones. Calls that are meant to end
//! or to stop the caller are left out: everything else has to come back.
#![cfg_attr(target_os = "none", no_std, no_main)]

mod calls;
mod nonsense;

use guest_sdk::{Env, exec};

guest_sdk::main!(main);

/// Random calls when the command line does not say.
const ROUNDS: u32 = 20_000;

async fn main(env: Env) {
    let rounds = env.bootarg("rounds").and_then(|n| n.parse().ok()).unwrap_or(ROUNDS);
    log::info!("hostile: every hypercall with bad arguments");
    let walked = nonsense::walk();
    log::info!("hostile: {} calls made, {} refused", walked.made, walked.refused);
    let mut random = nonsense::Random::new(0x9e37_79b9);
    let mut made = 0;
    while made < rounds {
        for _ in 0..1000.min(rounds - made) {
            random.call();
            made += 1;
        }
        exec::yield_now().await;
    }
    log::info!("hostile: {made} random calls, still here");
}
