//! The cases, each a function of the hypervisor that it runs on, with the states of dom0 and guest where
//! these can be others than the hypervisor's.
use crate::{
    Console, Mix,
    artifacts::{self, Hypervisor},
    host_disk::{self, HostDisk},
};
use device_tree::Writer;
use machine::{Arch, ChannelEnd, Disk, DomU, Domain, Machine, Pool, Shared, paths};
use std::{fs, time::Duration};

const BOOT: Duration = Duration::from_secs(180);
const COMMAND: Duration = Duration::from_secs(60);
const PROMPT: &str = "dom0# ";
/// Hands the keyboard on.
const SWITCH: &[u8] = b"\x01\x01\x01";

/// Boots Debian's dom0 to its shell.
#[track_caller]
fn debian_dom0(case: &str, mix: Mix) -> Console {
    debian_dom0_with(case, mix, mix.on.data_disk())
}

/// Boots Debian's dom0 with a disk of its own.
#[track_caller]
fn debian_dom0_with(case: &str, mix: Mix, disk: Disk) -> Console {
    let mut c = Console::boot(&mix.name(case), &debian_machine(mix, disk));
    c.expect("init: dom0 is ready", BOOT);
    c.expect(PROMPT, COMMAND);
    c
}

/// A machine with Debian's dom0.
fn debian_machine(mix: Mix, disk: Disk) -> Machine {
    let mut machine = mix.machine();
    machine.memory_mib = 2048;
    machine.hypervisor_args += " dom0_mem=512M";
    machine.dom0 = Some(mix.debian_dom0());
    machine.disks.push(disk);
    machine
}

/// Waits until xl's daemon has cleaned up after a guest that ended. A domain that still has pages is listed without a
/// name.
#[track_caller]
fn gone(c: &mut Console, guest: &str) {
    let there = format!("xl domid {guest} 2>/dev/null || xl list | grep -q '(null)'");
    c.command(&format!("while {there}; do usleep 100000; done"), PROMPT, COMMAND);
}

/// Debian's dom0 reaches its shell with its daemons running, and xl sees it.
pub fn debian_dom0_runs_xl(mix: impl Into<Mix>) {
    let mix = mix.into();
    let mut c = debian_dom0("debian-dom0", mix);
    let list = c.command("xl list", PROMPT, COMMAND);
    assert!(list.contains("Domain-0"), "{list}");
    let files = c.command("ls /root", PROMPT, COMMAND);
    assert!(files.contains("hello.cfg"), "{files}");
    let daemons = c.command("ps", PROMPT, COMMAND);
    assert!(daemons.contains("xenstored") && daemons.contains("xenconsoled"), "{daemons}");
    // Behind the grant table's region a 64-bit one finds where to map others' memory.
    let node = c.command("hexdump -C /proc/device-tree/hypervisor/reg", PROMPT, COMMAND);
    assert_eq!(node.contains("\n00000010  00 00 00 "), mix.dom0 == Arch::Arm64, "{node}");
}

/// Linux's own drivers serve the board's devices in dom0: a network card, over which the emulator answers, and the clock.
pub fn debian_dom0_drives_the_board(mix: impl Into<Mix>) {
    let mix = mix.into();
    let mut machine = debian_machine(mix, mix.on.data_disk());
    let card = ["-netdev", "user,id=net,restrict=on", "-device", "virtio-net-device,netdev=net"];
    machine.extra.extend(card.map(Into::into));
    let mut c = Console::boot(&mix.name("devices"), &machine);
    c.expect("init: dom0 is ready", BOOT);
    c.expect(PROMPT, COMMAND);
    let said = c.command("modprobe virtio_net && ip addr add 10.0.2.15/24 dev eth0", PROMPT, COMMAND);
    assert!(said.trim().is_empty(), "{said}");
    c.command("ip link set eth0 up", PROMPT, COMMAND);
    let answers = c.command("ping -c 3 10.0.2.2", PROMPT, COMMAND);
    assert!(answers.contains("3 packets received"), "{answers}");
    // As QEMU is told.
    let date = c.command("cat /sys/class/rtc/rtc0/date", PROMPT, COMMAND);
    assert_eq!(date.trim(), "2024-01-01");
}

