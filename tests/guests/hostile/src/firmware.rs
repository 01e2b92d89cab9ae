//! Power: CPUs that do not exist, that run already, that start where nothing is.

use guest_sdk::abi::psci;
use log::error;

use crate::calls::{self, Tally};

/// Targets other than a vCPU that is off.
const TARGETS: [usize; 6] = [0, 0x8000_0000, 0xff, 0x1_0000, 0x8000_00ff, usize::MAX];

/// The function that starts a vCPU, in the convention of this state.
const CPU_ON: usize =
    (psci::id::CPU_ON | if cfg!(target_pointer_width = "64") { psci::id::SMC64 } else { 0 }) as usize;

/// Makes the calls that are refused.
pub fn run() -> Tally {
    let mut tally = Tally::default();
    for target in TARGETS {
        for entry in [0, 1, 0x4000_0000, calls::scratch() | 1, usize::MAX] {
            for id in [CPU_ON, psci::id::CPU_ON as usize, psci::v0_1::CPU_ON as usize] {
                tally.made += 1;
                let result = calls::firmware(id, [target, entry, 0]);
                tally.refused += u32::from(result < 0);
                if result == psci::ret::SUCCESS {
                    error!("hostile: WRONG: {target:#x} was switched on");
                }
            }
        }
    }
    tally
}

/// Starts the last vCPU where nothing is, with its vectors where nothing is either: it never gets anywhere, and never
/// stops trying.
pub fn storm(vcpus: usize) -> Tally {
    let started = vcpus > 2 && calls::firmware(CPU_ON, [vcpus - 1, 0, 0]) == psci::ret::SUCCESS;
    Tally { made: 1, refused: u32::from(!started) }
}
