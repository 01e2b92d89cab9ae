//! The platform (hypercall 7): dom0 sets the clock.

use core::time::Duration;

use xen_abi::{
    Errno,
    hypercall::PLATFORM_OP,
    platform::{INTERFACE_VERSION, PlatformOp, SetTime64, op},
    types::OpPayload,
};

use super::call;

/// Tells the hypervisor what time of day it was when its clock showed `system_time`.
///
/// # Errors
///
/// `EPERM` for anyone but dom0.
pub fn set_time(time_of_day: Duration, system_time: Duration) -> Result<(), Errno> {
    let mut arg = PlatformOp {
        cmd: op::SETTIME64,
        interface_version: INTERFACE_VERSION,
        u: OpPayload::of(&SetTime64 {
            secs: time_of_day.as_secs(),
            nsecs: time_of_day.subsec_nanos(),
            mbz: 0,
            system_time: u64::try_from(system_time.as_nanos()).map_err(|_| Errno::EINVAL)?,
        }),
    };
    // SAFETY: there are no handles in it.
    unsafe { call(PLATFORM_OP, [core::ptr::from_mut(&mut arg) as usize]) }.map(drop)
}
