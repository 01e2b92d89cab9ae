//! The cases of the Rust dom0, each a function of the hypervisor that it runs on.
use crate::{
    Console, Mix,
    artifacts::{self, Hypervisor},
    cases::work_on_all,
    host_disk::{self, HostDisk},
};
use machine::{Arch, Disk, Domain, Machine};
use std::time::{Duration, Instant};

pub(crate) const BOOT: Duration = Duration::from_secs(180);
pub(crate) const COMMAND: Duration = Duration::from_secs(60);
pub(crate) const PROMPT: &str = "dom0# ";
pub(crate) const LEAVE_CONSOLE: &[u8] = b"\x1d";

pub(crate) fn name(case: &str, on: Hypervisor) -> String {
    format!("rust-dom0-{case}-{on:?}").to_lowercase()
}

/// A machine with this dom0.
pub(crate) fn machine(mix: impl Into<Mix>, disk: Disk) -> Machine {
    let mix = mix.into();
    let mut machine = mix.machine();
    machine.hypervisor_args += " dom0_mem=128M";
    machine.dom0 = Some(mix.rust_dom0());
    machine.disks.push(disk);
    machine
}

/// Dom0's prompt.
pub(crate) struct Prompt(pub(crate) Console);

impl Prompt {
    #[track_caller]
    pub(crate) fn boot(name: &str, mix: impl Into<Mix>, disk: Disk) -> Self {
        Self::start(name, &machine(mix, disk))
    }

    #[track_caller]
    pub(crate) fn start(name: &str, machine: &Machine) -> Self {
        let mut c = Console::boot(name, machine);
        c.expect("This is the Rust dom0", BOOT);
        c.expect(PROMPT, COMMAND);
        Self(c)
    }

    /// Runs a command; gives what it printed.
    #[track_caller]
    pub(crate) fn run(&mut self, line: &str) -> String {
        self.0.send_line(line);
        // The prompt may have been drawn again before, under what dom0 said of its own accord.
        self.0.expect(&format!("{line}\n"), COMMAND);
        self.0.expect(PROMPT, COMMAND)
    }

    /// Runs a command that says all of `expected`.
    #[track_caller]
    pub(crate) fn says(&mut self, line: &str, expected: &[&str]) {
        let text = self.run(line);
        for part in expected {
            assert!(text.contains(part), "{line} does not say {part:?}:\n{text}");
        }
    }

    /// Runs a command that says nothing.
    #[track_caller]
    pub(crate) fn quiet(&mut self, line: &str) {
        let text = self.run(line);
        assert!(text.is_empty(), "{line} says:\n{text}");
    }

    /// Types bytes, and takes a line of output that they lead to and the prompt after it.
    #[track_caller]
    pub(crate) fn types(&mut self, bytes: &[u8], expected: &str) {
        self.0.send(bytes);
        self.0.expect(expected, COMMAND);
        self.0.expect(PROMPT, COMMAND);
    }

    /// Waits until only dom0 is left.
    #[track_caller]
    pub(crate) fn alone(&mut self) {
        let deadline = Instant::now() + BOOT;
        while Instant::now() < deadline {
            let list = self.run("xl list");
            let guests = list.lines().filter(|line| line.contains("--") || line.contains("(null)"));
            if guests.filter(|line| !line.starts_with("Domain-0")).count() == 0 {
                return;
            }
        }
        self.0.fail(&"a guest does not go away");
    }
}

/// The prompt lists its disk, starts a guest in the foreground and cleans up after it.
pub fn runs_hello(mix: impl Into<Mix>) {
    let mix = mix.into();
    let mut p = Prompt::boot(&mix.name("rust-dom0-hello"), mix, mix.on.data_disk());
    p.says("ls /root", &["hello.cfg"]);
    p.says("xl list", &["Domain-0"]);
    p.0.send_line(&format!("xl create -c /root/{}hello.cfg", mix.folder()));
    p.0.expect("hello from a guest on Xen", COMMAND);
    p.0.expect(PROMPT, COMMAND);
    p.alone();
}