/// Debian's guest, by the config that its users write but with a vCPU on each CPU, reaches the shell of its root disk;
/// what it writes there is on the disk when all is shut down, and the file system is clean.
pub fn debian_guest_keeps_its_disk(mix: impl Into<Mix>) {
    let mix = mix.into();
    let (disk, mut c) = debian_dom0_on_a_copy("debian-guest", mix);
    debian_guest_writes(&mut c, mix);
    c.send_line("poweroff");
    c.expect(PROMPT, BOOT);
    gone(&mut c, mix.debian_config());
    the_disk_was_kept(c, mix, &disk);
}

/// The same while another guest ticks on two vCPUs: both are listed and have their consoles, and each ends when xl
/// asks it to.
pub fn debian_guest_keeps_its_disk_beside_a_ticker(mix: impl Into<Mix>) {
    let mix = mix.into();
    let (disk, mut c) = debian_dom0_on_a_copy("debian-and-ticker", mix);
    let folder = mix.folder();
    let endless = "'extra=\"ticks=100000 period=100\"'";
    c.command(&format!("xl create -q /root/{folder}ticker.cfg {endless}"), PROMPT, COMMAND);
    debian_guest_writes(&mut c, mix);
    leave(&mut c);
    let guest = mix.debian_config();
    let list = c.command("xl list", PROMPT, COMMAND);
    assert!([guest, "ticker"].iter().all(|name| list.contains(&format!("\n{name} "))), "{list}");
    c.send_line("xl console ticker");
    for vcpu in 0..2 {
        c.expect(&format!("vCPU {vcpu}: tick "), COMMAND);
    }
    leave(&mut c);
    for name in [guest, "ticker"] {
        c.command(&format!("xl shutdown {name}"), PROMPT, COMMAND);
        gone(&mut c, name);
    }
    the_disk_was_kept(c, mix, &disk);
}

/// Leaves a guest's console.
#[track_caller]
fn leave(c: &mut Console) {
    c.send(b"\x1d");
    c.expect(PROMPT, COMMAND);
}

/// Boots Debian's dom0 with a disk that outlives the machine.
#[track_caller]
fn debian_dom0_on_a_copy(case: &str, mix: Mix) -> (HostDisk, Console) {
    let disk = HostDisk::copy(&mix.name(case), mix.on).expect("space for a copy of the disk");
    let c = debian_dom0_with(case, mix, disk.attach());
    (disk, c)
}

/// Starts Debian's guest on a loop device with a vCPU on each CPU, and writes to its disk: from dom0's shell to the
/// guest's.
#[track_caller]
fn debian_guest_writes(c: &mut Console, mix: Mix) {
    let (folder, guest) = (mix.folder(), mix.debian_config());
    c.command(&format!("losetup /dev/loop0 /root/{folder}disk.img"), PROMPT, COMMAND);
    c.send_line(&format!("xl create -c /root/{folder}{guest}.cfg {}", mix.debian_size()));
    c.expect("guest: Linux", BOOT);
    c.expect("root on /dev/xvda", COMMAND);
    c.expect("# ", COMMAND);
    if mix.cpus > 1 {
        work_on_all(c, mix.cpus, "/ # ");
    }
    c.command("seq 1 100000 > /root/proof", "# ", COMMAND);
}

/// Ends the machine; what the guest wrote is on its disk, and the file system is clean.
#[track_caller]
fn the_disk_was_kept(mut c: Console, mix: Mix, disk: &HostDisk) {
    c.command("losetup -d /dev/loop0; sync", PROMPT, COMMAND);
    c.send_line("poweroff -f");
    c.expect_exit(COMMAND);
    drop(c);

    let root = disk.extract(&format!("{}disk.img", mix.folder())).expect("the guest's disk is on dom0's");
    host_disk::fsck(&root).unwrap_or_else(|e| panic!("{e}"));
    let proof = host_disk::cat(&root, "/root/proof").unwrap_or_else(|e| panic!("{e}"));
    let written: String = (1..=100_000).map(|n| format!("{n}\n")).collect();
    assert!(proof == written.as_bytes(), "{} bytes came back", proof.len());
}

