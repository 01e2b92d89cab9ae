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

async fn play_with(cpu: usize) -> Outcome {
    let game = Arc::new(Game { there: Signal::new(), back: Signal::new(), who: AtomicUsize::new(0) });
    let theirs = game.clone();
    let work = move || {
        theirs.who.store(smp::current(), Ordering::SeqCst);
        exec::block_on(async {
            exec::sleep(Duration::from_millis(2)).await;
            for _ in 0..TURNS {
                theirs.there.wait().await;
                theirs.back.raise();
            }
        });
    };
    start_when_off(cpu, work).await.at("start")?;
    for _ in 0..TURNS {
        game.there.raise();
        game.back.wait().await;
    }
    check!(game.who.load(Ordering::SeqCst) == cpu);
    Ok(())
}

/// A vCPU that has just finished may take a moment to be off.
async fn start_when_off(cpu: usize, work: impl FnOnce() + Send + 'static) -> Result<(), StartError> {
    let work = Arc::new(guest_sdk::IrqLock::new(Some(work)));
    loop {
        let again = work.clone();
        let run = move || {
            // Not in one expression: the lock, and with it the interrupt mask, would be held.
            let work = again.lock().take();
            if let Some(work) = work {
                work();
            }
        };
        match smp::start(cpu, run) {
            Err(StartError::AlreadyOn) => exec::sleep(Duration::from_millis(1)).await,
            done => return done,
        }
    }
}