/// The guest that checks everything is content, on a processor by the emulator's name.
pub fn selftest_passes(mix: impl Into<Mix>, cpu: &'static str) {
    let mix = mix.into();
    let mut machine = machine(mix, mix.on.data_disk());
    machine.cpu = cpu;
    let mut p = Prompt::start(&format!("{}-{cpu}", mix.name("rust-dom0-selftest")), &machine);
    p.0.send_line(&format!("xl create -c /root/{}selftest.cfg", mix.folder()));
    p.0.expect("selftest: all passed", COMMAND);
    p.0.expect(PROMPT, COMMAND);
}

/// Two vCPUs of a guest tick.
pub fn runs_ticker(mix: impl Into<Mix>) {
    let mix = mix.into();
    let mut p = Prompt::boot(&mix.name("rust-dom0-ticker"), mix, mix.on.data_disk());
    p.0.send_line(&format!("xl create -c /root/{}ticker.cfg", mix.folder()));
    p.0.expect("vCPU 1: tick 2", COMMAND);
    p.0.expect("all vCPUs are done", COMMAND);
    p.0.expect(PROMPT, COMMAND);
    p.alone();
}

/// Lines are edited, remembered and completed; what is about dom0 and its files answers.
pub fn prompt_answers(on: Hypervisor) {
    let mut p = Prompt::boot(&name("prompt", on), on, artifacts::data_disk());
    p.says("help", &["losetup", "xenstore-ls", "xenstore-read", "xl COMMAND"]);
    p.says("xl help", &["block-list", "create", "destroy", "vcpu-list"]);
    let cfg = "kernel = \"/root/image\"\nmemory = 128\nname = \"win\"\nvcpus = 1\n\
               disk = [ 'phy:/dev/loop0,xvda,w' ]\n";
    assert_eq!(p.run("cat /root/win.cfg"), cfg);
    p.says("ls -l /root/disk.img", &["67108864 /root/disk.img"]);
    p.says("cat /root/none", &["/root/none: No such file or directory"]);
    p.says("nonsense", &["nonsense: command not found"]);
    p.says("xl nonsense", &["command not implemented: xl nonsense"]);

    p.quiet("losetup /dev/loop0 /root/disk.img");
    p.says("losetup /dev/loop0 /root/initrd", &["Device or resource busy"]);
    p.says("losetup -r -f /root/disk.img", &["/dev/loop1"]);
    p.says("losetup", &["/dev/loop0: 67108864 bytes (/root/disk.img)", "read-only"]);
    p.says("ls /dev", &["loop0", "loop1", "vda"]);
    p.quiet("losetup -d /dev/loop1");
    p.quiet("losetup -d /dev/loop0");
    p.quiet("losetup");

    p.says("xl list", &["Name  ", "Domain-0 ", " 128 "]);
    p.says("xl domid Domain-0", &["0\n"]);
    p.says("xl domname 0", &["Domain-0\n"]);
    p.says("xl uptime", &["Domain-0 ", "0:00:"]);
    p.says("xl vcpu-list", &["Domain-0 ", "all / all"]);
    p.says("xl info", &["xen_version            : 4.17", "free_memory", "machine                : armv7l"]);
    p.says("xl dmesg", &["(XEN) "]);
    p.says("xenstore-read /local/domain/0/name", &["Domain-0\n"]);
    p.says("xenstore-ls", &["local = \"\"", "   name = \"Domain-0\""]);
    p.says("xenstore-read /none", &["couldn't read path /none"]);

    p.types(b"xl domnme 0\x1b[D\x1b[D\x1b[D\x1b[Da\r", "Domain-0\n");
    p.types(b"\x1b[A\r", "Domain-0\n");
    p.types(b"xl domna\t0\r", "Domain-0\n");
    p.types(b"ls -l /ro\tdisk.\t\r", "/root/disk.img\n");
    p.types(b"ls -l disk.\t\r", "67108864 disk.img\n");
}

/// A key shows how often dom0 left for the hypervisor, why, and how long that took.
pub fn exits_are_shown(on: Hypervisor) {
    let mut machine = machine(on, artifacts::data_disk());
    machine.hypervisor_args += " exit_times";
    let mut p = Prompt::start(&name("exits", on), &machine);
    // Its lines come on the serial line too.
    p.run("xl debug-keys p");
    let log = p.run("xl dmesg");
    // Among the hypercalls console_io and sysctl, the key's own.
    for what in ["interrupts", "data aborts", "decisions of the scheduler", "hypercall 18", "hypercall 35"] {
        let counted = log.lines().find_map(|line| {
            let line = line.strip_prefix("(XEN) d0: ")?.strip_suffix(what)?.strip_suffix(" ns ")?;
            let (count, ns) = line.trim_start().split_once(' ')?;
            Some((count.parse().ok()?, ns.trim_start().parse().ok()?))
        });
        let Some((count, ns)): Option<(u64, u64)> = counted else { panic!("no {what} in {log}") };
        // None takes less than fifty instructions, on average, nor as long as a console's line does.
        assert!(count > 0 && ns > 50 * count && ns < 1_000_000 * count, "{count} {what}, {ns} ns");
    }
}

