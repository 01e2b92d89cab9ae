//! The cases, each a function of the hypervisor that it runs on.
use crate::{
    Console,
    artifacts::{self, Hypervisor},
};
use std::time::Duration;

const BOOT: Duration = Duration::from_secs(180);
const COMMAND: Duration = Duration::from_secs(60);
const PROMPT: &str = "dom0# ";

fn name(case: &str, on: Hypervisor) -> String {
    format!("{case}-{on:?}").to_lowercase()
}

/// Boots Debian's dom0 to its shell.
#[track_caller]
fn debian_dom0(case: &str, on: Hypervisor) -> Console {
    let mut machine = on.machine();
    machine.memory_mib = 2048;
    machine.hypervisor_args += " dom0_mem=512M";
    machine.dom0 = Some(artifacts::debian_dom0());
    machine.disks.push(artifacts::data_disk());
    let mut c = Console::boot(&name(case, on), &machine);
    c.expect("init: dom0 is ready", BOOT);
    c.expect(PROMPT, COMMAND);
    c
}

/// Debian's dom0 reaches its shell with its daemons running, and xl sees it.
pub fn debian_dom0_runs_xl(on: Hypervisor) {
    let mut c = debian_dom0("debian-dom0", on);
    let list = c.command("xl list", PROMPT, COMMAND);
    assert!(list.contains("Domain-0"), "{list}");
    let files = c.command("ls /root", PROMPT, COMMAND);
    assert!(files.contains("win.cfg"), "{files}");
    let daemons = c.command("ps", PROMPT, COMMAND);
    assert!(daemons.contains("xenstored") && daemons.contains("xenconsoled"), "{daemons}");
}

/// Debian's guest, by the config that its users write, reaches the shell of its root disk.
pub fn debian_guest_boots_from_its_disk(on: Hypervisor) {
    let mut c = debian_dom0("debian-guest", on);
    c.command("losetup /dev/loop0 /root/disk.img", PROMPT, COMMAND);
    c.send_line("xl create -c /root/win.cfg");
    c.expect("guest: Linux", BOOT);
    c.expect("root on /dev/xvda", COMMAND);
    c.expect("# ", COMMAND);
    c.command("echo written > /root/proof; sync", "# ", COMMAND);
    c.send_line("poweroff");
    c.expect(PROMPT, BOOT);
    let list = c.command("xl list", PROMPT, COMMAND);
    assert!(!list.contains("win"), "{list}");
}
