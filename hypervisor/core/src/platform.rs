//! platform_op, of which ARM has one: setting the wall clock.

use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use lock::RareMutex;
use xen_abi::{
    Errno,
    platform::{INTERFACE_VERSION, PlatformOp, SetTime64, op},
    xen::SharedInfo,
};

use crate::{
    Hypervisor,
    current::Current,
    domain::Domain,
    hypercall::{Args, HypercallResult},
    machine::Machine,
    time::SECOND_NS,
    xsm,
};

/// What time it was when system time was 0.
#[derive(Clone, Copy, Debug, Default)]
struct Base {
    seconds: u64,
    nanoseconds: u32,
}

/// The machine's wall clock.
#[derive(Debug, Default)]
pub(crate) struct Wallclock(RareMutex<Base>);

/// platform_op: pointer.
pub fn platform_op<M: Machine>(cur: &mut Current<'_, M>, args: Args) -> HypercallResult {
    let op: PlatformOp = cur.read(args[0])?;
    if op.interface_version != INTERFACE_VERSION {
        return Err(Errno::EACCES.into());
    }
    xsm::control(cur.domain)?;
    if op.cmd != op::SETTIME64 {
        return Err(Errno::ENOSYS.into());
    }
    let time: SetTime64 = op.u.get();
    if time.mbz != 0 {
        return Err(Errno::EINVAL.into());
    }
    let offset = cur.domain.time_offset.load(Ordering::Relaxed);
    let system = time.system_time.wrapping_add((offset as u64).wrapping_mul(SECOND_NS));
    let since = time.secs.wrapping_mul(SECOND_NS).wrapping_add(time.nsecs.into()).wrapping_sub(system);
    cur.hv.set_wallclock(since);
    Ok(0)
}

impl<M: Machine> Hypervisor<M> {
    /// Says when, in nanoseconds since 1970, system time was 0, and tells all domains.
    fn set_wallclock(&self, nanoseconds: u64) {
        *self.wallclock.0.lock() =
            Base { seconds: nanoseconds / SECOND_NS, nanoseconds: (nanoseconds % SECOND_NS) as u32 };
        for domain in self.domains.iter() {
            self.update_wallclock(&domain);
        }
    }

    /// Shifts a domain's wall clock.
    pub(crate) fn set_time_offset(&self, domain: &Arc<Domain<M>>, seconds: i64) {
        domain.time_offset.store(seconds, Ordering::Relaxed);
        self.update_wallclock(domain);
    }

    /// Writes the wall clock into the page that a domain shares with us. The version is odd meanwhile.
    pub(crate) fn update_wallclock(&self, domain: &Domain<M>) {
        // Held to the end, so that two updates do not mix.
        let base = self.wallclock.0.lock();
        let seconds = base.seconds.wrapping_add(domain.time_offset.load(Ordering::Relaxed) as u64);
        let (machine, page) = (&self.machine, domain.shared_info);
        let version_at = core::mem::offset_of!(SharedInfo, wc_version);
        let version = machine.load32(page, version_at) & !1;
        machine.store32(page, version_at, version | 1);
        machine.table_barrier();
        for (at, value) in [
            (core::mem::offset_of!(SharedInfo, wc_sec), seconds as u32),
            (core::mem::offset_of!(SharedInfo, wc_sec_hi), (seconds >> 32) as u32),
            (core::mem::offset_of!(SharedInfo, wc_nsec), base.nanoseconds),
        ] {
            machine.store32(page, at, value);
        }
        machine.store32(page, version_at, version.wrapping_add(2));
    }
}