/// A guest is stopped, looked at, spoken to, restarted and ended.
pub fn guests_are_managed(on: Hypervisor) {
    let mut p = Prompt::boot(&name("manage", on), on, on.data_disk());
    let create = "xl create /root/ticker.cfg 'extra=\"ticks=100000 period=100\"'";
    p.says(create, &["Parsing config from /root/ticker.cfg"]);
    p.says(create, &["Domain with name \"ticker\" already exists (1)"]);
    p.says("xl domid ticker", &["1\n"]);
    p.says("xl domname 1", &["ticker\n"]);
    p.says("xl list ticker", &["ticker", "    2     "]);
    p.says("xl uptime ticker", &["ticker  ", "0:00:0"]);
    p.says("xl vcpu-list ticker", &["ticker  ", "     0 ", "     1 "]);
    p.says("xenstore-ls /local/domain/1", &["name = \"ticker\"", "control = \"\""]);

    p.quiet("xl pause ticker");
    p.says("xl list", &["p---"]);
    p.quiet("xl unpause ticker");
    p.0.send_line("xl console ticker");
    p.0.expect("vCPU 0: tick 3", COMMAND);
    p.0.expect("vCPU 1: tick ", COMMAND);
    p.types(LEAVE_CONSOLE, "\n");

    p.says("xl reboot ticker", &["Rebooting domain 1"]);
    while !p.run("xl domid ticker").starts_with('2') {}
    p.says("xl shutdown -w ticker", &["Shutting down domain 2", "Domain 2 has been "]);
    p.alone();
    p.says("xl create -p /root/ticker.cfg", &["Parsing config"]);
    p.says("xl list", &["ticker ", "--p---"]);
    p.quiet("xl destroy ticker");
    p.alone();
    p.says("xl destroy ticker", &["ticker is an invalid domain identifier"]);
}

/// What dom0 says of its own accord appears above what is being typed, and Ctrl-C ends a wait.
pub fn prompt_is_not_disturbed(on: Hypervisor) {
    let mut p = Prompt::boot(&name("undisturbed", on), on, artifacts::data_disk());
    p.quiet("xl create -qp /root/ticker.cfg 'extra=\"ticks=2\"'");
    // Typed ahead, so that the line is begun when the guest ends.
    p.0.send(b"xl unpause 1\rxl domid Do");
    p.0.expect("Domain 1 has shut down", COMMAND);
    p.0.expect("\ndom0# xl domid Do", COMMAND);
    p.types(b"main-0\r", "0\n");
    p.alone();

    // A guest that is paused takes no order.
    p.quiet("xl create -qp /root/ticker.cfg");
    p.0.send_line("xl shutdown -w ticker");
    p.0.expect("Shutting down domain 2", COMMAND);
    p.types(b"\x03", "interrupted: domain 2 has not answered yet");
    p.says("xl list -v", &["Reason-Code", "ticker ", "--p---"]);
    p.quiet("xl destroy ticker");
    p.alone();

    // The hypervisor writes into the line by itself; twice, for the keyboard comes round to dom0 again.
    p.0.send(b"xl domid Do");
    p.0.expect("xl domid Do", COMMAND);
    for to in ["Xen", "DOM0"] {
        p.0.send(b"\x01\x01\x01");
        p.0.expect(&format!("*** Serial input to {to}"), COMMAND);
        p.0.expect("\ndom0# xl domid Do", COMMAND);
    }
    p.types(b"main-0\r", "0\n");
}

