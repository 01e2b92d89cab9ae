//! The benchmark guest comes to its end, on both. How many instructions anything took is no matter for a test.
use machine::{
    Arch::{Arm32, Arm64},
    DomU, Domain, Machine,
};
use std::time::Duration;
use system_tests::{
    Console, Mix,
    artifacts::{
        self,
        Hypervisor::{self, Ours, OursArm64, OursArm64Gicv3, OursGicv3, Xen, XenArm64},
    },
};

const ENOUGH: Duration = Duration::from_secs(120);

fn guest(mix: Mix, args: &str) -> Domain {
    Domain { kernel: artifacts::image_for(mix.guest, "bench"), ramdisk: None, args: args.into() }
}

fn domu(mix: Mix, args: &str) -> DomU {
    DomU::new(guest(mix, args))
}

fn machine(mix: Mix, args: &str) -> Machine {
    let mut machine = mix.on.machine();
    machine.hypervisor_args += " dom0_mem=64M";
    machine.dom0 = Some(guest(mix, args));
    machine
}

/// Expects a result for each of `names`, in this order, and the end.
fn measures(name: &str, mix: Mix, machine: &Machine, names: &[&str]) {
    let mut c = Console::boot(&mix.name(&format!("bench-{name}")), machine);
    for name in names.iter().chain(&["end"]) {
        c.expect(&format!("BENCH {name}"), ENOUGH);
    }
}

fn alone(mix: impl Into<Mix>) {
    let mix = mix.into();
    let names = ["entry", "version", "yield", "vgic_read", "id_read", "event_pending", "timer", "sgi"];
    let names = [&names[..], &["event_taken", "timer_asleep", "map_unmap", "copy", "idle"]].concat();
    measures("alone", mix, &machine(mix, "times=10"), &names);
}

fn with_a_second_vcpu(mix: impl Into<Mix>) {
    let mix = mix.into();
    let mut machine = machine(mix, "role=smp times=10");
    machine.hypervisor_args += " dom0_max_vcpus=2";
    measures("smp", mix, &machine, &["sgi_other"]);
}

fn with_a_second_domain(mix: impl Into<Mix>) {
    let mix = mix.into();
    let mut machine = machine(mix, "role=first times=100");
    machine.domus.push(domu(mix, "role=second"));
    measures("pair", mix, &machine, &["request", "switch"]);
}

fn with_a_uart(mix: impl Into<Mix>) {
    let mix = mix.into();
    let mut machine = mix.on.machine();
    machine.hypervisor_args += " guest_loglvl=all";
    machine.domus.push(DomU { vpl011: true, ..domu(mix, "role=uart times=10") });
    measures("uart", mix, &machine, &["uart_read"]);
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
    alone(OursGicv3);
}

#[test]
fn benchmark_measures_two_domains() {
    with_a_second_domain(Ours);
    with_a_second_domain(OursGicv3);
}

#[test]
fn benchmark_measures_two_vcpus_and_a_uart() {
    with_a_second_vcpu(Ours);
    with_a_uart(Ours);
}

#[test]
fn benchmark_measures_on_xen() {
    alone(Xen);
    with_a_second_domain(Xen);
    with_a_second_vcpu(Xen);
    with_a_uart(Xen);
}

#[test]
fn benchmark_measures_on_arm64() {
    for on in [OursArm64, OursArm64Gicv3] {
        alone(on);
        with_a_second_domain(on);
        with_a_second_vcpu(on);
        with_a_uart(on);
    }
}

#[test]
fn benchmark_measures_a_32_bit_guest_on_arm64() {
    let mix = OursArm64.with(Arm32, Arm32);
    alone(mix);
    with_a_second_domain(mix);
    with_a_second_vcpu(mix);
    with_a_uart(mix);
}

#[test]
fn benchmark_measures_on_xen_for_arm64() {
    for mix in [XenArm64.with(Arm64, Arm64), XenArm64.with(Arm32, Arm32)] {
        alone(mix);
        with_a_second_domain(mix);
        with_a_second_vcpu(mix);
        with_a_uart(mix);
    }
}

#[test]
fn benchmark_reads_a_disk() {
    with_a_disk(Ours);
}

#[test]
fn benchmark_reads_a_disk_on_xen() {
    with_a_disk(Xen);
}
