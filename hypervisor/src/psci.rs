//! Power State Coordination Interface (ARM DEN 0022), as its caller.

use hv_core::host::devices::Psci;
use xen_abi::psci::{id, ret};

use crate::arch;

/// Starts a CPU at a physical address; gives the firmware's status if it refuses.
pub fn cpu_on(method: Psci, affinity: u64, entry: u64) -> Result<(), i32> {
    let function = match method {
        Psci::Legacy(cpu_on) => cpu_on,
        // The one whose addresses have the width of ours.
        Psci::Standard if cfg!(target_pointer_width = "64") => id::CPU_ON | id::SMC64,
        Psci::Standard => id::CPU_ON,
    };
    match arch::smc([function as usize, affinity as usize, entry as usize, 0]) as i32 {
        ret::SUCCESS => Ok(()),
        error => Err(error),
    }
}

/// Ends the machine; returns when the firmware cannot.
pub fn system(method: Psci, reboot: bool) {
    if method == Psci::Standard {
        let function = if reboot { id::SYSTEM_RESET } else { id::SYSTEM_OFF };
        arch::smc([function as usize, 0, 0, 0]);
    }
}