/// Ctrl-C ends what takes its time: a start is undone, an end goes on.
pub fn commands_are_interrupted(on: Hypervisor) {
    let mut p = Prompt::boot(&name("interrupt", on), on, artifacts::data_disk());
    p.quiet("losetup /dev/loop0 /root/disk.img");
    // The first guest of all makes directories that stay.
    p.quiet("xl create -qp /root/ticker.cfg");
    let interrupt = |p: &mut Prompt, line: &str, expected: &str| {
        p.0.send(line.as_bytes());
        p.0.expect(line, COMMAND);
        p.types(b"\r\x03", expected);
    };
    interrupt(&mut p, "xl destroy ticker", "interrupted: domain 1 goes on with its end");
    p.alone();
    let before = state(&mut p);
    for line in ["xl create -q /root/win.cfg", "xl create -c /root/win.cfg"] {
        interrupt(&mut p, line, "^C\ninterrupted");
        p.says("xl list", &["Domain-0"]);
        assert_eq!(state(&mut p), before, "after {line}");
    }
    p.quiet("xl create -qp /root/win.cfg");
    interrupt(&mut p, "xl block-detach win xvda", "interrupted: disk xvda goes when the guest lets go of it");
    p.quiet("xl destroy win");
    p.alone();
}

/// All that is known of guests is told as JSON, in xl's layout.
pub fn guests_are_listed_at_length(on: Hypervisor) {
    let mut p = Prompt::boot(&name("long", on), on, artifacts::data_disk());
    p.quiet("losetup -r /dev/loop0 /root/disk.img");
    p.quiet("xl create -qp /root/ticker.cfg 'disk=[\"phy:/dev/loop0,xvdb,r\"]' 'cpus=\"0\"'");
    let long = p.run("xl list -l");
    for part in [
        "[\n    {\n        \"domid\": 0,\n",
        "\"name\": \"Domain-0\"\n",
        "\"max_memkb\": 16384,\n",
        "\"kernel\": \"/root/ticker\",\n",
        "\"vdev\": \"xvdb\",\n",
        "\"on_reboot\": \"restart\",\n",
        "\n]\n",
    ] {
        assert!(long.contains(part), "{part:?} is not in\n{long}");
    }
    let one = p.run("xl list -l ticker");
    assert!(!one.contains("Domain-0") && long.contains(one.trim_start_matches("[\n")), "{one}");
}

/// A device tree that a config names is the guest's: a part of one is added to the guest's own, a whole one is carried
/// over to the layout that the guest has.
pub fn debian_guest_gets_its_device_tree(on: Hypervisor) {
    let name = name("tree", on);
    let disk = HostDisk::copy(&name, on).expect("space for a copy of the disk");
    let image =
        std::fs::read(disk.extract("image-4.2").expect("the image is on dom0's disk")).expect("a file");
    disk.put("whole.dtb", appended_tree(&image)).expect("space on the disk");
    disk.put("part.dtb", &partial_tree()).expect("space on the disk");
    let mut p = Prompt::boot(&name, on, disk.attach());
    let create = "xl create -c /root/linux.cfg 'disk=[]' 'extra=\"console=hvc0 root=none\"'";
    for (tree, node, text) in
        [("part", "passthrough/note/say", "handed through"), ("whole", "model", "XENVM-4.2")]
    {
        p.0.send_line(&format!("{create} 'device_tree=\"/root/{tree}.dtb\"'"));
        p.0.expect("a shell instead", BOOT);
        p.0.expect("# ", COMMAND);
        let said = p.0.command(&format!("cat /proc/device-tree/{node}"), "# ", COMMAND);
        assert!(said.contains(text), "{said:?}");
        p.types(LEAVE_CONSOLE, "\n");
        p.quiet("xl destroy linux");
    }
    p.alone();
}

/// The device tree behind a zImage, of which the header says where it ends.
fn appended_tree(image: &[u8]) -> &[u8] {
    let end = u32::from_le_bytes(image[0x2c..0x30].try_into().expect("four bytes"));
    let tree = &image[end as usize..];
    let size = device_tree::total_size(tree).expect("a tree is appended");
    &tree[..size]
}

/// What xl's `device_tree` adds to a guest's own.
fn partial_tree() -> Vec<u8> {
    let mut out = device_tree::Writer::new([], 0);
    out.begin_node("").u32("#address-cells", 2).u32("#size-cells", 2);
    out.begin_node("passthrough").str("compatible", "simple-bus").property("ranges", &[]);
    out.u32("#address-cells", 2).u32("#size-cells", 2);
    out.begin_node("note").str("say", "handed through").end_node();
    out.end_node().end_node();
    out.finish()
}

