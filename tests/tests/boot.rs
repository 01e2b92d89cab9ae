//! The hypervisor's own start.
use machine::Domain;
use std::time::Duration;
use system_tests::{
    Console,
    artifacts::{self, Hypervisor::Ours},
};

const SOON: Duration = Duration::from_secs(30);

#[test]
fn all_cpus_and_memory_of_the_board_are_found() {
    for (cpus, mib) in [(1, 512), (2, 1024), (4, 2048)] {
        let mut machine = Ours.machine();
        machine.deterministic = false;
        machine.cpus = cpus;
        machine.memory_mib = mib;
        machine.hypervisor_args += " dom0_mem=64M";
        machine.dom0 = Some(Domain { kernel: artifacts::image("hello"), ramdisk: None, args: String::new() });
        let mut c = Console::boot("boot", &machine);
        c.expect("arm32", SOON);
        c.expect(&format!("{cpus} CPUs, "), SOON);
        let found = c.expect(" MiB of RAM", SOON);
        let found: u32 = found.parse().unwrap_or_else(|_| panic!("'{found}' is no number"));
        assert!(found <= mib && found + 8 > mib, "{found} of {mib} MiB");
    }
}
