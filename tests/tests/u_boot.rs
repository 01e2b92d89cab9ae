//! Debian's U-Boot boots the hypervisor and dom0, by the commands that Xen's documentation gives for it.
use machine::{Arch, HYPERVISOR, MODULES};
use std::{fs, time::Duration};
use system_tests::{
    Console, Mix,
    artifacts::{
        self,
        Hypervisor::{self, Ours, OursArm64, XenArm64},
    },
};

const SOON: Duration = Duration::from_secs(60);
const BOOT: Duration = Duration::from_secs(180);
const PROMPT: &str = "=> ";
/// Where the board's device tree is.
const TREE: u64 = 0x4000_0000;

/// Has U-Boot edit the board's tree, also with `more`, and start the hypervisor with the Rust dom0.
fn start(name: &str, on: Hypervisor, more: &[&str]) -> Console {
    let dom0 = Mix::from(on).rust_dom0();
    let size = fs::metadata(&dom0.kernel).expect("dom0 is built").len();
    let mut machine = on.machine();
    machine.firmware = Some(artifacts::u_boot(on.arch()));
    machine.dom0 = Some(dom0);
    machine.disks.push(on.data_disk());
    let boot = match on.arch() {
        Arch::Arm32 => "bootz",
        Arch::Arm64 => "booti",
    };
    let module = format!("/chosen/module@{MODULES:x}");

    let mut c = Console::boot(&format!("{name}-{on:?}").to_lowercase(), &machine);
    c.expect("Hit any key to stop autoboot", SOON);
    c.send(b" ");
    c.expect(PROMPT, SOON);
    let lines = [
        &format!("fdt addr {TREE:#x}"),
        "fdt resize 4096",
        "fdt set /chosen \\#address-cells <2>",
        "fdt set /chosen \\#size-cells <2>",
        &format!("fdt set /chosen xen,xen-bootargs \"{} dom0_mem=128M\"", machine.hypervisor_args),
        &format!("fdt mknod /chosen module@{MODULES:x}"),
        &format!("fdt set {module} compatible \"multiboot,kernel\" \"multiboot,module\""),
        &format!("fdt set {module} reg <0 {MODULES:#x} 0 {size:#x}>"),
    ];
    for line in lines.iter().chain(more) {
        c.command(line, PROMPT, SOON);
    }
    c.send_line(&format!("{boot} {HYPERVISOR:#x} - {TREE:#x}"));
    c.expect("Starting kernel", SOON);
    c
}

/// The Rust dom0 comes to its prompt.
fn boots(on: Hypervisor) {
    let mut c = start("u-boot", on, &[]);
    c.expect("This is the Rust dom0", BOOT);
    c.expect("dom0# ", SOON);
}

/// A loader that says that the initial RAM disk is larger than memory is told so.
#[test]
fn a_ramdisk_of_the_wrong_size_is_named() {
    let lie = [
        "fdt mknod /chosen ramdisk",
        "fdt set /chosen/ramdisk compatible \"multiboot,ramdisk\" \"multiboot,module\"",
        "fdt set /chosen/ramdisk reg <0 0x58000000 1 0>",
    ];
    let mut c = start("wrong-ramdisk", Ours, &lie);
    c.expect("cannot start: no dom0: the boot module at 0x58000000+0x100000000 is not in RAM", SOON);
}

#[test]
fn u_boot_boots_on_arm32() {
    boots(Ours);
}

#[test]
fn u_boot_boots_on_arm64() {
    boots(OursArm64);
}

#[test]
fn u_boot_boots_the_reference_on_arm64() {
    boots(XenArm64);
}