/// Debian's guest reaches its root disk whatever its memory and whichever tree is appended.
pub fn debian_guest_takes_any_memory(on: Hypervisor) {
    let mut p = Prompt::boot(&name("memory", on), on, artifacts::data_disk());
    p.quiet("losetup /dev/loop0 /root/disk.img");
    for (guest, mib) in [("win", 64), ("old", 64), ("win", 512), ("old", 512)] {
        p.0.send_line(&format!("xl create -c /root/{guest}.cfg 'memory={mib}'"));
        p.0.expect("root on /dev/xvda", BOOT);
        p.0.expect("/ # ", COMMAND);
        let said = p.0.command("grep MemTotal /proc/meminfo", "/ # ", COMMAND);
        let kib: u32 = said.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number");
        // The kernel keeps some for itself.
        assert!((mib * 1024 / 2..mib * 1024).contains(&kib), "{guest} of {mib} MiB has {kib} KiB");
        p.0.send_line("poweroff");
        p.0.expect(PROMPT, BOOT);
        p.alone();
    }
}

/// Debian's guest, by the config that its users write and the image with either appended tree but with a vCPU on each
/// CPU, reaches the shell of its root disk; what it writes there is on the disk when it has shut down, and the file
/// system is clean.
pub fn debian_guest_keeps_its_disk(mix: impl Into<Mix>) {
    let mix = mix.into();
    let (name, on, folder) = (mix.name("rust-dom0-debian"), mix.on, mix.folder());
    let disk = HostDisk::copy(&name, on).expect("space for a copy of the disk");
    let mut p = Prompt::boot(&name, mix, disk.attach());
    p.quiet(&format!("losetup /dev/loop0 /root/{folder}disk.img"));
    // By its parts where it cannot have an appended tree.
    let second = if mix.guest == Arch::Arm32 { "old" } else { "linux" };
    for (guest, last) in [("win", "50000"), (second, "100000")] {
        p.0.send_line(&format!("xl create -c /root/{folder}{guest}.cfg {}", mix.debian_size()));
        p.0.expect("guest: Linux", BOOT);
        p.0.expect("root on /dev/xvda", COMMAND);
        p.0.expect("/ # ", COMMAND);
        if mix.cpus > 1 {
            work_on_all(&mut p.0, mix.cpus, "/ # ");
        }
        p.0.command(&format!("seq 1 {last} > /root/proof"), "/ # ", COMMAND);
        p.types(LEAVE_CONSOLE, "\n");
        p.says(&format!("xl block-list {guest}"), &["51712 0 ", "/backend/vbd/"]);
        p.says("losetup -d /dev/loop0", &["Device or resource busy"]);
        p.says(&format!("xl shutdown {guest}"), &["Shutting down domain"]);
        p.alone();
    }
    drop(p);

    let root = disk.extract(&format!("{folder}disk.img")).expect("the guest's disk is on dom0's");
    host_disk::fsck(&root).unwrap_or_else(|e| panic!("{e}"));
    let proof = host_disk::cat(&root, "/root/proof").unwrap_or_else(|e| panic!("{e}"));
    let written: String = (1..=100_000).map(|n| format!("{n}\n")).collect();
    assert!(proof == written.as_bytes(), "{} bytes came back", proof.len());
}

/// Debian's kernel by its parts, with a ramdisk, a command line and a second disk that is read-only, starts again with
/// the same when it reboots.
pub fn debian_guest_reboots_with_two_disks(on: Hypervisor) {
    let mut p = Prompt::boot(&name("two-disks", on), on, artifacts::data_disk());
    p.quiet("losetup /dev/loop0 /root/disk.img");
    p.quiet("losetup -r /dev/loop1 /root/zImage");
    let disks = "'disk=[ \"phy:/dev/loop0,xvda,w\", \"phy:/dev/loop1,xvdb,r\" ]'";
    p.0.send_line(&format!("xl create -c /root/linux.cfg {disks} 'on_poweroff=\"preserve\"'"));
    for start in ["first", "second"] {
        p.0.expect("root on /dev/xvda", BOOT);
        p.0.expect("/ # ", COMMAND);
        let sizes = p.0.command("cat /proc/partitions /sys/block/xvdb/ro", "/ # ", COMMAND);
        assert!(sizes.contains("65536 xvda\n") && sizes.contains("xvdb\n1\n"), "{sizes}");
        let written = p.0.command("dd if=/dev/zero of=/dev/xvdb count=1", "/ # ", COMMAND);
        assert!(written.contains("Operation not permitted"), "{written}");
        if start == "first" {
            p.0.send_line("reboot");
            p.0.expect(PROMPT, COMMAND);
            while !p.run("xl domid linux").starts_with('2') {}
            p.0.send_line("xl console linux");
        }
    }
    disk_comes_and_goes(&mut p);
    p.0.send_line("poweroff");
    p.0.expect("reboot: Power down", COMMAND);
    p.types(LEAVE_CONSOLE, "\n");
    while !p.run("xl list linux").contains("---s-") {}
    p.run("xl destroy linux");
    p.alone();
    p.quiet("losetup -d /dev/loop0");
    p.quiet("losetup -d /dev/loop1");
}