/// A Debian kernel that the hypervisor starts from the device tree, without any dom0, runs on its
/// emulated UART.
pub fn debian_guest_starts_without_dom0(mix: impl Into<Mix>) {
    let mix = mix.into();
    let mut machine = mix.machine();
    machine.domus.push(debian_on_a_uart(mix));
    let mut c = Console::boot(&mix.name("dom0less"), &machine);
    c.expect("DOM1: initrd: /dev/xvda cannot be mounted; a shell instead", BOOT);
}

/// A Debian guest whose console is an emulated UART.
fn debian_on_a_uart(mix: Mix) -> DomU {
    DomU {
        memory_kib: 128 << 10,
        vpl011: true,
        enhanced: None,
        ..DomU::new(artifacts::debian_guest(mix.guest, "console=ttyAMA0 rdinit=/init"))
    }
}

/// Ctrl-A three times hands the keyboard on: from dom0 to the guest, whose shell then answers, to the
/// hypervisor, and back to dom0.
pub fn keyboard_goes_round(mix: impl Into<Mix>) {
    let mix = mix.into();
    let mut machine = debian_machine(mix, mix.on.data_disk());
    machine.domus.push(debian_on_a_uart(mix));
    let mut c = Console::boot(&mix.name("keyboard"), &machine);
    // Either may be ready first.
    let shells = ["init: dom0 is ready", "DOM1: initrd: /dev/xvda cannot be mounted; a shell instead"];
    let (first, _) = c.expect_one_of(&shells, BOOT);
    c.expect(shells[1 - first], BOOT);

    c.send(SWITCH);
    c.expect("*** Serial input to DOM1", COMMAND);
    c.send(b"echo sum $((20 + 22))\r");
    c.expect("sum 42", COMMAND);
    c.send(SWITCH);
    c.expect("*** Serial input to Xen", COMMAND);
    c.send(b"h");
    c.expect("show this", COMMAND);
    c.send(SWITCH);
    c.expect("*** Serial input to DOM0", COMMAND);
    c.send(b"echo product $((6 * 7))\r");
    c.expect("product 42", COMMAND);
}

/// Debian's guest has an emulated UART of xl's as its console, and nothing else: its shell is there, in both
/// directions, and it is gone without a trace when it has been destroyed.
pub fn debian_guest_uses_a_uart_of_xl(mix: impl Into<Mix>) {
    let mix = mix.into();
    let mut c = debian_dom0("vuart", mix);
    let extra = "console=ttyAMA0 rdinit=/init";
    c.command(&format!("echo 'vuart=\"sbsa_uart\"; disk=[]; extra=\"{extra}\"' > /run/u"), PROMPT, COMMAND);
    let config = format!("/root/{}linux.cfg", mix.folder());
    c.command(&format!("xl create -q {config} \"$(cat /run/u)\""), PROMPT, COMMAND);
    c.send_line("xl console -t vuart linux");
    c.expect("initrd: /dev/xvda cannot be mounted; a shell instead", BOOT);
    // There is a prompt already; this brings a new one.
    c.send(b"echo rea''dy\r");
    c.expect("ready", COMMAND);
    c.expect("/ # ", COMMAND);
    // More than the ring has room for at once.
    let sum = c.command("seq 1 3000 | tee /dev/ttyAMA0 | sha256sum", "/ # ", BOOT);
    assert!(sum.contains("2999") && sum.contains("3000"), "{sum}");
    leave(&mut c);
    c.command("xl destroy linux", PROMPT, COMMAND);
    gone(&mut c, "linux");
}

