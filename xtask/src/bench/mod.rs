//! `bench`: one benchmark guest on our hypervisor and on Debian's Xen, in a machine that counts instructions.
mod picture;
mod report;
mod results;
mod session;
pub mod wall;

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

/// A kind of machine to measure on.
pub struct Setup {
    /// What it is called.
    title: &'static str,
    /// What its folder is called.
    name: &'static str,
    /// The state of the hypervisor, and of guests.
    arch: Arch,
    guest: Arch,
    gic_version: u32,
    /// Whether a disk is measured, under Debian's dom0.
    disk: bool,
}

const fn setup(title: &'static str, name: &'static str, guest: Arch, gic_version: u32) -> Setup {
    Setup { title, name, arch: Arch::Arm64, guest, gic_version, disk: false }
}

/// The kinds there are for a hypervisor's state. The first one's rows are all.
fn setups(arch: Arch) -> Vec<Setup> {
    match arch {
        Arch::Arm32 => vec![Setup { arch, disk: true, ..setup("arm32", "arm32", arch, 2) }],
        Arch::Arm64 => vec![
            Setup { disk: true, ..setup("arm64, GICv2", "gicv2", arch, 2) },
            setup("arm64, GICv3", "gicv3", arch, 3),
            setup("arm64, 32-bit guest, GICv2", "guest32", Arch::Arm32, 2),
        ],
    }
}

/// Builds, measures, prints the tables, and writes them with figures and picture into `target/bench/`.
pub fn run(arch: Arch) -> Result<()> {
    setup::ensure(&[Purpose::Build, Purpose::Emulate, Purpose::Debian])?;
    build::images(arch, &["hypervisor".to_owned()])?;
    for guests in run::guest_archs(arch) {
        build::images(guests, &["bench", "disk-server"].map(str::to_owned))?;
    }
    debian::xen(arch)?;
    let mut contents = Contents::default();
    run::add_sample(&mut contents, arch, "bench");
    run::add_sample(&mut contents, arch, "disk-server");
    contents.script(DISK_SCRIPT.0, DISK_SCRIPT.1);
    disk::make(&data_disk(), &contents)?;
    let reports: Vec<Report> = setups(arch).iter().map(compare).collect::<Result<_>>()?;

    let tables: Vec<String> = reports.iter().map(Report::table).collect();
    let members: Vec<String> = reports.iter().map(Report::json).collect();
    let to = paths::target_dir().join("bench");
    let file = |kind: &str| to.join(format!("{}-{kind}", arch.name()));
    print!("{}", tables.join("\n"));
    write(&file("results.json"), format!("{{\n{}\n}}\n", members.join(",\n")).as_bytes())?;
    write(&file("table.md"), tables.join("\n").as_bytes())?;
    write(&file("picture.svg"), picture::draw(&reports[0]).as_bytes())?;
    eprintln!("xtask: figures, table and picture are in {}", to.display());
    Ok(())
}

/// Measures on this hypervisor and on Debian's Xen.
fn compare(setup: &Setup) -> Result<Report> {
    let ours = paths::images(setup.arch).join("hypervisor");
    let on = |what: &str, name, file: &Path| {
        step(&format!("measuring {what}, {}", setup.title), || measure(setup, name, file))
    };
    let ours = on("this hypervisor", "ours", &ours)?;
    let xen = on("Debian's Xen", "xen", &paths::debian_xen(setup.arch)?)?;
    Report::new(setup, &ours, &xen)
}

/// Boots the guest alone, with a second vCPU, without any dom0, then with a second domain beside it, which
/// would count for the time of the boot, and as a guest of Debian's dom0 that has its disk from another guest.
fn measure(setup: &Setup, name: &str, hypervisor: &Path) -> Result<Measured> {
    let size = fs::metadata(hypervisor).map_err(|e| format!("{}: {e}", hypervisor.display()))?.len();
    let mut measured = Measured::new(size);
    let guest = |args: &str| Domain {
        kernel: paths::images(setup.guest).join("bench"),
        ramdisk: None,
        args: args.to_owned(),
    };
    let domu = |args: &str| DomU::new(guest(args));
    let mut machine = Machine::new(setup.arch, hypervisor.to_owned());
    machine.cpus = 1;
    machine.deterministic = true;
    machine.gic_version = setup.gic_version;
    let work = paths::target_dir().join("bench").join(setup.name).join(name);

    let mut alone = machine.clone();
    alone.hypervisor_args += " guest_loglvl=all";
    alone.domus.push(DomU { vpl011: true, ..domu("role=uart") });
    measured.read(&boot(&alone, work.join("uart"))?)?;

    machine.hypervisor_args += " dom0_mem=64M";
    let mut two_vcpus = machine.clone();
    two_vcpus.hypervisor_args += " dom0_max_vcpus=2";
    two_vcpus.dom0 = Some(guest("role=smp"));
    measured.read(&boot(&two_vcpus, work.join("smp"))?)?;

    machine.dom0 = Some(guest(""));
    measured.read(&boot(&machine, work.join("alone"))?)?;
    machine.dom0 = Some(guest("role=first"));
    machine.domus.push(domu("role=second"));
    measured.read(&boot(&machine, work.join("pair"))?)?;
    if setup.disk {
        measured.read(&boot(&with_disk_server(setup.arch, hypervisor)?, work.join("disk"))?)?;
    }
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
