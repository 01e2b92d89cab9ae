//! Debian's dom0 on a board with a GICv3. Its guest brings a device tree with a GICv2 and cannot run there.
use std::time::Duration;
use system_tests::{
    Console,
    artifacts::{self, Hypervisor::OursGicv3},
    cases,
};

const BOOT: Duration = Duration::from_secs(180);

#[test]
fn ticker_runs_on_two_vcpus() {
    cases::ticker_runs_on_two_vcpus(OursGicv3);
}

#[test]
fn linux_has_all_four_cpus() {
    let mut machine = OursGicv3.machine();
    machine.deterministic = false;
    machine.cpus = 4;
    machine.memory_mib = 2048;
    machine.hypervisor_args += " dom0_mem=512M";
    machine.dom0 = Some(artifacts::debian_dom0());
    machine.disks.push(artifacts::data_disk());
    let mut c = Console::boot("gicv3-four-cpus", &machine);
    c.expect("init: dom0 is ready", BOOT);
    c.expect("dom0# ", BOOT);
    let cpus = c.command("grep -c ^processor /proc/cpuinfo; grep -c GICv3 /proc/interrupts", "dom0# ", BOOT);
    let mut counts = cpus.lines().map(str::trim);
    assert_eq!(counts.next(), Some("4"), "{cpus}");
    assert_ne!(counts.next(), Some("0"), "{cpus}");
}
