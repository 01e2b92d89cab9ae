//! Whether vCPUs that take turns on a CPU keep their saved program status. The architecture says so, and hypervisors
//! save and load it; but QEMU 7.2 does not let them see that of the AArch32 mode that a guest is in.
use crate::{
    Console,
    artifacts::{self, Hypervisor},
};
use machine::{Arch, DomU, Domain};
use std::time::Duration;

const ENOUGH: Duration = Duration::from_secs(60);

/// Starts guests, given by state and number of vCPUs, on one CPU; says whether any of their first vCPUs lost its saved
/// program status while others ran.
#[track_caller]
pub fn is_lost(on: Hypervisor, guests: &[(Arch, u32)]) -> bool {
    let mut machine = on.machine();
    machine.hypervisor_args += " guest_loglvl=all";
    let domu = |(state, vcpus): &(Arch, u32)| DomU {
        vcpus: *vcpus,
        ..DomU::new(Domain {
            kernel: artifacts::image_for(*state, "spsr"),
            ramdisk: None,
            args: String::new(),
        })
    };
    machine.domus.extend(guests.iter().map(domu));
    let names: Vec<_> = guests.iter().map(|(state, vcpus)| format!("-{}-{vcpus}", state.name())).collect();
    let mut c = Console::boot(&format!("spsr-{on:?}{}", names.concat()).to_lowercase(), &machine);
    let mut lost = false;
    for _ in guests {
        c.expect("spsr: ", ENOUGH);
        lost |= c.expect(" of ", ENOUGH) != "0";
    }
    lost
}