/// The sample guest says who it is, under xl and on its console, and is gone when it has ended.
pub fn hello_runs_under_xl(mix: impl Into<Mix>) {
    let mix = mix.into();
    let mut c = debian_dom0("hello", mix);
    c.send_line(&format!("xl create -c /root/{}hello.cfg", mix.folder()));
    c.expect("hello from a guest on Xen", COMMAND);
    c.expect("xenstore calls me \"hello\"", COMMAND);
    c.expect(PROMPT, COMMAND);
    gone(&mut c, "hello");
}

/// The sample guest runs with no dom0 about, started from the device tree.
pub fn hello_starts_without_dom0(mix: impl Into<Mix>) {
    let mix = mix.into();
    let mut machine = mix.machine();
    // Its console is the hypervisor's own, which shows guests' output at this level only.
    machine.hypervisor_args += " guest_loglvl=all";
    machine.domus.push(DomU::new(Domain {
        kernel: artifacts::image_for(mix.guest, "hello"),
        ramdisk: None,
        args: "greeting=hi".into(),
    }));
    let mut c = Console::boot(&mix.name("hello-dom0less"), &machine);
    c.expect("hello from a guest on Xen", COMMAND);
    c.expect("greeting=hi", COMMAND);
}

/// Memory comes from the heap that the device tree names, and from nowhere else: there is room for one guest.
pub fn memory_comes_from_the_heap_alone(on: Hypervisor) {
    let mut machine = on.machine();
    machine.hypervisor_args += " guest_loglvl=all";
    machine.heap = Some((0x6000_0000, 64 << 20));
    machine.domus.extend([
        hello_with(on, &[]),
        hello_with(on, &[(0x7000_0000, 32 << 20)]),
        hello_with(on, &[]),
    ]);
    let mut c = Console::boot(&format!("heap-{on:?}").to_lowercase(), &machine);
    c.expect("d2 memory: 0x70000000-0x71ffffff", COMMAND);
    c.expect("/chosen/domU3 is left out: there are not 32 MiB of free memory", COMMAND);
    for _ in 0..2 {
        c.expect("hello from a guest on Xen", COMMAND);
    }
}

/// A guest runs on the CPUs of the pool that the device tree puts it in, with as many vCPUs as it likes, and another one
/// on those that no pool has.
pub fn guests_run_in_pools(on: Hypervisor) {
    let ticker = DomU {
        boot: Domain { kernel: on.image("ticker"), ramdisk: None, args: "ticks=100000 period=100".into() },
        vcpus: 2,
        ..hello_with(on, &[])
    };
    let mix = Mix { cpus: 3, ..on.into() };
    let mut machine = mix.machine();
    machine.hypervisor_args += " guest_loglvl=all";
    machine.pools.push(Pool { cpus: vec![2], domus: vec![1] });
    machine.domus.extend([ticker.clone(), ticker]);
    let mut c = Console::boot(&mix.name("in-pools"), &machine);
    for (guest, vcpu) in [(1, 0), (2, 0), (1, 1), (2, 1)] {
        c.expect(&format!("(d{guest}) "), COMMAND);
        c.expect(&format!("vCPU {vcpu}: tick "), COMMAND);
    }
    c.send(SWITCH);
    c.expect("*** Serial input to Xen", COMMAND);
    c.send(b"q");
    c.expect("d1: ", COMMAND);
    for vcpu in 0..2 {
        c.expect(&format!("  v{vcpu}: cpu2, "), COMMAND);
    }
    c.expect("d2: ", COMMAND);
    for _ in 0..2 {
        let (other, _) = c.expect_one_of(&[": cpu2, ", ": cpu0, ", ": cpu1, "], COMMAND);
        assert_ne!(other, 0, "a CPU of the other pool");
    }
}

/// The smallest sample, with 32 MiB that are set aside, or not.
fn hello_with(on: Hypervisor, set_aside: &[(u64, u64)]) -> DomU {
    DomU {
        set_aside: set_aside.to_vec(),
        ..DomU::new(Domain { kernel: on.image("hello"), ramdisk: None, args: String::new() })
    }
}

