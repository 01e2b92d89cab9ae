//! Programs and domains that end when nobody expects it, under Debian's dom0: nothing is left of them, nothing hangs,
//! and everything else goes on. What survives which loss is what Debian's Xen shows.
use crate::{
    Console,
    artifacts::{self, Hypervisor},
};
use std::time::Duration;

const BOOT: Duration = Duration::from_secs(180);
const COMMAND: Duration = Duration::from_secs(120);
const PROMPT: &str = "dom0# ";
/// Leaves a guest's console.
const LEAVE: &[u8] = b"\x1d";

/// Memory that dom0 may take for itself meanwhile, in kB: its back ends keep pages for grants.
const DOM0_KEEPS: u64 = 128;

/// Dom0's side: the configs of a ticker, a Linux guest, and a guest whose disks come from a driver domain.
/// `settle` destroys all guests and waits until they are gone.
const SETUP: [&str; 14] = [
    "cd /run; echo 1 > /proc/sys/kernel/printk",
    "echo 'kernel=\"/root/ticker\"; name=\"t\"; memory=16; vcpus=2' > t.cfg",
    "echo 'acpi=0; extra=\"ticks=100000 period=1000\"' >> t.cfg",
    "echo 'kernel=\"/root/zImage\"; ramdisk=\"/root/initrd\"; memory=64; name=\"w\"' > w.cfg",
    "echo 'extra=\"console=hvc0 root=/dev/xvda\"; disk=[\"phy:/dev/loop0,xvda,w\"]' >> w.cfg",
    "echo 'kernel=\"/root/disk-copy\"; memory=32; name=\"c\"' > c.cfg",
    "ram() { echo \"'format=raw,vdev=$1,access=rw,backend=disk-server,target=ram:16'\"; }",
    "echo \"disk=[$(ram xvda), $(ram xvdb)]\" >> c.cfg",
    "ids() { xl list | awk 'NR > 2 { print $2 }'; }",
    "end() { for d in $(ids); do xl destroy $d 2>/dev/null; done; usleep 50000; }",
    "settle() { while [ -n \"$(ids)\" ]; do end; done; }",
    "left() { echo left $(xenstore-ls / | wc -l) $(ls /sys/bus/xen-backend/devices | wc -l) $(ids); }",
    "kill_create() { xl create -q t.cfg 2>/dev/null & p=$!; usleep $1; kill -9 $p; xl list | tail -n 1; settle; }",
    "losetup /dev/loop0 /root/disk.img; xl create -q w.cfg; xl create -q t.cfg; settle",
];

/// What there is: nodes of the store, devices of back ends and guests; free memory in kB.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Left {
    counts: String,
    free: u64,
}

/// Dom0's shell.
struct Dom0(Console);

impl Dom0 {
    #[track_caller]
    fn boot(name: &str, on: Hypervisor) -> Self {
        let mut machine = on.machine();
        machine.memory_mib = 2048;
        // Guests may serve each other.
        machine.hypervisor_args += " dom0_mem=512M xsm=dummy";
        machine.dom0 = Some(artifacts::debian_dom0());
        machine.disks.push(artifacts::data_disk());
        let mut c = Console::boot(&format!("{name}-{on:?}").to_lowercase(), &machine);
        c.expect("init: dom0 is ready", BOOT);
        c.expect(PROMPT, COMMAND);
        let mut dom0 = Self(c);
        for line in SETUP {
            dom0.run(line);
        }
        dom0
    }

    #[track_caller]
    fn run(&mut self, line: &str) -> String {
        self.0.command(line, PROMPT, COMMAND)
    }

    #[track_caller]
    fn left(&mut self) -> Left {
        let out = self.run("left; xl debug-keys m");
        let kb = |line: &str| line.split("kB free").next()?.split_whitespace().last()?.parse().ok();
        let free = out.lines().filter(|line| line.contains("kB free")).filter_map(kb).next_back();
        let counts = out.lines().find(|line| line.starts_with("left "));
        match (counts, free) {
            (Some(counts), Some(free)) => Left { counts: counts.into(), free },
            _ => self.0.fail(&format!("'{out}' does not say what is left")),
        }
    }

    /// Everything is as it was before; of the memory, dom0 itself may have taken some.
    #[track_caller]
    fn nothing_is_left(&mut self, before: &Left, after: &str) {
        let now = self.left();
        assert_eq!(now.counts, before.counts, "after {after}");
        let lost = before.free.saturating_sub(now.free);
        assert!(lost <= DOM0_KEEPS, "after {after}: {lost} kB lost, {before:?}, {now:?}");
    }

    /// The guest whose console is this terminal device goes on.
    #[track_caller]
    fn ticks(&mut self, tty: &str) {
        let seen = self.run(&format!("timeout 4 cat {tty}"));
        assert!(seen.contains("vCPU 0: tick ") && seen.contains("vCPU 1: tick "), "{seen}");
    }
}

