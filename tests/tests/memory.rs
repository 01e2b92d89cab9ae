//! What the hypervisor does when its memory is short.
use machine::Domain;
use std::time::Duration;
use system_tests::{
    Console,
    artifacts::Hypervisor::{self, Ours, OursArm64},
};

/// Scrubbing what was used up takes long on a busy host.
const FULL: Duration = Duration::from_secs(180);

#[test]
fn domains_are_made_until_memory_is_used_up() {
    fills(Ours);
}

#[test]
fn domains_are_made_until_memory_is_used_up_on_arm64() {
    fills(OursArm64);
}

fn fills(on: Hypervisor) {
    let mut machine = on.machine();
    machine.memory_mib = 512;
    machine.hypervisor_args += " dom0_mem=64M";
    machine.dom0 = Some(Domain { kernel: on.image("selftest"), ramdisk: None, args: "fill".into() });
    let mut c = Console::boot(&format!("memory-{on:?}").to_lowercase(), &machine);
    c.expect("ok memory_runs_out_and_comes_back", FULL);
    c.expect("selftest: all passed", FULL);
}
