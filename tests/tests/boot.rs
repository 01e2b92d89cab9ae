//! The hypervisor's own start.
use machine::{Arch, Domain, Machine, paths};
use std::{fs, time::Duration};
use symbol_table::{MAGIC, Table};
use system_tests::{
    Console,
    artifacts::Hypervisor::{self, Ours, OursArm64, OursArm64Gicv3, OursGicv3},
};

const SOON: Duration = Duration::from_secs(30);

#[test]
fn all_cpus_and_memory_of_the_board_are_found() {
    finds(Ours, &[(1, 512), (2, 1024), (4, 2048)]);
}

#[test]
fn eight_cpus_are_found_with_a_gicv3() {
    finds(OursGicv3, &[(8, 1024)]);
}

#[test]
fn all_cpus_and_memory_are_found_on_arm64() {
    finds(OursArm64, &[(1, 512), (4, 8192)]);
}

#[test]
fn eight_cpus_are_found_with_a_gicv3_on_arm64() {
    finds(OursArm64Gicv3, &[(8, 1024)]);
}

/// Each processor, with each interrupt controller, with one CPU to eight.
#[test]
#[ignore = "long"]
fn all_processors_boot_on_arm64() {
    for cpu in Arch::Arm64.cpus() {
        for on in [OursArm64, OursArm64Gicv3] {
            for cpus in 1..=8 {
                finds_with(on, cpu, cpus, 1024);
            }
        }
    }
}

/// The newest processor that the emulator has, with all that it can do.
#[test]
fn the_newest_processor_boots_on_arm64() {
    finds_with(OursArm64, "max", 2, 1024);
    finds_with(OursArm64Gicv3, "max", 2, 1024);
}

fn finds(on: Hypervisor, boards: &[(u32, u32)]) {
    for &(cpus, mib) in boards {
        finds_with(on, on.arch().cpus()[0], cpus, mib);
    }
}

fn finds_with(on: Hypervisor, cpu: &'static str, cpus: u32, mib: u32) {
    let mut machine = on.machine();
    machine.deterministic = false;
    machine.cpus = cpus;
    machine.cpu = cpu;
    machine.memory_mib = mib;
    machine.hypervisor_args += " dom0_mem=64M";
    machine.dom0 = Some(Domain { kernel: on.image("hello"), ramdisk: None, args: String::new() });
    let mut c = Console::boot(&format!("boot-{on:?}-{cpu}-{cpus}").to_lowercase(), &machine);
    c.expect(on.arch().name(), SOON);
    c.expect(&format!("{cpus} CPUs, "), SOON);
    let found = c.expect(" MiB of RAM", SOON);
    let found: u32 = found.parse().unwrap_or_else(|_| panic!("'{found}' is no number"));
    assert!(found <= mib && found + 8 > mib, "{found} of {mib} MiB");
    c.expect("hello from a guest on Xen", SOON);
}

/// Where the image is linked.
const IMAGE: u32 = 0x0020_0000;
/// Undefined in ARM and in Thumb state.
const UNDEFINED: u32 = 0xe7f0_def0;
/// What a panic is in AArch64 state.
const BRK: u32 = 0xd420_0020;

/// Has the image fail at the start of a function.
fn broken(mut image: Vec<u8>, function: &str, instruction: u32) -> Vec<u8> {
    let table = image.windows(MAGIC.len()).rposition(|bytes| bytes == MAGIC).expect("a symbol table");
    let symbols = Table::parse(&image[table..]).expect("a whole symbol table");
    let begins = |at: &usize| {
        let symbol = symbols.find(IMAGE + *at as u32);
        symbol.is_some_and(|symbol| symbol.offset == 0 && symbol.to_string() == format!("{function}+0x0"))
    };
    let at = (0..table).step_by(2).find(begins).expect("the function");
    image[at..at + 4].copy_from_slice(&instruction.to_le_bytes());
    image
}

#[test]
fn a_bug_of_its_own_is_reported_with_the_names_of_functions() {
    reports(Ours, UNDEFINED, "undefined instruction in HYP mode");
}

#[test]
fn a_panic_is_reported_with_the_names_of_functions_on_arm64() {
    reports(OursArm64, BRK, "panic in EL2");
}

fn reports(on: Hypervisor, instruction: u32, what: &str) {
    const FUNCTION: &str = "hypervisor::domains::start";
    let mut machine = on.machine();
    let image = fs::read(&machine.hypervisor).expect("the hypervisor is built");
    machine.hypervisor = paths::images(on.arch()).join("hypervisor-with-a-bug");
    fs::write(&machine.hypervisor, broken(image, FUNCTION, instruction)).expect("room for an image");
    let mut c = Console::boot(&format!("bug-{}", on.arch().name()), &machine);
    c.expect(&format!("hypervisor bug on CPU 0: {what}"), SOON);
    c.expect("backtrace:", SOON);
    c.expect(&format!(" {FUNCTION}+0x0"), SOON);
    c.expect("primary_entry+0x", SOON);
    c.expect("(XEN) halted", SOON);
}

/// What it is given, and what it has to say of it.
struct Bad {
    name: &'static str,
    change: fn(&mut Machine),
    says: &'static str,
}

/// Cuts the second half of dom0's file off.
fn halve_dom0(machine: &mut Machine) {
    let dom0 = machine.dom0.as_mut().expect("there is a dom0");
    let whole = fs::read(&dom0.kernel).expect("dom0 is built");
    dom0.kernel = paths::images(machine.arch).join("half-a-dom0");
    fs::write(&dom0.kernel, &whole[..whole.len() / 2]).expect("room for an image");
}

#[test]
fn what_cannot_be_started_is_named() {
    let bad = [
        Bad { name: "half", change: halve_dom0, says: "cannot start: no dom0: kernel file is truncated: " },
        Bad {
            name: "none",
            change: |machine| machine.dom0 = None,
            says: "cannot start: no dom0: no kernel among the boot modules in /chosen",
        },
        Bad {
            name: "little",
            change: |machine| machine.hypervisor_args += " dom0_mem=900M",
            says: "cannot start: no dom0: there are not 900 MiB of free memory",
        },
        Bad {
            name: "tight",
            change: |machine| machine.hypervisor_args += " dom0_mem=256K",
            says: "cannot start: no dom0: kernel, initrd and device tree need 1 MiB of memory",
        },
        // The module lies beyond this.
        Bad {
            name: "outside",
            change: |machine| machine.memory_mib = 128,
            says: "cannot start: no dom0: the boot module at 0x50000000+",
        },
    ];
    for Bad { name, change, says } in bad {
        let mut machine = Ours.machine();
        machine.memory_mib = 512;
        machine.hypervisor_args += " dom0_mem=64M";
        machine.dom0 = Some(Domain { kernel: Ours.image("hello"), ramdisk: None, args: String::new() });
        change(&mut machine);
        let mut c = Console::boot(&format!("cannot-start-{name}"), &machine);
        c.expect(says, SOON);
    }
}