/// A guest has the memory that the device tree sets aside for it, where the hypervisor would else have its own, and
/// one that wants some of the same is left out.
pub fn a_guest_has_the_memory_set_aside_for_it(on: Hypervisor) {
    let mut machine = on.machine();
    machine.hypervisor_args += " guest_loglvl=all";
    machine.domus.push(hello_with(on, &[(0x7f00_0000, 16 << 20), (0x6000_0000, 16 << 20)]));
    machine.domus.push(hello_with(on, &[(0x6080_0000, 32 << 20)]));
    let mut c = Console::boot(&format!("set-aside-{on:?}").to_lowercase(), &machine);
    c.expect("d1 memory: 0x7f000000-0x7fffffff", COMMAND);
    c.expect("d1 memory: 0x60000000-0x60ffffff", COMMAND);
    c.expect(
        "/chosen/domU2 is left out: what is set aside at 0x60800000+0x2000000 is no RAM or is in use",
        COMMAND,
    );
    c.expect("hello from a guest on Xen", COMMAND);
}

/// A Debian kernel has memory, interrupt controller and UART where the machine has them; one that wants some of that
/// memory at the same addresses is left out, and so is one that does not say where.
pub fn debian_guest_is_where_the_machine_is(mix: impl Into<Mix>) {
    const PROMPT: &str = "/ # ";
    let mix = mix.into();
    let domu = |set_aside: &[(u64, u64)]| DomU {
        memory_kib: set_aside.iter().map(|(_, size)| size >> 10).sum(),
        set_aside: set_aside.to_vec(),
        direct_map: true,
        ..debian_on_a_uart(mix)
    };
    let mut machine = mix.machine();
    machine.domus.push(domu(&[(0x6000_0000, 128 << 20), (0x6c00_0000, 32 << 20)]));
    machine.domus.push(domu(&[(0x6700_0000, 128 << 20)]));
    machine.domus.push(DomU { direct_map: true, ..debian_on_a_uart(mix) });
    let mut c = Console::boot(&mix.name("direct-map"), &machine);
    c.expect("d1 memory: 0x60000000-0x67ffffff", COMMAND);
    c.expect("d1 memory: 0x6c000000-0x6dffffff", COMMAND);
    c.expect("/chosen/domU2 is left out: what is set aside at 0x67000000+0x8000000 is", COMMAND);
    c.expect("/chosen/domU3 is left out: /chosen/domU3: bad or missing `xen,static-mem`", COMMAND);
    c.expect("DOM1: initrd: /dev/xvda cannot be mounted; a shell instead", BOOT);
    c.send(SWITCH);
    c.expect("*** Serial input to DOM1", COMMAND);
    // There is a prompt already; this brings a new one.
    c.send(b"echo rea''dy\r");
    c.expect("ready", COMMAND);
    c.expect(PROMPT, COMMAND);
    let ram = c.command("grep RAM /proc/iomem", PROMPT, COMMAND);
    assert!(ram.contains("60000000-67ffffff") && ram.contains("6c000000-6dffffff"), "{ram}");
    let tree = c.command("ls /proc/device-tree", PROMPT, COMMAND);
    assert!(tree.contains("interrupt-controller@8000000") && tree.contains("sbsa-pl011@9000000"), "{tree}");
    let lines = c.command("grep -c ' 33 Level .*uart' /proc/interrupts", PROMPT, COMMAND);
    assert_eq!(lines.trim(), "1", "{}", c.command("cat /proc/interrupts", PROMPT, COMMAND));
}

/// Event channels that the device tree chooses, between guests and with dom0: the later node's end finds its port
/// pending, and both ends can send.
pub fn event_channels_are_there_from_the_start(on: Hypervisor) {
    let guest = |args: &str| Domain { kernel: on.image("selftest"), ramdisk: None, args: args.into() };
    let domu = |args: &str| DomU::new(guest(args));
    let end = |domain, port| ChannelEnd { domain, port };
    let mut machine = on.machine();
    machine.hypervisor_args += " dom0_mem=64M guest_loglvl=all";
    machine.dom0 = Some(guest("ports=10"));
    machine.domus.extend([domu("ports=20,1023"), domu("ports=30")]);
    machine.channels.extend([[end(0, 10), end(1, 20)], [end(2, 30), end(1, 1023)]]);
    let mut c = Console::boot(&format!("channels-{on:?}").to_lowercase(), &machine);
    let mut ports: Vec<_> = (0..4)
        .map(|_| {
            c.expect("turns taken on port ", COMMAND);
            c.expect(".", COMMAND)
        })
        .collect();
    ports.sort();
    assert_eq!(ports, ["10", "1023", "20", "30"]);
}

