//! How this program goes: by calls that do not come back.

use guest_sdk::{
    abi::{Gfn, PAGE_SIZE, psci},
    hypercall::sched,
};
use log::error;

use crate::{calls, edge::Edge, memory};

/// Ends. A kind that is not known ends nothing.
pub fn end(kind: &str, edge: &Edge) {
    let power = |id: u32| calls::firmware(id as usize, [0; 3]);
    match kind {
        // The last vCPU goes off, and nobody is left to wake.
        "cpu-off" => drop(power(psci::id::CPU_OFF)),
        "off" => drop(power(psci::id::SYSTEM_OFF)),
        "reset" => drop(power(psci::id::SYSTEM_RESET)),
        // The page that this runs on is memory no more.
        "stack" => {
            let here = 0u32;
            let address = core::ptr::NonNull::from(&here);
            if let Some(address) = guest_sdk::memory::address_of(address) {
                memory::give_back(Gfn(address / PAGE_SIZE as u64), 0);
            }
        }
        // As a word of the hypervisor's reason there is no such.
        "shutdown" => drop(sched::shutdown(u32::MAX)),
        _ => error!("hostile: WRONG: no end by {kind}, at {:#x}", edge.end()),
    }
}
