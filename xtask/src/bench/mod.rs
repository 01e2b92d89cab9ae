//! `bench`: one benchmark guest on our hypervisor and on Debian's Xen, in a machine that counts instructions.
mod picture;
mod report;
mod results;

use crate::{
    Result, build, debian, debian_dom0,
    disk::{self, Contents},
    run,
    setup::{self, Purpose},
    step, write,
};
use machine::{Arch, Disk, DomU, Domain, Machine, paths};
use report::Report;
use results::Measured;
use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

/// More than ten times what it takes on a slow machine.
const DEADLINE: Duration = Duration::from_secs(300);

/// What Debian's dom0 does for the measurement of a disk.
const DISK_SCRIPT: (&str, &str) =
    ("bench.sh", "xl create /root/disk-server.cfg\nxl create -c /root/bench.cfg\n");

/// Builds, measures, prints the table, and writes it with figures and picture into `target/bench/`.
pub fn run(arch: Arch) -> Result<()> {
    if arch != Arch::Arm32 {
        return Err(format!("bench: {} is not supported yet", arch.name()));
    }
    setup::ensure(&[Purpose::Build, Purpose::Emulate, Purpose::Debian])?;
    build::images(arch, &["hypervisor", "bench", "disk-server"].map(str::to_owned))?;
    debian::xen(arch)?;
    let mut contents = Contents::default();
    run::add_sample(&mut contents, arch, "bench");
    run::add_sample(&mut contents, arch, "disk-server");
    contents.script(DISK_SCRIPT.0, DISK_SCRIPT.1);
    disk::make(&data_disk(), &contents)?;
    let ours = paths::images(arch).join("hypervisor");
    let ours = step("measuring this hypervisor", || measure(arch, "ours", &ours))?;
    let xen = paths::debian_xen(arch)?;
    let xen = step("measuring Debian's Xen", || measure(arch, "xen", &xen))?;

    let report = Report::new(&ours, &xen)?;
    print!("{}", report.table());
    let to = paths::target_dir().join("bench");
    write(&to.join("results.json"), report.json().as_bytes())?;
    write(&to.join("table.md"), report.table().as_bytes())?;
    write(&to.join("picture.svg"), picture::draw(&report).as_bytes())?;
    eprintln!("xtask: figures, table and picture are in {}", to.display());
    Ok(())
}

/// Boots the guest alone, then with a second domain beside it, which would count for the time of the boot, then as a
/// guest of Debian's dom0 that has its disk from another guest.
fn measure(arch: Arch, name: &str, hypervisor: &Path) -> Result<Measured> {
    let size = fs::metadata(hypervisor).map_err(|e| format!("{}: {e}", hypervisor.display()))?.len();
    let mut measured = Measured::new(size);
    let guest = |args: &str| Domain {
        kernel: paths::images(arch).join("bench"),
        ramdisk: None,
        args: args.to_owned(),
    };
    let mut machine = Machine::new(arch, hypervisor.to_owned());
    machine.cpus = 1;
    machine.deterministic = true;
    machine.hypervisor_args += " dom0_mem=64M";
    let work = paths::target_dir().join("bench").join(name);

    machine.dom0 = Some(guest(""));
    measured.read(&boot(&machine, work.join("alone"))?)?;
    machine.dom0 = Some(guest("role=first"));
    machine.domus.push(DomU {
        boot: guest("role=second"),
        memory_kib: 32 << 10,
        vcpus: 1,
        vpl011: false,
        enhanced: Some("no-xenstore"),
    });
    measured.read(&boot(&machine, work.join("pair"))?)?;
    measured.read(&boot(&with_disk_server(arch, hypervisor)?, work.join("disk"))?)?;
    Ok(measured)
}

/// A machine whose Debian dom0 starts a back end for disks, and the guest that reads from it.
fn with_disk_server(arch: Arch, hypervisor: &Path) -> Result<Machine> {
    let mut machine = Machine::new(arch, hypervisor.to_owned());
    machine.cpus = 1;
    machine.deterministic = true;
    machine.memory_mib = 2048;
    // Debian's Xen keeps guests apart unless told otherwise.
    machine.hypervisor_args += " dom0_mem=512M xsm=dummy";
    let mut dom0 = debian_dom0::make(arch)?;
    dom0.args += &format!(" run=/root/{}", DISK_SCRIPT.0);
    machine.dom0 = Some(dom0);
    machine.disks.push(Disk { file: data_disk(), snapshot: true });
    Ok(machine)
}

/// The disk with what Debian's dom0 starts.
fn data_disk() -> PathBuf {
    paths::target_dir().join("bench").join("disk.img")
}

/// Boots a machine and gives what it said until the guest had measured everything.
fn boot(machine: &Machine, work: PathBuf) -> Result<String> {
    let mut command = machine.prepare(&work)?;
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let qemu = command.spawn().map_err(|e| format!("{}: {e}", machine.arch.emulator()))?;
    let said = listen(Running(qemu));
    write(&work.join("serial.log"), said.as_bytes())?;
    Ok(said)
}

fn listen(mut qemu: Running) -> String {
    let (to, lines) = mpsc::channel();
    if let Some(from) = qemu.0.stdout.take() {
        thread::spawn(move || {
            for line in BufReader::new(from).split(b'\n').map_while(std::io::Result::ok) {
                if to.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                    break;
                }
            }
        });
    }
    let deadline = Instant::now() + DEADLINE;
    let mut said = String::new();
    while let Ok(line) = lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
        said += line.trim_end();
        said.push('\n');
        if results::is_last(&line) {
            break;
        }
    }
    said
}

/// A machine that runs until this value is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