/// From the guest's shell and back there: dom0 gives the running guest a third disk, and takes it again.
#[track_caller]
fn disk_comes_and_goes(p: &mut Prompt) {
    p.types(LEAVE_CONSOLE, "\n");
    p.quiet("losetup -r /dev/loop2 /root/disk.img");
    p.quiet("xl block-attach linux phy:/dev/loop2,xvdc,r");
    p.says("xl block-attach linux phy:/dev/loop2,xvdc,r", &["already exists"]);
    p.says("xl block-list linux", &["51712 ", "51728 ", "51744 "]);
    let in_guest = |p: &mut Prompt, number: u32| {
        p.0.send_line("xl console linux");
        // What the console said before is shown again, this is not.
        p.0.send_line(&format!("echo disks-$(({number} + 0)); cat /sys/block/xvd*/size"));
        p.0.expect(&format!("disks-{number}"), COMMAND);
        p.0.expect("/ # ", COMMAND)
    };
    let with = in_guest(p, 3);
    assert_eq!(with.matches("131072\n").count(), 2, "{with}");
    p.types(LEAVE_CONSOLE, "\n");
    p.says("xl block-detach linux xvdc", &["(/dev/loop2): disconnected"]);
    p.says("xl block-detach linux xvdc", &["xvdc: not connected"]);
    p.quiet("losetup -d /dev/loop2");
    let without = in_guest(p, 2);
    assert_eq!(without.matches("131072\n").count(), 1, "{without}");
}

/// A hundred guests fit in 1 GiB, each costs little beyond its memory, the last is made as fast as the first, and
/// their memory comes back.
pub fn a_hundred_guests_fit(on: Hypervisor) {
    const MEMORY_KIB: u64 = 8 << 10;
    const BEYOND_KIB: u64 = 128;
    // A table for each 2 MiB of dom0's own memory in which it has pages of guests; those it uses again.
    const TABLES_KIB: u64 = 8;
    let mut p = Prompt::boot(&name("hundred", on), on, artifacts::data_disk());
    let create = |p: &mut Prompt, number: u32| {
        // Paused: the machine's time leaps while all wait, so that any timer of theirs would run out at once.
        p.quiet(&format!("xl create -pq /root/hello.cfg 'name=\"g{number}\"' 'memory=8'"));
    };
    // The first guest of all makes what stays.
    create(&mut p, 1);
    let free = free_kib(&mut p);
    let started = dom0_seconds(&mut p);
    (2..=21).for_each(|number| create(&mut p, number));
    let few = dom0_seconds(&mut p) - started;
    (22..=80).for_each(|number| create(&mut p, number));
    let started = dom0_seconds(&mut p);
    (81..=100).for_each(|number| create(&mut p, number));
    let many = dom0_seconds(&mut p) - started;
    let beyond = (free - free_kib(&mut p)) / 99 - MEMORY_KIB;
    println!(
        "20 guests took dom0 {few:.1} s with few others, {many:.1} s with many; {beyond} KiB beyond each's memory"
    );
    assert!(beyond <= BEYOND_KIB, "{beyond} KiB");
    assert!(many <= few * 1.5 + 0.1, "{few} s, then {many} s");
    p.says("xl list g100", &["g100 "]);
    p.quiet("xl unpause g100");
    let deadline = Instant::now() + BOOT;
    while p.run("xl list").contains("g100 ") {
        assert!(Instant::now() < deadline, "g100 does not end");
    }
    (2..=99).for_each(|number| p.quiet(&format!("xl destroy g{number}")));
    let left = free_kib(&mut p);
    assert!(free.saturating_sub(left) <= TABLES_KIB, "of {free} KiB {left} are left");
    // From now on nothing is lost at all.
    for number in 2..=41 {
        create(&mut p, number);
        p.quiet(&format!("xl destroy g{number}"));
    }
    (2..=41).for_each(|number| create(&mut p, number));
    (2..=41).for_each(|number| p.quiet(&format!("xl destroy g{number}")));
    assert_eq!(free_kib(&mut p), left);
    p.says("xl list g1", &["g1 "]);
}

