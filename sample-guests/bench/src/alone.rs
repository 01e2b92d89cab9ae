//! What one domain can measure by itself.
// UNSAFETY: maps and copies granted pages, over a hole and a page of our own.
#![allow(unsafe_code)]

use core::convert::Infallible;

use guest_sdk::{
    Env,
    abi::{
        Domid, PAGE_SIZE, VcpuId,
        grant_table::{Copy, CopyPtr, GrantStatus, MapGrantRef, UnmapGrantRef, gntcopy, gntmap},
    },
    event::Port,
    grant::{Access, Grant},
    hypercall::{event_channel, grant_table, sched, version},
    memory::{Hole, Pages},
};

use crate::{
    Failure, Lean,
    arch::{self, counter},
    measure, report,
};

impl From<Infallible> for Failure {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

/// Measures everything, and says so.
pub fn run(env: &Env, times: u32) -> Result<(), Failure> {
    const NS_PER_S: u64 = 1_000_000_000;
    let hz = u64::from(arch::counter_hz());
    let at_entry = env.entered().as_ns() * hz / NS_PER_S + physical_ahead();
    report("entry", 1, at_entry);
    measure("version", times, || version::version().map(drop))?;
    measure("yield", times, sched::yield_cpu)?;
    interrupts(env, times)?;
    grants(env, times)
}

/// How far the physical counter is ahead of the virtual one: it counts from the machine's start, the virtual one from
/// the domain's.
fn physical_ahead() -> u64 {
    arch::physical_counter().saturating_sub(counter())
}

fn interrupts(env: &Env, times: u32) -> Result<(), Failure> {
    let port = Port::bind_ipi(VcpuId(0))?;
    let number = port.number();
    let lean = Lean::new(env)?;
    lean.listen(number);
    measure("vgic_read", times, || {
        lean.gic.read_distributor();
        Ok::<_, Infallible>(())
    })?;
    measure("id_read", times, || {
        arch::read_identification();
        Ok::<_, Infallible>(())
    })?;
    measure("event_pending", times, || event_channel::send(number))?;
    let mut done = Ok(());
    lean.open(|| done = taken(&lean, times, || event_channel::send(number)));
    done?;
    timer_asleep(&lean, times);
    Ok(())
}

/// How late the handler of a timer is that fires while this CPU sleeps.
fn timer_asleep(lean: &Lean, times: u32) {
    /// Ticks: more than the 50 us by which Xen lets timers be late to have them together.
    const AHEAD: u64 = 10_000;
    let mut late = 0;
    for _ in 0..times {
        let due = counter() + AHEAD;
        let before = lean.taken();
        lean.fire_timer(due);
        lean.wait(before);
        late += lean.timer_handled() - due;
    }
    report("timer_asleep", times.into(), late);
}

fn taken(
    lean: &Lean,
    times: u32,
    mut send: impl FnMut() -> Result<(), guest_sdk::abi::Errno>,
) -> Result<(), Failure> {
    measure("timer", times, || {
        lean.there_and_back(|| lean.fire_timer(0));
        Ok::<_, Infallible>(())
    })?;
    measure("sgi", times, || {
        lean.there_and_back(|| lean.gic.send_to_self());
        Ok::<_, Infallible>(())
    })?;
    measure("event_taken", times, || {
        let mut sent = Ok(());
        lean.there_and_back(|| sent = send());
        sent
    })
}

fn grants(env: &Env, times: u32) -> Result<(), Failure> {
    let me = env.domid()?;
    let grant = Grant::of_zeroes(me, 1, Access::ReadWrite)?;
    let gref = grant.gref();
    let hole = Hole::new(1)?;
    let host_addr = hole.gfn(0).0 * PAGE_SIZE as u64;
    measure("map_unmap", times, || {
        let mut map =
            [MapGrantRef { host_addr, flags: gntmap::HOST_MAP, gref, dom: me, ..MapGrantRef::default() }];
        // SAFETY: nothing is in the hole.
        unsafe { grant_table::map(&mut map) }?;
        map[0].status.check()?;
        let mut unmap = [UnmapGrantRef { host_addr, handle: map[0].handle, ..UnmapGrantRef::default() }];
        // SAFETY: nobody looked at what was mapped.
        unsafe { grant_table::unmap(&mut unmap) }?;
        unmap[0].status.check().map_err(Failure::from)
    })?;

    let page = Pages::new(1)?;
    let source = CopyPtr { u: gref.0.into(), domid: me, offset: 0, pad: 0 };
    let dest = CopyPtr { u: page.gfn(0).0, domid: Domid::SELF, offset: 0, pad: 0 };
    measure("copy", times, || {
        let len = PAGE_SIZE as u16;
        let status = GrantStatus::GENERAL_ERROR;
        let mut list = [Copy { source, dest, len, flags: gntcopy::SOURCE_GREF, status, pad: 0 }];
        // SAFETY: the page is ours, and nobody looks at it.
        unsafe { grant_table::copy(&mut list) }?;
        list[0].status.check().map_err(Failure::from)
    })
}