/// `xl create` is killed at `moments` moments of its work; each domain that it leaves behind, in whatever state, can
/// be destroyed, and nothing is left then.
pub fn killed_creates_leave_nothing(on: Hypervisor, moments: u32) {
    /// It takes about as long, in microseconds.
    const WORK: u32 = 26_000;
    let mut dom0 = Dom0::boot("killed-create", on);
    let before = dom0.left();
    let mut half_made = 0;
    for moment in 1..=moments {
        let list = dom0.run(&format!("kill_create {}", WORK * moment / moments));
        half_made += u32::from(list.lines().any(|line| line.contains("--p---")));
    }
    assert!(half_made > moments / 3, "{half_made} of {moments} were killed half way");
    dom0.nothing_is_left(&before, "killed creates");
}

/// Guests are destroyed at the worst moments: while they boot, while their disk is written to, and a driver domain
/// while its guest uses its disks. Nothing is left of any.
pub fn destroyed_guests_leave_nothing(on: Hypervisor) {
    let mut dom0 = Dom0::boot("destroyed", on);
    let before = dom0.left();
    for moment in [1, 200_000, 700_000, 2_000_000] {
        dom0.run(&format!("xl create -q w.cfg; usleep {moment}; xl destroy w; settle"));
        dom0.nothing_is_left(&before, "a guest that was booting");
    }

    dom0.0.send_line("xl create -c w.cfg");
    dom0.0.expect("root on /dev/xvda", BOOT);
    dom0.0.expect("# ", COMMAND);
    let endless =
        "(while :; do dd if=/dev/zero of=/big bs=65536 count=64 conv=fsync; done) >/dev/null 2>&1 &";
    dom0.0.command(endless, "# ", COMMAND);
    dom0.0.send(LEAVE);
    dom0.0.expect(PROMPT, COMMAND);
    let writes = "cat /sys/bus/xen-backend/devices/vbd-*-51712/statistics/wr_req";
    let written =
        dom0.run(&format!("until [ $({writes}) -gt 50 ]; do usleep 10000; done; xl destroy w; echo done"));
    assert!(written.contains("done"), "{written}");
    dom0.run("settle");
    dom0.nothing_is_left(&before, "a guest that was writing");

    for victim in ["disk-server", "c"] {
        dom0.run("xl create -q /root/disk-server.cfg");
        dom0.run("xl create -q c.cfg");
        let state =
            "xenstore-read /local/domain/$(xl domid disk-server)/backend/vbd/$(xl domid c)/51728/state";
        dom0.run(&format!(
            "until [ \"$({state})\" = 4 ]; do usleep 1000; done; usleep 5000; xl destroy {victim}"
        ));
        let list = dom0.run("xl list");
        assert!(!list.lines().any(|line| line.starts_with(&format!("{victim} "))), "{list}");
        dom0.run("settle");
        dom0.nothing_is_left(&before, "one of two that share memory");
    }
}

/// Guests outlive the daemons. A new xenconsoled takes the consoles over. A new xenstored knows nothing of what there
/// was, which is how Xen is; the guests run on all the same, and the hypervisor still tells of them.
pub fn guests_outlive_the_daemons(on: Hypervisor) {
    let mut dom0 = Dom0::boot("daemons", on);
    let before = dom0.left();
    let console = "xenstore-read /local/domain/$(xl domid t)/console/tty";
    dom0.run("xl create -q t.cfg");
    let domid = dom0.run("xl domid t").trim().to_owned();
    dom0.run("kill -9 $(cat /run/xen/xenconsoled.pid); usleep 1500000");
    let list = dom0.run("xl list t; echo rc $?");
    assert!(list.contains("rc 0"), "{list}");
    dom0.run(&format!("old=$({console}); xenstore-rm /local/domain/$(xl domid t)/console/tty"));
    dom0.run("xenconsoled --pid-file=/run/xen/xenconsoled.pid");
    dom0.run(&format!("until tty=$({console} 2>/dev/null); do usleep 10000; done"));
    dom0.ticks("$tty");

    dom0.run("kill -9 $(cat /run/xenstored/xenstored.pid)");
    dom0.ticks("$tty");
    let alone = dom0.run("timeout 3 xl list; echo rc $?");
    assert!(alone.contains("rc 143"), "xl cannot answer without a store:\n{alone}");
    dom0.run("xenstored --pid-file=/run/xenstored/xenstored.pid");
    let list = dom0.run("xl list; echo rc $?");
    let guest = list.lines().find(|line| line.starts_with("(null)") && line.contains(&format!(" {domid} ")));
    assert!(list.contains("rc 0") && guest.is_some(), "{list}");
    dom0.ticks("$tty");
    dom0.run(&format!("xl destroy {domid}"));
    // Nobody told the console daemon, which has the guest's page mapped: only then the last of the guest goes.
    let list = dom0.run("xl list");
    assert!(list.lines().any(|line| line.starts_with("(null)") && line.contains("--d")), "{list}");
    dom0.run("kill -9 $(pidof xenconsoled); while [ -n \"$(ids)\" ]; do usleep 10000; done");
    let free = dom0.left().free;
    assert!(before.free.saturating_sub(free) <= DOM0_KEEPS, "{before:?}, {free} kB free");
}
