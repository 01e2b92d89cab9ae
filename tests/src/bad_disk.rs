//! Dom0's disk fails in places, or has no room on the host: who asked for that gets an error, and nobody else.
use crate::{
    artifacts::Hypervisor,
    host_disk::HostDisk,
    rust_dom0::{BOOT, COMMAND, PROMPT, Prompt, machine, name},
};
use machine::Machine;
use std::{fs, io, path::Path};

const SECTOR: usize = 512;
/// Sectors of the disks that are copied.
const SECTORS: usize = 4096;
/// Where in a file the host fails.
const BAD: usize = 2001;
/// The host's error numbers, as QEMU is told them.
const EIO: u32 = 5;
const ENOSPC: u32 = 28;

/// Bytes by which a sector of a file is found again.
fn marked(file: u8) -> Vec<u8> {
    let sector = |n: usize| [&[file; SECTOR - 4], &(n as u32).to_le_bytes()[..]].concat();
    (0..SECTORS).flat_map(sector).collect()
}

/// An error that the host has for a kind of access, at a sector of the disk if at one only.
struct Fault {
    access: &'static str,
    errno: u32,
    sector: Option<usize>,
}

/// Attaches the disk image so that QEMU's `blkdebug` fails some accesses, and reports that to the machine.
fn attach(machine: &mut Machine, image: &Path, faults: &[Fault]) {
    let file = image.to_string_lossy().replace(',', ",,");
    let mut drive = format!("if=none,id=bad,driver=blkdebug,image.driver=file,image.filename={file}");
    for (n, Fault { access, errno, sector }) in faults.iter().enumerate() {
        let rule = format!("inject-error.{n}");
        drive += &format!(",{rule}.event=none,{rule}.iotype={access},{rule}.errno={errno},{rule}.once=off");
        if let Some(sector) = sector {
            drive += &format!(",{rule}.sector={sector}");
        }
    }
    let device = "virtio-blk-device,drive=bad,werror=report,rerror=report";
    machine.extra.extend(["-drive", &drive, "-device", device].map(Into::into));
}

/// Where a sector of a file lies on the disk.
fn place(image: &Path, sector: &[u8]) -> io::Result<usize> {
    let all = fs::read(image)?;
    let found = all.chunks(SECTOR).position(|other| other == sector);
    found.ok_or_else(|| io::Error::other("the sector is not on the disk"))
}

/// Starts the guest that copies `/dev/loop0` to `to`; gives what it says up to `expected`.
#[track_caller]
fn copy(p: &mut Prompt, to: &str, expected: &str) {
    let disks = format!("'disk=[ \"phy:/dev/loop0,xvda,r\", \"phy:{to},xvdb,w\" ]'");
    p.0.send_line(&format!("xl create -qc /root/disk-copy.cfg {disks} 'on_crash=\"destroy\"'"));
    p.0.expect(expected, COMMAND);
    p.0.expect(PROMPT, COMMAND);
    p.alone();
}

/// A disk of which the host fails to write one sector and another to read: the guest that writes there is told, and so
/// is who reads there; another guest's copy arrives whole.
pub fn a_bad_sector_is_its_users_alone(on: Hypervisor) {
    let name = name("bad-sector", on);
    let disk = HostDisk::copy(&name, on).expect("space for a copy of the disk");
    let files = [("from.img", marked(1)), ("bad.img", marked(2)), ("good.img", marked(3))];
    let unread = ("unread.txt", marked(4)[..SECTOR].to_vec());
    for (file, bytes) in files.iter().chain([&unread]) {
        disk.put(file, bytes).expect("space on the disk");
    }
    let image = disk.attach().file;
    let place = |sector: &[u8]| Some(place(&image, sector).expect("the file is on the disk"));
    let unwritten = &files[1].1[BAD * SECTOR..][..SECTOR];
    let faults = [
        Fault { access: "write", errno: ENOSPC, sector: place(unwritten) },
        Fault { access: "read", errno: EIO, sector: place(&unread.1) },
    ];
    let mut machine = machine(on, on.data_disk());
    machine.disks.clear();
    attach(&mut machine, &image, &faults);

    let mut p = Prompt::start(&name, &machine);
    for (number, (file, _)) in files.iter().enumerate() {
        p.quiet(&format!("losetup /dev/loop{number} /root/{file}"));
    }
    copy(&mut p, "/dev/loop1", "error: input/output error");
    copy(&mut p, "/dev/loop2", "both are equal");
    p.says("cat /root/unread.txt", &["Input/output error"]);
    p.says("xl list", &["Domain-0"]);
    drop(p);
    let found =
        |file| fs::read(disk.extract(file).expect("the file is on the disk")).expect("it was extracted");
    assert!(found("good.img") == files[0].1, "the other guest's disk is not what was written");
    assert!(found("bad.img")[BAD * SECTOR..].starts_with(unwritten), "what failed was done");
}

/// What was written cannot be made durable: whoever asks for that is told.
pub fn a_flush_that_fails_is_told(on: Hypervisor) {
    let name = name("bad-flush", on);
    let disk = HostDisk::copy(&name, on).expect("space for a copy of the disk");
    for (file, mark) in [("from.img", 1), ("to.img", 2)] {
        disk.put(file, &marked(mark)).expect("space on the disk");
    }
    let mut machine = machine(on, on.data_disk());
    machine.disks.clear();
    attach(&mut machine, &disk.attach().file, &[Fault { access: "flush", errno: ENOSPC, sector: None }]);

    let mut p = Prompt::start(&name, &machine);
    p.quiet("losetup /dev/loop0 /root/from.img");
    p.quiet("losetup /dev/loop1 /root/to.img");
    copy(&mut p, "/dev/loop1", "error: input/output error");
    p.0.send_line("xl create -qc /root/hello.cfg");
    p.0.expect("hello from a guest on Xen", BOOT);
    p.0.expect(PROMPT, COMMAND);
}