/// Memory of one guest that dom0 has at another address, and memory of nobody's that the guest shares with another one:
/// who wants some of it under another name is left out.
pub fn domains_count_in_memory_that_they_share(on: Hypervisor) {
    let guest =
        |port: u32| Domain { kernel: on.image("shared"), ramdisk: None, args: format!("port={port}") };
    let domu = |port| DomU::new(guest(port));
    let end = |domain, port| ChannelEnd { domain, port };
    let share = |domain, id, role, at| Shared { domain, id, role, at };
    let mut machine = on.machine();
    machine.hypervisor_args += " dom0_mem=64M guest_loglvl=all";
    machine.dom0 = Some(guest(10));
    machine.domus.extend([domu(20), domu(30), domu(40), domu(50)]);
    machine.channels.extend([[end(0, 10), end(1, 20)], [end(2, 30), end(3, 40)]]);
    let (owned, nobodys) = (0x7f00_0000, 0x6000_0000);
    machine.shared.extend([
        share(0, "with dom0", Some("borrower"), [owned, 0x9000_0000, 0x2000]),
        share(1, "with dom0", Some("owner"), [owned, 0x7000_0000, 0x2000]),
        share(2, "of nobody", None, [nobodys, 0x7000_0000, 0x2000]),
        share(3, "of nobody", None, [nobodys, 0x7800_0000, 0x2000]),
        share(4, "another", None, [nobodys + 0x1000, 0x7000_0000, 0x2000]),
    ]);
    let mut c = Console::boot(&format!("shared-{on:?}").to_lowercase(), &machine);
    c.expect("/chosen/domU4 is left out: /chosen/domU4/shared@70000000: only one of", COMMAND);
    let (mut places, mut counts) = (vec![], vec![]);
    while places.len() < 4 || counts.len() < 12 {
        let (which, _) = c.expect_one_of(&["shared: \"", "shared: counted to "], COMMAND);
        let rest = c.expect(if which == 0 { "+0x2000" } else { "." }, COMMAND);
        if which == 0 { places.push(rest) } else { counts.push(rest) }
    }
    places.sort();
    let both = ["with dom0\" at 0x70000000", "with dom0\" at 0x90000000"];
    assert_eq!(places, [["of nobody\" at 0x70000000", "of nobody\" at 0x78000000"], both].concat());
    counts.sort();
    assert_eq!(counts, ["1", "1", "2", "2", "3", "3", "4", "4", "5", "5", "6", "6"]);
}

/// A guest that the hypervisor starts drives the board's clock, which its fragment of the device tree gives to it:
/// registers at another place than the board's, and the interrupt.
pub fn a_guest_drives_a_device_of_the_board(on: Hypervisor) {
    let name = format!("passthrough-{on:?}").to_lowercase();
    let folder = paths::target_dir().join("system-tests");
    let fragment = folder.join(format!("{name}.dtb"));
    fs::create_dir_all(&folder).expect("a folder for tests");
    fs::write(&fragment, clock_fragment()).expect("room for a device tree");
    let mut machine = on.machine();
    machine.hypervisor_args += " guest_loglvl=all";
    machine.domus.push(DomU {
        fragment: Some(fragment),
        ..DomU::new(Domain { kernel: on.image("passthrough"), ramdisk: None, args: String::new() })
    });
    let mut c = Console::boot(&name, &machine);
    c.expect("clock: part 0x31 at 0x2a000000, interrupt 34", COMMAND);
    c.expect("clock: the alarm came", COMMAND);
}

