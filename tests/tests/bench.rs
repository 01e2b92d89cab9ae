//! The benchmark guest comes to its end, on both. How many instructions anything took is no matter for a test.
use machine::{DomU, Domain, Machine};
use std::time::Duration;
use system_tests::{
    Console,
    artifacts::{
        self,
        Hypervisor::{self, Ours, OursGicv3, Xen},
    },
};

const ENOUGH: Duration = Duration::from_secs(120);

fn guest(args: &str) -> Domain {
    Domain { kernel: artifacts::image("bench"), ramdisk: None, args: args.into() }
}

fn machine(on: Hypervisor, args: &str) -> Machine {
    let mut machine = on.machine();
    machine.hypervisor_args += " dom0_mem=64M";
    machine.dom0 = Some(guest(args));
    machine
}

/// Expects a result for each of `names`, in this order, and the end.
fn measures(name: &str, on: Hypervisor, machine: &Machine, names: &[&str]) {
    let mut c = Console::boot(&format!("bench-{name}-{on:?}").to_lowercase(), machine);
    for name in names.iter().chain(&["end"]) {
        c.expect(&format!("BENCH {name}"), ENOUGH);
    }
}

fn alone(on: Hypervisor) {
    let names = ["entry", "version", "yield", "vgic_read", "event_pending", "timer", "sgi", "event_taken"];
    measures("alone", on, &machine(on, "times=10"), &[&names[..], &["map_unmap", "copy", "idle"]].concat());
}

fn with_a_second_domain(on: Hypervisor) {
    let mut machine = machine(on, "role=first times=100");
    machine.domus.push(DomU {
        boot: guest("role=second"),
        memory_kib: 32 << 10,
        vcpus: 1,
        vpl011: false,
        enhanced: Some("no-xenstore"),
    });
    measures("pair", on, &machine, &["request", "switch"]);
}

/// Under Debian's dom0, as a guest that has its disk from another one.
fn with_a_disk(on: Hypervisor) {
    const PROMPT: &str = "dom0# ";
    let mut machine = on.machine();
    machine.memory_mib = 2048;
    // Debian's Xen keeps guests apart unless told otherwise.
    machine.hypervisor_args += " dom0_mem=512M xsm=dummy";
    machine.dom0 = Some(artifacts::debian_dom0());
    machine.disks.push(artifacts::data_disk());
    let mut c = Console::boot(&format!("bench-disk-{on:?}").to_lowercase(), &machine);
    c.expect("init: dom0 is ready", ENOUGH);
    c.expect(PROMPT, ENOUGH);
    c.command("xl create /root/disk-server.cfg", PROMPT, ENOUGH);
    c.send_line("xl create -c /root/bench.cfg");
    for name in ["block_1", "events_1", "block_32", "events_32", "end"] {
        c.expect(&format!("BENCH {name}"), ENOUGH);
    }
}

#[test]
fn benchmark_measures_one_domain() {
    alone(Ours);
}

#[test]
fn benchmark_measures_two_domains() {
    with_a_second_domain(Ours);
}

#[test]
fn benchmark_measures_one_domain_with_a_gicv3() {
    alone(OursGicv3);
}

#[test]
fn benchmark_measures_two_domains_with_a_gicv3() {
    with_a_second_domain(OursGicv3);
}

#[test]
fn benchmark_measures_one_domain_on_xen() {
    alone(Xen);
}

#[test]
fn benchmark_measures_two_domains_on_xen() {
    with_a_second_domain(Xen);
}

#[test]
fn benchmark_reads_a_disk() {
    with_a_disk(Ours);
}

#[test]
fn benchmark_reads_a_disk_on_xen() {
    with_a_disk(Xen);
}