/// Free memory, to the page: of a guest that is too large it is told.
#[track_caller]
pub(crate) fn free_kib(p: &mut Prompt) -> u64 {
    let text = p.run("xl create -q /root/hello.cfg 'memory=4000'");
    let free =
        text.trim_end().strip_suffix(" KiB free").and_then(|rest| rest.rsplit(' ').next()?.parse().ok());
    free.unwrap_or_else(|| panic!("{text}"))
}

/// The time for which dom0 has run.
#[track_caller]
fn dom0_seconds(p: &mut Prompt) -> f64 {
    let text = p.run("xl list 0");
    let time = text.split_whitespace().next_back().and_then(|time| time.parse().ok());
    time.unwrap_or_else(|| panic!("{text}"))
}

/// A guest that crashes is kept when its config asks for that, and is gone otherwise.
pub fn crashes_are_acted_on(on: Hypervisor) {
    let mut p = Prompt::boot(&name("crash", on), on, artifacts::data_disk());
    // Without its disks it fails.
    let create = "xl create /root/disk-copy.cfg 'disk=[]'";
    p.says(&format!("{create} 'on_crash=\"preserve\"'"), &["Parsing config"]);
    while !p.run("xl list disk-copy").contains("---sc-") {}
    p.run("xl destroy disk-copy");
    p.alone();
    p.says(create, &["Parsing config"]);
    p.alone();
}

/// Without a disk, or with one that is empty, dom0 says so.
pub fn dom0_says_what_is_wrong_with_its_disk(on: Hypervisor) {
    let name = name("no-disk", on);
    let mut machine = on.machine();
    machine.hypervisor_args += " dom0_mem=128M";
    machine.dom0 = Some(Domain { kernel: artifacts::image("dom0"), ramdisk: None, args: String::new() });
    Console::boot(&name, &machine).expect("no virtio block device; give the machine one", BOOT);
    // The kernel of another machine is no volume.
    machine.disks.push(Disk { file: artifacts::debian_dom0().kernel, snapshot: true });
    Console::boot(&name, &machine).expect("dom0's disk: corrupt FAT volume", BOOT);
}

