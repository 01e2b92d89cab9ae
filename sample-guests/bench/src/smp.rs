//! What takes two vCPUs of one domain.

use core::{
    convert::Infallible,
    sync::atomic::{AtomicBool, Ordering::SeqCst},
};

use guest_sdk::{Env, smp};

use crate::{Failure, Lean, measure};

/// The other vCPU waits for interrupts.
static LISTENS: AtomicBool = AtomicBool::new(false);
/// It is to go on.
static MORE: AtomicBool = AtomicBool::new(true);

/// Measures an interrupt to the other vCPU and its answer: both sleep meanwhile.
pub fn run(env: &Env, times: u32) -> Result<(), Failure> {
    let other = *env;
    smp::start(1, move || {
        if let Err(failure) = answer(&other) {
            log::error!("{failure}");
        }
    })
    .map_err(|_| Failure("there is no second vCPU"))?;
    while !LISTENS.load(SeqCst) {
        // On the one CPU that both have, a hypervisor would let us spin.
        guest_sdk::hypercall::sched::yield_cpu()?;
    }
    let lean = Lean::new(env)?;
    let mut there_and_back = || {
        let before = lean.taken();
        lean.gic.send_to(1);
        lean.wait(before);
        Ok::<_, Infallible>(())
    };
    let measured = measure("sgi_other", times, &mut there_and_back);
    MORE.store(false, SeqCst);
    let _ = there_and_back();
    measured
}

/// Answers each interrupt with one.
fn answer(env: &Env) -> Result<(), Failure> {
    let lean = Lean::new(env)?;
    let mut before = lean.taken();
    LISTENS.store(true, SeqCst);
    while MORE.load(SeqCst) {
        lean.wait(before);
        before = lean.taken();
        lean.gic.send_to(0);
    }
    Ok(())
}