/// A fragment that gives a guest QEMU's PL031.
fn clock_fragment() -> Vec<u8> {
    const GIC: u32 = 1;
    let mut w = Writer::new([], 0);
    w.begin_node("").u32("#address-cells", 2).u32("#size-cells", 2);
    w.begin_node("gic").u32("phandle", GIC).u32("#interrupt-cells", 3);
    w.property("interrupt-controller", &[]).end_node();
    w.begin_node("passthrough").str("compatible", "simple-bus").property("ranges", &[]);
    w.u32("#address-cells", 2).u32("#size-cells", 2);
    w.begin_node("clock@2a000000").strs("compatible", &["arm,pl031", "arm,primecell"]);
    w.cells("reg", &[0, 0x2a00_0000, 0, 0x1000]);
    w.cells("interrupts", &[0, 2, 4]).u32("interrupt-parent", GIC);
    w.cells("xen,reg", &[0, 0x901_0000, 0, 0x1000, 0, 0x2a00_0000]);
    w.str("xen,path", "/pl031@9010000").property("xen,force-assign-without-iommu", &[]);
    w.end_node().end_node().end_node();
    w.finish()
}

/// The copying guest's second disk is as its first one when it has ended.
pub fn disk_is_copied(mix: impl Into<Mix>) {
    let mix = mix.into();
    let mut c = debian_dom0("disk-copy", mix);
    for line in [
        "cd /run; dd if=/dev/urandom of=from bs=65536 count=64 2>/dev/null",
        "dd if=/dev/zero of=to bs=65536 count=64 2>/dev/null",
        "losetup /dev/loop0 from; losetup /dev/loop1 to",
    ] {
        c.command(line, PROMPT, COMMAND);
    }
    c.send_line(&format!("xl create -c /root/{}disk-copy.cfg", mix.folder()));
    c.expect("copied 8192 sectors", COMMAND);
    c.expect("both are equal", COMMAND);
    c.expect(PROMPT, COMMAND);
    gone(&mut c, "disk-copy");
    let compared = c.command("losetup -d /dev/loop1; cmp from to && echo the same", PROMPT, COMMAND);
    assert!(compared.contains("the same"), "{compared}");
}

/// The clock guest ticks on each of its vCPUs.
pub fn ticker_runs_on_two_vcpus(mix: impl Into<Mix>) {
    let mix = mix.into();
    let mut c = debian_dom0("ticker", mix);
    c.send_line(&format!("xl create -c /root/{}ticker.cfg", mix.folder()));
    c.expect("vCPU 0: tick 1", COMMAND);
    let rest = c.expect("all vCPUs are done", COMMAND);
    assert!(rest.contains("vCPU 1: tick 2"), "{rest}");
    c.expect(PROMPT, COMMAND);
}

