//! Other vCPUs.

use alloc::sync::Arc;
use core::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use guest_sdk::{
    Env,
    exec::{self, Signal},
    smp::{self, StartError},
};

use crate::{Context, Outcome, check};

/// Two vCPUs that take turns.
struct Game {
    there: Signal,
    back: Signal,
    who: AtomicUsize,
}

const TURNS: usize = 50;

pub async fn each_other_vcpu_works_and_can_be_started_again(env: Env) -> Outcome {
    check!(smp::start(0, || {}) == Err(StartError::NoSuchVcpu));
    check!(smp::start(env.vcpus(), || {}) == Err(StartError::NoSuchVcpu));
    for cpu in 1..env.vcpus() {
        for _ in 0..2 {
            play_with(cpu).await?;
        }
    }
    Ok(())
}

/// The other vCPU's part.
fn play(game: &Game) {
    game.who.store(smp::current(), Ordering::SeqCst);
    exec::block_on(async {
        exec::sleep(Duration::from_millis(2)).await;
        for _ in 0..TURNS {
            game.there.wait().await;
            game.back.raise();
        }
    });
}

async fn play_with(cpu: usize) -> Outcome {
    let game = Arc::new(Game { there: Signal::new(), back: Signal::new(), who: AtomicUsize::new(0) });
    start_when_done(cpu, &game).await.at("start")?;
    for _ in 0..TURNS {
        game.there.raise();
        game.back.wait().await;
    }
    check!(game.who.load(Ordering::SeqCst) == cpu);
    Ok(())
}

/// A vCPU that has just told us that it is done may not be yet.
async fn start_when_done(cpu: usize, game: &Arc<Game>) -> Result<(), StartError> {
    loop {
        let game = game.clone();
        match smp::start(cpu, move || play(&game)) {
            Err(StartError::AlreadyOn) => exec::sleep(Duration::from_millis(1)).await,
            done => return done,
        }
    }
}
