//! The branch predictor forgets what guests teach it where a CPU needs that, and by what there is.
use machine::{Domain, Machine};
use std::time::Duration;
use system_tests::{
    Console,
    artifacts::Hypervisor::{self, Ours, OursArm64},
};

const SOON: Duration = Duration::from_secs(60);

/// The counter's ticks take so many instructions.
const TICK: i32 = 16;

/// How often the benchmark does each thing.
const TIMES: u32 = 1000;

/// The benchmark runs as dom0.
fn benchmark(on: Hypervisor, option: &str) -> Machine {
    let mut machine = on.machine();
    machine.hypervisor_args += &format!(" dom0_mem=64M {option}");
    machine.dom0 = Some(Domain { kernel: on.image("bench"), ramdisk: None, args: format!("times={TIMES}") });
    machine
}

/// Gives how many instructions a hypercall takes there, or one less. A line of the log is `says`.
fn hypercall(on: Hypervisor, cpu: Option<&'static str>, option: &str, says: &str) -> i32 {
    let mut machine = benchmark(on, option);
    machine.cpu = cpu.unwrap_or(machine.cpu);
    let name = format!("predictor-{on:?}-{}-{option}", machine.cpu).to_lowercase();
    let mut c = Console::boot(&name, &machine);
    c.expect(says, SOON);
    c.expect("BENCH version ", SOON);
    let figures = c.expect("\n", SOON);
    let mut figures = figures.split_whitespace().map(|figure| figure.parse::<i32>().expect("a number"));
    let (times, ticks) = (figures.next().expect("how often"), figures.next().expect("how long"));
    ticks * TICK / times
}

/// How many instructions more a hypercall takes with an option than without any hardening, to within one.
fn costs(on: Hypervisor, cpu: Option<&'static str>, option: &str, says: &str) -> i32 {
    let plain = hypercall(on, cpu, "no-harden-branch-predictor", "1 CPUs, ");
    let hardened = hypercall(on, cpu, option, says);
    println!("{on:?} {cpu:?}: {plain}, {hardened}");
    hardened - plain
}

#[test]
fn branches_push_out_a_guests_history_on_arm64() {
    let more = costs(OursArm64, Some("neoverse-n1"), "", "CPU 0: 24 branches whenever a guest stops");
    assert!((3 * 24..3 * 24 + 10).contains(&more), "{more}");
}

#[test]
fn what_a_core_needs_can_be_insisted_on() {
    let more = costs(Ours, None, "harden-branch-predictor", "CPU 0: ICIALLU whenever a guest stops");
    assert!((5..11).contains(&more), "{more}");
}

#[test]
fn what_a_core_needs_can_be_insisted_on_on_arm64() {
    let more = costs(
        OursArm64,
        None,
        "harden-branch-predictor",
        "CPU 0: SMCCC_ARCH_WORKAROUND_1 whenever a guest stops",
    );
    assert!((7..13).contains(&more), "{more}");
}

/// QEMU's Cortex-A15 says that ICIALLU does not reach the predictor.
#[test]
fn what_is_missing_is_said_and_costs_nothing() {
    let more = costs(Ours, None, "", "CPU 0: vulnerable to Spectre, without ACTLR.IBE");
    assert!(more.abs() <= 1, "{more}");
}

/// QEMU's firmware has no workaround.
#[test]
fn what_is_missing_is_said_and_costs_nothing_on_arm64() {
    let says = "CPU 0: vulnerable to Spectre, without SMCCC_ARCH_WORKAROUND_1 in firmware";
    let more = costs(OursArm64, None, "", says);
    assert!(more.abs() <= 1, "{more}");
}

/// Boots on firmware of ours that counts calls of its workaround; gives how many there were until the benchmark was done.
fn calls(option: &str) -> u64 {
    let mut machine = benchmark(OursArm64, option);
    machine.firmware = Some(OursArm64.image("firmware"));
    machine.secure = true;
    let mut c = Console::boot(&format!("predictor-firmware-{option}"), &machine);
    c.expect("BENCH end", SOON);
    c.expect("firmware: workarounds ", SOON);
    let count = c.expect(".", SOON);
    u64::from_str_radix(count.trim(), 16).unwrap_or_else(|_| panic!("'{count}' is no number"))
}

#[test]
fn firmware_is_called_whenever_a_guest_stops_on_arm64() {
    assert_eq!(calls("no-harden-branch-predictor"), 0);
    // Five of the benchmark's operations are one trap each, mapping and unmapping are two.
    let count = calls("");
    println!("{count} calls");
    assert!(count > 7 * u64::from(TIMES), "{count}");
}
