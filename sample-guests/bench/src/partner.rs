//! What takes two domains: the second one does as the first one says, in a page that it lends to it.
// UNSAFETY: maps the page of the second domain over a hole.
#![allow(unsafe_code)]

use core::sync::atomic::Ordering::Relaxed;

use guest_sdk::{
    Env,
    abi::{Domid, Errno, EvtchnPort, Gref},
    grant::{Access, Grant, Mapping},
    hypercall::{event_channel, sched},
    shared::Memory,
};

use crate::{Failure, Lean, arch::counter, measure, report};

/// Words of the page.
const MODE: usize = 0;
const YIELDS: usize = 4;
const PORT: usize = 8;
/// Written last: the others are valid.
const READY: usize = 12;

/// What the second domain does; with none of these it sleeps.
mod mode {
    pub const YIELD: u32 = 1;
    pub const ANSWER: u32 = 2;
    pub const END: u32 = 3;
}

/// Value of [`READY`].
const MAGIC: u32 = 0x6265_6e63;
const FIRST: Domid = Domid(0);
/// The first domain that is not dom0.
const SECOND: Domid = Domid(1);

/// Serves the first domain.
pub fn second(env: &Env) -> Result<(), Failure> {
    let page = Grant::of_zeroes(FIRST, 1, Access::ReadWrite)?;
    let port = event_channel::alloc_unbound(Domid::SELF, FIRST)?;
    let lean = Lean::new(env)?;
    lean.listen(port);
    event_channel::unmask(port)?;
    let shared = page.shared();
    shared.store_u32(PORT, port.0, Relaxed);
    shared.store_u32(READY, MAGIC, Relaxed);
    loop {
        let before = lean.taken();
        match shared.load_u32(MODE, Relaxed) {
            mode::YIELD => {
                shared.store_u32(YIELDS, shared.load_u32(YIELDS, Relaxed).wrapping_add(1), Relaxed);
                sched::yield_cpu()?;
            }
            mode::END => return Ok(()),
            doing => {
                lean.wait(before);
                if doing == mode::ANSWER {
                    event_channel::send(port)?;
                }
            }
        }
    }
}

/// Measures with the second domain.
pub fn first(env: &Env, times: u32) -> Result<(), Failure> {
    let page = find()?;
    let shared = page.shared();
    let port = event_channel::bind_interdomain(SECOND, EvtchnPort(shared.load_u32(PORT, Relaxed)))?;
    let lean = Lean::new(env)?;
    lean.listen(port);
    // Until here it may be anywhere in its start; after an answer it waits for the next event.
    event_channel::unmask(port)?;
    lean.open(|| {});
    shared.store_u32(MODE, mode::ANSWER, Relaxed);
    wake(port)?;
    measure("request", times, || {
        let before = lean.taken();
        event_channel::send(port)?;
        lean.wait(before);
        Ok::<_, Errno>(())
    })?;
    shared.store_u32(MODE, mode::YIELD, Relaxed);
    wake(port)?;
    let switched = switches(times, || shared.load_u32(YIELDS, Relaxed));
    shared.store_u32(MODE, mode::END, Relaxed);
    switched
}

/// Sends an event that is not measured, and lets its receiver come to rest.
fn wake(port: EvtchnPort) -> Result<(), Errno> {
    const ENOUGH: usize = 64;
    event_channel::send(port)?;
    for _ in 0..ENOUGH {
        sched::yield_cpu()?;
    }
    Ok(())
}

/// Finds the page that the second domain lends, once it does.
fn find() -> Result<Mapping, Failure> {
    const GREFS: core::ops::Range<u32> = 8..16;
    const TRIES: usize = 2_000;
    for _ in 0..TRIES {
        for gref in GREFS {
            if let Ok(page) = Mapping::new(SECOND, &[Gref(gref)], Access::ReadWrite)
                && page.shared().load_u32(READY, Relaxed) == MAGIC
            {
                return Ok(page);
            }
        }
        sched::yield_cpu()?;
    }
    Err(Failure("there is no second domain"))
}

/// Measures switches: both domains yield, and what counts are the yields of ours in which the other one yielded once.
fn switches(times: u32, yields: impl Fn() -> u32) -> Result<(), Failure> {
    let (mut rounds, mut ticks) = (0u64, 0);
    for _ in 0..times {
        let before = yields();
        let start = counter();
        sched::yield_cpu()?;
        let took = counter() - start;
        if yields().wrapping_sub(before) == 1 {
            rounds += 1;
            ticks += took;
        }
    }
    if rounds < u64::from(times) / 10 {
        return Err(Failure("the domains did not take turns"));
    }
    // There and back.
    report("switch", 2 * rounds, ticks);
    Ok(())
}