/// A pool is made of one of two CPUs; a guest runs there alone, then in the pool of the other, and the CPU goes back.
pub fn cpus_are_pooled(on: Hypervisor) {
    let mix = Mix { cpus: 2, ..on.into() };
    let mut c = debian_dom0("pools", mix);
    let pools = |c: &mut Console| -> Vec<Vec<String>> {
        let list = c.command("xl cpupool-list", PROMPT, COMMAND);
        let lines = list.lines().filter(|line| line.contains("credit2"));
        lines.map(|line| line.split_whitespace().map(Into::into).collect()).collect()
    };
    // Where its vCPUs run, or ran last.
    let cpus = |c: &mut Console| -> Vec<String> {
        let list = c.command("xl vcpu-list ticker", PROMPT, COMMAND);
        let lines = list.lines().filter(|line| line.starts_with("ticker "));
        lines.filter_map(|line| line.split_whitespace().nth(3).map(Into::into)).collect()
    };
    let quiet = |c: &mut Console, line: &str| {
        let said = c.command(line, PROMPT, COMMAND);
        assert!(said.trim().is_empty(), "{line}: {said}");
    };
    quiet(&mut c, "xl cpupool-cpu-remove Pool-0 1");
    let made = c.command(r#"xl cpupool-create 'name="p"' 'cpus=["1"]'"#, PROMPT, COMMAND);
    assert!(made.contains("number of cpus: 1"), "{made}");
    // Name, CPUs, scheduler, whether it is in use, domains.
    let two = [["Pool-0", "1", "credit2", "y", "1"], ["p", "1", "credit2", "y", "0"]];
    assert_eq!(pools(&mut c), two);

    let endless = r#"'extra="ticks=100000 period=100"' 'pool="p"'"#;
    quiet(&mut c, &format!("xl create -q /root/ticker.cfg {endless}"));
    assert_eq!(cpus(&mut c), ["1", "1"]);
    quiet(&mut c, "xl cpupool-migrate ticker Pool-0");
    // Both have run since when each has ticked.
    c.send_line("xl console ticker");
    for vcpu in [0, 1, 0, 1] {
        c.expect(&format!("vCPU {vcpu}: tick "), COMMAND);
    }
    leave(&mut c);
    assert_eq!(cpus(&mut c), ["0", "0"]);
    quiet(&mut c, "xl cpupool-destroy p");
    quiet(&mut c, "xl cpupool-cpu-add Pool-0 1");
    assert_eq!(pools(&mut c), [["Pool-0", "2", "credit2", "y", "2"]]);
    quiet(&mut c, "xl destroy ticker");
}

/// A Debian kernel without any dom0 runs on all CPUs of a board: each does its part of the same work, and all come
/// to the same result.
pub fn debian_guest_uses_all_cpus(mix: impl Into<Mix>) {
    const PROMPT: &str = "/ # ";
    let mix = mix.into();
    let mut machine = mix.machine();
    // While a 32-bit kernel stops its other CPUs, it spins without YIELD. An emulator that counts instructions runs
    // only the CPU that spins, then, for two thousand million of them.
    machine.deterministic = mix.guest == Arch::Arm64;
    machine.domus.push(DomU { vcpus: mix.cpus, ..debian_on_a_uart(mix) });
    let mut c = Console::boot(&mix.name("all-cpus"), &machine);
    c.expect("DOM1: initrd: /dev/xvda cannot be mounted; a shell instead", BOOT);
    c.send(SWITCH);
    c.expect("*** Serial input to DOM1", COMMAND);
    // There is a prompt already; this brings a new one.
    c.send(b"echo rea''dy\r");
    c.expect("ready", COMMAND);
    c.expect(PROMPT, COMMAND);
    work_on_all(&mut c, mix.cpus, PROMPT);
}

/// Debian's dom0 runs on all CPUs of a board in the same way, and has the board's interrupt controller.
pub fn debian_dom0_uses_all_cpus(mix: impl Into<Mix>) {
    let mix = mix.into();
    let mut c = debian_dom0("dom0-cpus", mix);
    work_on_all(&mut c, mix.cpus, PROMPT);
    let gicv3 = c.command("grep -c GICv3 /proc/interrupts", PROMPT, COMMAND);
    assert_eq!(gicv3.trim() != "0", mix.on.gic_version() == 3, "{gicv3}");
}

/// Has a shell count its processors, and do the same on each.
#[track_caller]
pub(crate) fn work_on_all(c: &mut Console, cpus: u32, prompt: &str) {
    let count = c.command("grep -c ^processor /proc/cpuinfo", prompt, COMMAND);
    assert_eq!(count.trim(), cpus.to_string());
    // Lines that are longer than the terminal is wide would be echoed with breaks.
    c.command("on() { taskset $1 sh -c 'seq 1 20000 | sha256sum'; }", prompt, COMMAND);
    let masks: Vec<_> = (0..cpus).map(|n| format!("{:x}", 1 << n)).collect();
    let all = format!("(for m in {}; do on $m & done; wait) | uniq -c", masks.join(" "));
    let sums = c.command(&all, prompt, BOOT);
    // The kernel may have a line between.
    let all = format!("{cpus} ");
    assert!(sums.lines().any(|line| line.trim_start().starts_with(&all)), "{sums}");
}