/// Bad configs, images and disks are refused with what is wrong, and nothing is left of them.
pub fn bad_input_leaves_nothing(on: Hypervisor) {
    let name = name("bad", on);
    let disk = HostDisk::copy(&name, on).expect("space for a copy of the disk");
    for (file, bytes) in bad_files() {
        disk.put(file, &bytes).expect("space on the disk");
    }
    let mut p = Prompt::boot(&name, on, disk.attach());
    // The first guest of all makes directories that stay.
    p.says("xl create -p /root/hello.cfg", &["Parsing config"]);
    p.quiet("xl destroy hello");
    p.alone();
    let before = state(&mut p);
    for (line, expected) in [
        ("xl create /root/none.cfg", "/root/none.cfg: No such file or directory"),
        ("xl create /root/syntax.cfg", "/root/syntax.cfg:2:10: "),
        ("xl create /root/syntax.cfg", "Failed to parse config"),
        ("xl create /root/unknown.cfg", "unknown.cfg:4:1: warning: parameter `bootloader' is not supported"),
        ("xl create /root/unknown.cfg", "unknown.cfg:5:1: warning: "),
        ("xl create /root/hello.cfg 'kernel=\"/root/none\"'", "/root/none: No such file or directory"),
        ("xl create /root/hello.cfg 'kernel=\"/root/short\"'", "/root/short: kernel file is truncated"),
        ("xl create /root/hello.cfg 'kernel=\"/root/liar\"'", "/root/liar: device tree after the kernel"),
        ("xl create /root/hello.cfg 'kernel=\"/root/syntax.cfg\"'", "kernel file is a text file"),
        ("xl create /root/hello.cfg 'ramdisk=\"/root/none\"'", "/root/none: No such file or directory"),
        (
            "xl create /root/hello.cfg 'vcpus=9'",
            "9 vCPUs are more than the guest's interrupt controller takes",
        ),
        ("xl create hello.cfg 'kernel=\"none\"'", "none: No such file or directory"),
        ("xl create /root/hello.cfg 'memory=4000'", "not enough memory: "),
        ("xl create /root/win.cfg 'memory=8'", "/root/image: the file is larger than the guest's memory"),
        ("xl create /root/linux.cfg 'memory=8'", "of memory, the guest has 8 MiB"),
        ("xl create /root/win.cfg", "disk xvda: /dev/loop0: no such block device"),
        ("xl create /root/hello.cfg 'disk=[\"phy:/dev/vda,xvda,w\"]'", "/dev/vda is read-only"),
        ("xl create /root/hello.cfg 'name=\"Domain-0\"'", "already exists (0)"),
        (
            "xl create -n /root/echo-server.cfg",
            "echo-server.cfg:4:1: warning: parameter `vif' is not supported",
        ),
        ("xl create /root/linux.cfg 'device_tree=\"/root/none\"'", "/root/none: No such file or directory"),
        ("xl create /root/linux.cfg 'device_tree=\"/root/odd\"'", "/root/odd: "),
        (
            "xl create /root/win.cfg 'device_tree=\"/root/part\"'",
            "is a part of a device tree, and the kernel brings",
        ),
        ("losetup /dev/loop0 /root/odd", "not a whole number of 512-byte sectors"),
        ("losetup /dev/loop0 /root/none", "No such file or directory"),
    ] {
        p.says(line, &[expected]);
    }
    p.alone();
    assert_eq!(state(&mut p), before);
}

/// What must be as it was: free memory to the page, loop devices, and all that is in the store.
fn state(p: &mut Prompt) -> Vec<String> {
    let commands = ["xl create /root/hello.cfg 'memory=4000'", "losetup", "xenstore-ls -f"];
    commands.map(|command| p.run(command)).into()
}

/// Files for dom0's disk that are not what they should be.
fn bad_files() -> Vec<(&'static str, Vec<u8>)> {
    let hello = std::fs::read(artifacts::image("hello")).expect("hello was built");
    let mut liar = hello.clone();
    // A tree of 16 MiB, of which there are 8 bytes.
    liar.extend([0xd0, 0x0d, 0xfe, 0xed, 1, 0, 0, 0]);
    vec![
        ("syntax.cfg", b"kernel = \"/root/hello\"\nmemory = ]\nname = \"syntax\"\n".to_vec()),
        (
            "unknown.cfg",
            b"kernel = \"/root/none\"\nmemory = 16\nname = \"unknown\"\nbootloader = \"pygrub\"\nno_such_key = 1\n".to_vec(),
        ),
        ("short", hello[..hello.len() / 2].to_vec()),
        ("liar", liar),
        ("odd", vec![0; 1000]),
        ("part", partial_tree()),
    ]
}

/// Two guests work at the same time, each on a CPU of its own.
pub fn two_guests_run_on_two_cpus(mix: impl Into<Mix>) {
    let mix = mix.into();
    let mut p = Prompt::boot(&mix.name("rust-dom0-two"), mix, mix.on.data_disk());
    for cpu in ["0", "1"] {
        let own = format!("'name=\"on-{cpu}\"' 'vcpus=1' 'cpus=\"{cpu}\"' 'extra=\"ticks=1000\"'");
        p.says(&format!("xl create -p /root/{}ticker.cfg {own}", mix.folder()), &["Parsing config"]);
        p.says(&format!("xl vcpu-list on-{cpu}"), &[&format!("{cpu} / all")]);
    }
    p.quiet("xl unpause on-0");
    p.quiet("xl unpause on-1");
    for guest in ["on-0", "on-1"] {
        p.0.send_line(&format!("xl console {guest}"));
        p.0.expect("vCPU 0: tick 2", COMMAND);
        p.types(LEAVE_CONSOLE, "\n");
    }
    p.says("xl list", &["on-0 ", "on-1 "]);
    p.quiet("xl destroy on-0");
    p.quiet("xl destroy on-1");
    p.alone();
}
