//! Making guests, and failing to.

use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use xen_abi::arch::{layout, psr};
use xen_abi::hvm::param;
use xen_abi::{Domid, Gfn, Gref};

use super::host::FakeHost;
use crate::config::DomainConfig;
use crate::{Error, Interrupt, Toolstack};

pub const KERNEL: &str = "/root/image";

/// A zImage that does nothing.
pub fn kernel(size: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..size).map(|index| (index % 251) as u8).collect();
    for (offset, word) in [(0x24, 0x016f_2818_u32), (0x28, 0), (0x2c, size as u32), (0x30, 0x0403_0201)] {
        bytes[offset..offset + 4].copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

pub fn host() -> FakeHost {
    let host = FakeHost::new();
    host.put_file(KERNEL, kernel(100_000));
    host.put_file("/root/initrd", (0..200_000_u32).map(|index| (index / 7) as u8).collect());
    host
}

pub fn config(more: &str) -> DomainConfig {
    let text = format!("kernel = '{KERNEL}'\nmemory = 16\nname = 'win'\n{more}");
    DomainConfig::parse(&text).unwrap().config
}

fn create(host: &FakeHost, more: &str) -> Result<Domid, Error> {
    host.run(Toolstack::new(host).create(config(more), false, &Interrupt::default()))
}

#[test]
fn a_guest_is_made_as_libxl_makes_it() {
    let host = host();
    let domid = create(&host, "ramdisk='/root/initrd'; extra='console=hvc0'; vcpus=1; maxvcpus=2").unwrap();
    let machine = host.control.machine.borrow();
    let domain = &machine.domains[&domid];
    assert_eq!(
        (domain.request.flags, domain.request.max_vcpus, domain.request.max_evtchn_port),
        (3, 2, 1023)
    );
    assert_eq!((domain.request.max_grant_frames, domain.request.grant_opts), (-1, 1));
    assert_eq!((domain.vcpus, domain.bits, domain.max_kib, domain.pauses), (2, 32, 17 * 1024, 0));
    assert_eq!(domain.pool, (8 + 1 + 16) * 4096);
    assert_eq!(domain.pieces, [(0x40000, 9, 8), (0x39000, 0, 4)]);
    let params: Vec<_> = domain.params.iter().map(|(&index, &value)| (index, value)).collect();
    assert_eq!(
        params,
        [
            (param::CALLBACK_IRQ, 2 << 56 | 2 << 8 | 31),
            (param::STORE_PFN, 0x39001),
            (param::STORE_EVTCHN, 1),
            (param::CONSOLE_PFN, 0x39000),
            (param::CONSOLE_EVTCHN, 2),
            (param::MONITOR_RING_PFN, 0x39002),
        ]
    );
    let dom0 = Domid(0);
    assert_eq!(domain.grants, [(Gref(0), dom0, Gfn(0x39000)), (Gref(1), dom0, Gfn(0x39001))]);
    assert!((0x39000..0x39004).all(|page| domain.memory[&page].iter().all(|&byte| byte == 0)));
    let context = domain.context.unwrap();
    assert_eq!((context.user_regs.pc, context.user_regs.cpsr), (0x4000_8000, psr::GUEST32_INIT.into()));
    let tree = context.user_regs.x[2];
    drop(machine);
    assert_eq!(host.control.peek(domid, 0x4000_8000, 100_000), kernel(100_000));
    assert_eq!(host.control.peek(domid, tree, 4), [0xd0, 0x0d, 0xfe, 0xed]);
    let blob = host.control.peek(domid, tree, 4096);
    let find = |needle: &[u8]| blob.windows(needle.len()).position(|window| window == needle);
    assert!(find(b"console=hvc0\0").is_some());
    let start = 0x4100_0000 - 200_000_u64.next_multiple_of(4096) - 4096;
    assert!(find(&start.to_be_bytes()).is_some(), "the initrd's place");
    let expected: Vec<u8> = (0..200_000_u32).map(|index| (index / 7) as u8).collect();
    assert_eq!(host.control.peek(domid, start, 200_000), expected);
    assert!(host.store.is_introduced(domid));
}

/// A board with memory at 2 GiB, as the first Xen on ARM had it, and its initrd there.
fn old_tree(initrd: u32, size: u32) -> Vec<u8> {
    let mut out = device_tree::Writer::new([], 0);
    out.begin_node("").str("compatible", "xen,xenvm").u32("#address-cells", 1).u32("#size-cells", 1);
    out.begin_node("chosen").str("bootargs", "root=/dev/xvda");
    out.u32("linux,initrd-start", initrd).u32("linux,initrd-end", initrd + size).end_node();
    out.begin_node("memory@80000000").str("device_type", "memory");
    out.cells("reg", &[0x8000_0000, 0x800_0000]).end_node().end_node();
    out.finish()
}

#[test]
fn what_stands_behind_the_kernel_is_carried_to_the_guests_memory() {
    let (kernel_size, initrd) = (100_000, std::vec![0x5a; 10_000]);
    let at = kernel_size as u32 + 4096;
    let mut file = kernel(kernel_size);
    file.extend(old_tree(0x8000_8000 + at, initrd.len() as u32));
    file.resize(at as usize, 0);
    file.extend(&initrd);
    for memory in [8, 16, 300] {
        let host = host();
        host.put_file(KERNEL, file.clone());
        let domid = create(&host, &format!("memory={memory}")).unwrap();
        let context = host.control.machine.borrow().domains[&domid].context.unwrap();
        assert_eq!(host.control.peek(domid, 0x4000_8000, kernel_size), kernel(kernel_size));
        let blob = host.control.peek(domid, context.user_regs.x[2], 4096);
        let tree = device_tree::Tree::parse(&blob).unwrap();
        let chosen = tree.find("/chosen").unwrap();
        assert_eq!(chosen.str("bootargs"), Some("root=/dev/xvda"));
        let [start, end] = ["linux,initrd-start", "linux,initrd-end"]
            .map(|name| chosen.property(name).unwrap().as_u64().unwrap());
        assert_eq!(end - start, initrd.len() as u64);
        assert_eq!(host.control.peek(domid, start, initrd.len()), initrd, "{memory} MiB");
        let bank = tree.find("/memory@40000000").unwrap().reg().unwrap().next().unwrap();
        assert_eq!(bank.size, memory << 20);
        assert!(start >= bank.base && end <= bank.base + bank.size);
    }
    let host = host();
    host.put_file(KERNEL, file[..file.len() - 10].to_vec());
    let message = "/root/image: initrd after the kernel is truncated: 9990 bytes of 10000";
    assert_eq!(create(&host, "").unwrap_err().to_string(), message);
}

/// The nodes that Xen 4.17's xl writes for a guest with one disk, before the guest runs; `|` parts lines.
const NODES: &str = r#"
/local/domain/1 = "" (n0,r1)
/local/domain/1/attr = "" (n1)
/local/domain/1/console = "" (n0,r1)
/local/domain/1/console/backend = "/local/domain/0/backend/console/1/0" (n0,r1)
/local/domain/1/console/backend-id = "0" (n1,r0)
/local/domain/1/console/limit = "1048576" (n0,r1)
/local/domain/1/console/output = "pty" (n0,r1)
/local/domain/1/console/port = "2" (n0,r1)
/local/domain/1/console/ring-ref = "233472" (n0,r1)
/local/domain/1/console/tty = "" (n0,r1)
/local/domain/1/console/type = "xenconsoled" (n0,r1)
/local/domain/1/control = "" (n0,r1)
/local/domain/1/control/feature-poweroff = "" (n1)
/local/domain/1/control/feature-reboot = "" (n1)
/local/domain/1/control/feature-suspend = "" (n1)
/local/domain/1/control/platform-feature-multiprocessor-suspend = "1" (n0,r1)
/local/domain/1/control/platform-feature-xs_reset_watches = "1" (n0,r1)
/local/domain/1/control/shutdown = "" (n1)
/local/domain/1/control/sysrq = "" (n1)
/local/domain/1/cpu = "" (n0,r1)
/local/domain/1/cpu/0 = "" (n0,r1)
/local/domain/1/cpu/0/availability = "online" (n0,r1)
/local/domain/1/data = "" (n1)
/local/domain/1/device = "" (n0,r1)
/local/domain/1/device/suspend = "" (n0,r1)
/local/domain/1/device/suspend/event-channel = "" (n1)
/local/domain/1/device/vbd = "" (n0,r1)
/local/domain/1/device/vbd/51712 = "" (n1,r0)
/local/domain/1/device/vbd/51712/backend = "/local/domain/0/backend/vbd/1/51712" (n1,r0)
/local/domain/1/device/vbd/51712/backend-id = "0" (n1,r0)
/local/domain/1/device/vbd/51712/device-type = "disk" (n1,r0)
/local/domain/1/device/vbd/51712/state = "1" (n1,r0)
/local/domain/1/device/vbd/51712/trusted = "1" (n1,r0)
/local/domain/1/device/vbd/51712/virtual-device = "51712" (n1,r0)
/local/domain/1/domid = "1" (n0,r1)
/local/domain/1/drivers = "" (n1)
/local/domain/1/error = "" (n1)
/local/domain/1/feature = "" (n1)
/local/domain/1/memory = "" (n0,r1)
/local/domain/1/memory/static-max = "16384" (n0,r1)
/local/domain/1/memory/target = "16384" (n0,r1)
/local/domain/1/memory/videoram = "0" (n0,r1)
/local/domain/1/name = "win" (n0,r1)
/local/domain/1/store = "" (n0,r1)
/local/domain/1/store/port = "1" (n0,r1)
/local/domain/1/store/ring-ref = "233473" (n0,r1)
/local/domain/1/vm = "/vm/f3e04816-ce5a-401d-a547-f4fc2b16a1c8" (n0,r1)
/local/domain/0/backend = "" (n0)
/local/domain/0/backend/console = "" (n0)
/local/domain/0/backend/console/1 = "" (n0)
/local/domain/0/backend/console/1/0 = "" (n0,r1)
/local/domain/0/backend/console/1/0/frontend = "/local/domain/1/console" (n0,r1)
/local/domain/0/backend/console/1/0/frontend-id = "1" (n0,r1)
/local/domain/0/backend/console/1/0/online = "1" (n0,r1)
/local/domain/0/backend/console/1/0/protocol = "vt100" (n0,r1)
/local/domain/0/backend/console/1/0/state = "1" (n0,r1)
/local/domain/0/backend/vbd = "" (n0)
/local/domain/0/backend/vbd/1 = "" (n0)
/local/domain/0/backend/vbd/1/51712 = "" (n0,r1)
/local/domain/0/backend/vbd/1/51712/bootable = "1" (n0,r1)
/local/domain/0/backend/vbd/1/51712/dev = "xvda" (n0,r1)
/local/domain/0/backend/vbd/1/51712/device-type = "disk" (n0,r1)
/local/domain/0/backend/vbd/1/51712/discard-enable = "1" (n0,r1)
/local/domain/0/backend/vbd/1/51712/frontend = "/local/domain/1/device/vbd/51712" (n0,r1)
/local/domain/0/backend/vbd/1/51712/frontend-id = "1" (n0,r1)
/local/domain/0/backend/vbd/1/51712/hotplug-status = "connected" (n0,r1)
/local/domain/0/backend/vbd/1/51712/mode = "w" (n0,r1)
/local/domain/0/backend/vbd/1/51712/online = "1" (n0,r1)
/local/domain/0/backend/vbd/1/51712/params = "/dev/loop0" (n0,r1)
/local/domain/0/backend/vbd/1/51712/removable = "0" (n0,r1)
/local/domain/0/backend/vbd/1/51712/script = "/etc/xen/scripts/block" (n0,r1)
/local/domain/0/backend/vbd/1/51712/specification = "xen" (n0,r1)
/local/domain/0/backend/vbd/1/51712/state = "2" (n0,r1)
/local/domain/0/backend/vbd/1/51712/type = "phy" (n0,r1)
/vm = "" (n0)
/vm/f3e04816-ce5a-401d-a547-f4fc2b16a1c8 = "" (n0,r1)
/vm/f3e04816-ce5a-401d-a547-f4fc2b16a1c8/name = "win" (n0,r1)
/vm/f3e04816-ce5a-401d-a547-f4fc2b16a1c8/start_time = "1704067206.79" (n0,r1)
/vm/f3e04816-ce5a-401d-a547-f4fc2b16a1c8/uuid = "f3e04816-ce5a-401d-a547-f4fc2b16a1c8" (n0,r1)
/libxl/1 = "" (n0)
/libxl/1/device = "" (n0)
/libxl/1/device/console = "" (n0)
/libxl/1/device/console/0 = "" (n0)
/libxl/1/device/console/0/backend = "/local/domain/0/backend/console/1/0" (n0)
/libxl/1/device/console/0/frontend = "/local/domain/1/console" (n0)
/libxl/1/device/console/0/frontend-id = "1" (n0)
/libxl/1/device/console/0/online = "1" (n0)
/libxl/1/device/console/0/protocol = "vt100" (n0)
/libxl/1/device/console/0/state = "1" (n0)
/libxl/1/device/vbd = "" (n0)
/libxl/1/device/vbd/51712 = "" (n0)
/libxl/1/device/vbd/51712/backend = "/local/domain/0/backend/vbd/1/51712" (n0)
/libxl/1/device/vbd/51712/bootable = "1" (n0)
/libxl/1/device/vbd/51712/dev = "xvda" (n0)
/libxl/1/device/vbd/51712/device-type = "disk" (n0)
/libxl/1/device/vbd/51712/discard-enable = "1" (n0)
/libxl/1/device/vbd/51712/frontend = "/local/domain/1/device/vbd/51712" (n0)
/libxl/1/device/vbd/51712/frontend-id = "1" (n0)
/libxl/1/device/vbd/51712/mode = "w" (n0)
/libxl/1/device/vbd/51712/online = "1" (n0)
/libxl/1/device/vbd/51712/params = "/dev/loop0" (n0)
/libxl/1/device/vbd/51712/removable = "0" (n0)
/libxl/1/device/vbd/51712/script = "/etc/xen/scripts/block" (n0)
/libxl/1/device/vbd/51712/specification = "xen" (n0)
/libxl/1/device/vbd/51712/state = "1" (n0)
/libxl/1/device/vbd/51712/type = "phy" (n0)
/libxl/1/type = "pvh" (n0)
"#;

#[test]
fn the_nodes_are_those_that_xl_writes() {
    let host = host();
    let more = "uuid='f3e04816-ce5a-401d-a547-f4fc2b16a1c8'; disk = [ 'phy:/dev/loop0,xvda,w' ]";
    assert_eq!(create(&host, more), Ok(Domid(1)));
    let tops = ["/local/domain/1", "/local/domain/0/backend", "/vm", "/libxl/1"];
    let nodes: Vec<String> = tops.iter().flat_map(|top| host.store.dump(top)).collect();
    assert_eq!(nodes, NODES.trim().lines().collect::<Vec<_>>());
}

/// A guest with some of everything.
const FULL: &str = "ramdisk='/root/initrd'; cpus='0-1'; cpu_weight=512; vcpus=2\n\
                    disk = [ 'phy:/dev/loop0,xvda,w', 'phy:/dev/loop1,xvdb,r' ]";

/// Has a full guest made again and again, each time with something to `happen` so many steps earlier. When the start
/// has `failed`, of which the steps left and the outcome tell, nothing of the guest may be left.
fn spoil_starts(
    earlier: usize,
    happen: impl Fn(&FakeHost, usize),
    mut failed: impl FnMut(usize, Result<Domid, Error>) -> bool,
) {
    let host = || {
        let host = host();
        host.put_file(KERNEL, kernel(4096));
        host.put_file("/root/initrd", std::vec![7; 70_000]);
        host
    };
    let steps = {
        let host = host();
        host.faults.count.set(0);
        create(&host, FULL).unwrap();
        host.faults.count.get()
    };
    assert!(steps > 200, "{steps}");
    for step in (0..steps).rev().step_by(earlier) {
        let host = host();
        let toolstack = Toolstack::new(&host);
        let nodes = host.store.dump("/");
        let free = host.control.machine.borrow().free_pages;
        host.faults.count.set(0);
        happen(&host, step);
        let made = host.run(toolstack.create(config(FULL), false, &host.faults.interrupt.1));
        host.store.check_domains();
        if !failed(steps - step, made) {
            continue;
        }
        assert!(host.control.machine.borrow().domains.is_empty(), "a domain after step {step}");
        assert_eq!(host.control.machine.borrow().free_pages, free, "memory after step {step}");
        let left: Vec<String> =
            host.store.dump("/").into_iter().filter(|line| !nodes.contains(line)).collect();
        let directories =
            ["/libxl", "/local", "/local/domain", "/vm"].map(|path| format!("{path} = \"\" (n0)"));
        assert!(left.iter().all(|line| directories.contains(line)), "after step {step}: {left:?}");
        assert_eq!(host.store.watches(), 0, "watches after step {step}");
        // And the name is free again.
        host.run(toolstack.create(config(FULL), false, &Interrupt::default())).unwrap();
    }
}

#[test]
fn whatever_fails_leaves_nothing_behind() {
    spoil_starts(
        1,
        |host, step| host.faults.fail_at.set(Some(step)),
        |left, made| {
            assert!(made.is_err(), "{left} steps before the end it went unnoticed");
            true
        },
    );
}

#[test]
fn a_start_can_be_interrupted_at_any_moment() {
    let mut late = 0;
    spoil_starts(
        5,
        |host, step| host.faults.interrupt.0.set(Some(step)),
        |left, made| {
            if made.is_ok() {
                // Only while it is unpaused it is too late.
                late += 1;
                assert!(left <= 2, "{left} steps before the end it went unnoticed");
                return false;
            }
            assert_eq!(made, Err(Error::Interrupted));
            true
        },
    );
    assert!(late > 0);
}

#[test]
fn disks_that_cannot_be_opened_end_the_start_with_their_reason() {
    let host = host();
    let outcome = create(&host, "disk=['phy:/dev/loop0,xvda,w','phy:/dev/bad,xvdb,w']");
    assert_eq!(outcome.unwrap_err().to_string(), "disk xvdb: /dev/bad: no such block device");
    let outcome = create(&host, "disk=['phy:/dev/silent,xvdc,w']");
    assert_eq!(outcome.unwrap_err().to_string(), "disk xvdc: the back end does not get ready");
    assert!(host.control.machine.borrow().domains.is_empty());
    assert!(host.store.names("/local/domain/0").is_empty());
    assert_eq!(host.slept.get().as_secs(), 40, "only the back end that said nothing was waited for");
}

#[test]
fn what_cannot_be_started_says_why() {
    let host = host();
    host.put_file("/short", kernel(100_000)[..50_000].to_vec());
    host.put_file("/text", b"#!/bin/sh\n".repeat(100).to_vec());
    host.put_file("/empty", Vec::new());
    host.put_file("/huge", std::vec![0; 17 << 20]);
    host.put_file("/large", std::vec![0; (16 << 20) - 8192]);
    let mut appended = kernel(4096);
    appended.extend([0xd0, 0x0d, 0xfe, 0xed, 0, 0, 0x10, 0]);
    host.put_file("/bad-tree", appended);
    for (more, message) in [
        ("kernel='/none'", "/none: No such file or directory"),
        ("kernel='/short'", "/short: kernel file is truncated: 50000 bytes of 100000"),
        ("kernel='/text'", "/text: kernel file is a text file"),
        ("kernel='/empty'", "/empty: kernel file is too short to be one"),
        ("kernel='/huge'", "/huge: the file is larger than the guest's memory"),
        ("kernel='/bad-tree'", "/bad-tree: device tree after the kernel is truncated: 8 bytes of 4096"),
        ("ramdisk='/none'", "/none: No such file or directory"),
        ("ramdisk='/empty'", "/empty: the file is empty"),
        ("ramdisk='/huge'", "/huge: the file is larger than the guest's memory"),
        ("ramdisk='/large'", "kernel, initrd and device tree need 17 MiB of memory, the guest has 16 MiB"),
        ("device_tree='/huge'", "/huge: the file has 17825792 bytes, 1048576 are the most"),
        ("device_tree='/text'", "/text: not a device tree: wrong magic"),
        ("memory=600", "not enough memory: 615668 KiB wanted, 524288 KiB free"),
        ("cpus='5'", "none of the CPUs is one of the host's 2"),
        ("name='Domain-0'", "Domain with name \"Domain-0\" already exists (0)"),
        ("disk=[',hdc:cdrom,r']", "disk hdc: drives without a disc are not supported"),
    ] {
        let outcome = create(&host, more).unwrap_err().to_string();
        assert_eq!(outcome, message, "{more}");
        assert!(host.control.machine.borrow().domains.is_empty());
    }
}

#[test]
fn a_start_takes_no_more_steps_with_many_guests_than_with_one() {
    let host = host();
    let toolstack = Toolstack::new(&host);
    let start = |name: &str| {
        host.faults.count.set(0);
        let more = format!("name='{name}'; disk = [ 'phy:/dev/loop0,xvda,w' ]");
        host.run(toolstack.create(config(&more), false, &Interrupt::default())).unwrap();
        host.faults.count.get()
    };
    let first = start("first");
    for index in 0..30 {
        assert_eq!(start(&format!("more-{index}")), first);
    }
}

#[test]
fn a_name_belongs_to_one_guest() {
    let host = host();
    let toolstack = Toolstack::new(&host);
    let first = host.run(toolstack.create(config(""), false, &Interrupt::default())).unwrap();
    let again = host.run(toolstack.create(config(""), false, &Interrupt::default()));
    assert_eq!(again.unwrap_err().to_string(), "Domain with name \"win\" already exists (1)");
    host.run(toolstack.destroy(first)).unwrap();
    assert_eq!(host.run(toolstack.create(config(""), false, &Interrupt::default())), Ok(Domid(2)));
}

#[test]
fn memory_is_made_of_the_largest_pieces_there_are() {
    for (memory, largest, expected) in [
        (1, 18, std::vec![(0x40000, 0, 256)]),
        (3, 18, std::vec![(0x40000, 9, 1), (0x40200, 0, 256)]),
        (130, 18, std::vec![(0x40000, 9, 64), (0x48000, 9, 1)]),
        (3, 8, std::vec![(0x40000, 0, 512), (0x40200, 0, 256)]),
        (1025, 18, std::vec![(0x40000, 18, 1), (0x80000, 0, 256)]),
    ] {
        let host = host();
        host.put_file(KERNEL, kernel(4096));
        host.control.machine.borrow_mut().free_pages = 2 << 18;
        host.control.machine.borrow_mut().largest_order = largest;
        let domid = create(&host, &format!("memory={memory}")).unwrap();
        let machine = host.control.machine.borrow();
        let domain = &machine.domains[&domid];
        let pieces: Vec<_> = domain
            .pieces
            .iter()
            .filter(|(first, _, done)| *done > 0 && *first != layout::MAGIC_BASE >> 12)
            .copied()
            .collect();
        assert_eq!(pieces, expected, "{memory} MiB");
        assert_eq!(domain.populated.len(), memory * 256 + 4);
    }
}

#[test]
fn weights_limits_and_places_are_set_as_asked() {
    let host = host();
    let domid = create(&host, "vcpus=2; cpus=['1']; cpus_soft='0'; cap=50; shadow_memory=3").unwrap();
    let machine = host.control.machine.borrow();
    let domain = &machine.domains[&domid];
    let credit = domain.credit.unwrap();
    assert_eq!((credit.weight, credit.cap, domain.pool), (0, 50, 3 << 20));
    let list = |vcpu| {
        let (hard, soft) = &domain.affinity[&vcpu];
        [hard, soft].map(|map| map.as_ref().map(|map| map.describe(2)))
    };
    assert_eq!(list(0), [Some("1".into()), Some("0".into())]);
    assert_eq!(list(1), [None, Some("0".into())]);
}
